"""Sites for tests of the gateway's decisions, and a plant that obeys them."""

from dataclasses import dataclass, field
from typing import Any

from contracts.units import Quality
from edge.control.model import (
    AssetKind,
    AssetState,
    Capability,
    ControlSettings,
    Decision,
    Measured,
    Priority,
    Reason,
    Request,
    Resource,
    Snapshot,
)

SETTINGS = ControlSettings(import_w_max=17_000, export_w_max=15_000)


def good(value: float) -> Measured:
    """Return a fresh reading."""
    return Measured(value, Quality.GOOD, 0.2)


def battery(
    name: str = "bat",
    power_w: float = 0.0,
    *,
    soc_percent: float = 50.0,
    rated_w: float = 5_000.0,
    online: bool = True,
    efficiency: float = 0.95,
    last_power_w: float | None = None,
    phases: tuple[int, ...] = (1, 2, 3),
    ramp_w_per_s: float | None = None,
) -> AssetState:
    """Return a battery that stands at a power."""
    return AssetState(
        id=name,
        kind=AssetKind.BATTERY,
        capabilities=frozenset({Capability.BATTERY_POWER}),
        online=online,
        power=good(power_w) if online else Measured(),
        soc_percent=good(soc_percent),
        charge_w_max=rated_w,
        discharge_w_max=rated_w,
        efficiency=efficiency,
        last_power_w=last_power_w,
        phases=phases,
        ramp_w_per_s=ramp_w_per_s,
    )


def pv(name: str = "pv", power_w: float = 0.0, *, rated_w: float = 8_000.0, online: bool = True) -> AssetState:
    """Return a generator that can be curtailed."""
    return AssetState(
        id=name,
        kind=AssetKind.PV,
        capabilities=frozenset({Capability.LIMIT_GENERATION}),
        online=online,
        power=good(power_w) if online else Measured(),
        generation_rated_w=rated_w,
    )


def hybrid(name: str = "hybrid", *, pv_w: float = 0.0, battery_w: float = 0.0, soc_percent: float = 50.0) -> AssetState:
    """Return a hybrid of 10 kW with a battery of 5 kW."""
    return AssetState(
        id=name,
        kind=AssetKind.HYBRID,
        capabilities=frozenset({Capability.BATTERY_POWER, Capability.LIMIT_GENERATION}),
        power=good(pv_w + battery_w),
        pv_power=good(pv_w),
        battery_power=good(battery_w),
        soc_percent=good(soc_percent),
        generation_rated_w=10_000.0,
        charge_w_max=5_000.0,
        discharge_w_max=5_000.0,
    )


def load(name: str = "boiler", power_w: float = 0.0, *, rated_w: float = 2_000.0, on: bool = True) -> AssetState:
    """Return a load that can be switched."""
    return AssetState(
        id=name,
        kind=AssetKind.LOAD,
        capabilities=frozenset({Capability.SWITCH}),
        power=good(power_w),
        load_rated_w=rated_w,
        switched_on=on,
    )


def charger(name: str = "ev", power_w: float = 0.0, *, rated_w: float = 11_000.0, **about: Any) -> AssetState:
    """Return a charging point on three phases that takes a limit."""
    return AssetState(
        id=name,
        kind=AssetKind.LOAD,
        capabilities=frozenset({Capability.LIMIT_CONSUMPTION}),
        power=good(power_w),
        load_rated_w=rated_w,
        load_w_min=4_140.0,
        **about,
    )


def heat_pump(name: str = "pump", power_w: float = 0.0, *, rated_w: float = 3_000.0, **about: Any) -> AssetState:
    """Return a heat pump with SG Ready inputs."""
    return AssetState(
        id=name,
        kind=AssetKind.LOAD,
        capabilities=frozenset({Capability.SG_READY}),
        power=good(power_w),
        load_rated_w=rated_w,
        **about,
    )


def snapshot(connection_w: float | None, *assets: AssetState, at_s: float = 0.0) -> Snapshot:
    """Return a snapshot; ``None`` is a blind meter."""
    return Snapshot(
        taken_s=at_s,
        connection_power=Measured() if connection_w is None else good(connection_w),
        assets=assets,
    )


def request(
    requester: str,
    resource: Resource,
    priority: Priority,
    *,
    min_w: float = float("-inf"),
    max_w: float = float("inf"),
    preferred_w: float | None = None,
    expires_s: float = 1e9,
    reason: Reason = Reason.GRID_LIMIT,
) -> Request:
    """Return a request with a long life."""
    return Request(
        requester=requester,
        resource=resource,
        priority=priority,
        reason=reason,
        expires_s=expires_s,
        min_w=min_w,
        max_w=max_w,
        preferred_w=preferred_w,
    )


def value_of(decision: Decision, asset: str, capability: Capability) -> float | None:
    """Return the setpoint of one lever."""
    return next(
        point.value_w for point in decision.setpoints if point.asset == asset and point.capability is capability
    )


@dataclass
class Plant:
    """A hybrid behind a meter: what the sun offers, what the house takes, and a battery that follows with a lag.

    ``lag`` is the share of the way to its setpoint that the battery moves in a second.
    """

    load_w: float
    sun_w: float
    lag: float = 1.0
    soc_percent: float = 50.0
    battery_w: float = 0.0
    limit_w: float | None = None
    history: list[float] = field(default_factory=list)

    @property
    def pv_w(self) -> float:
        """Return what is generated under the limit at the terminals, negative."""
        if self.limit_w is None:
            return -self.sun_w
        return -max(0.0, min(self.sun_w, self.limit_w + self.battery_w))

    @property
    def connection_w(self) -> float:
        """Return the power at the connection point."""
        return self.load_w + self.pv_w + self.battery_w

    def snapshot(self, at_s: float) -> Snapshot:
        """Return what a gateway would read."""
        asset = hybrid("hybrid", pv_w=self.pv_w, battery_w=self.battery_w, soc_percent=self.soc_percent)
        return snapshot(self.connection_w, asset, at_s=at_s)

    def obey(self, decision: Decision) -> None:
        """Let a second pass with the decision's setpoints."""
        wanted_w = value_of(decision, "hybrid", Capability.BATTERY_POWER) or 0.0
        self.limit_w = value_of(decision, "hybrid", Capability.LIMIT_GENERATION)
        self.battery_w += self.lag * (wanted_w - self.battery_w)
        self.history.append(self.connection_w)
