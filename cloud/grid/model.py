"""What the grid agent knows about a feeder and its sites, and what it may ask of them.

Power is positive from the grid into the feeder and into a site; charging is positive.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.units import ClockTrust, SiteId, ZoneId


class Direction(StrEnum):
    """Which way the connection powers must move."""

    REDUCE_IMPORT = "reduce_import"
    REDUCE_EXPORT = "reduce_export"

    @property
    def sign(self) -> int:
        """Return the sign of the wanted change of a connection power: -1 to import less, +1 to export less."""
        return -1 if self is Direction.REDUCE_IMPORT else 1


class Means(StrEnum):
    """What a site moves."""

    BATTERY = "battery"
    LOAD = "load"
    PV = "pv"


class OrderBy(StrEnum):
    """How a site with a battery is asked: by its battery's power, or by a limit that it holds at its meter."""

    BATTERY_POWER = "battery_power"
    CONNECTION_LIMIT = "connection_limit"


@dataclass(frozen=True, kw_only=True)
class FlexibleSite:
    """What a site has agreed to offer: abilities without sign in W and Wh, prices in mct_per_kwh of energy moved.

    A site without a battery has ``battery_capacity_wh`` 0. ``inverter_w_max`` is what battery and sun can give together
    behind one inverter, ``None`` where each has its own. ``sheddable_load_w`` is load that a limit at the meter may
    take away, ``pv_curtailable`` whether an export limit may take away PV.

    Raises:
        ValueError: A number is negative, or the usable state of charge is empty.
    """

    site: SiteId
    order_by: OrderBy = OrderBy.BATTERY_POWER
    battery_charge_w_max: int = 0
    battery_discharge_w_max: int = 0
    battery_capacity_wh: int = 0
    inverter_w_max: int | None = None
    soc_percent_min: float = 10.0
    soc_percent_max: float = 95.0
    efficiency_one_way: float = 0.95
    sheddable_load_w: int = 0
    pv_curtailable: bool = False
    battery_price_mct_per_kwh: int = 5_000
    load_price_mct_per_kwh: int = 60_000
    pv_price_mct_per_kwh: int = 12_000

    def __post_init__(self) -> None:
        for name in (
            "battery_charge_w_max", "battery_discharge_w_max", "battery_capacity_wh", "sheddable_load_w",
            "battery_price_mct_per_kwh", "load_price_mct_per_kwh", "pv_price_mct_per_kwh",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{self.site}: {name} is {getattr(self, name)}, below 0")
        if not 0 <= self.soc_percent_min < self.soc_percent_max <= 100:
            raise ValueError(
                f"{self.site}: usable state of charge {self.soc_percent_min} to {self.soc_percent_max} %"
                " is not a range within 0 to 100 %"
            )
        if not 0 < self.efficiency_one_way <= 1:
            raise ValueError(f"{self.site}: efficiency {self.efficiency_one_way} is outside 0 (excluded) to 1")


@dataclass(frozen=True, kw_only=True)
class PowerSample:
    """One reading of the feeder's meter, positive into the feeder; ``None`` where there was no valid number."""

    at: datetime
    power_w: float | None


@dataclass(frozen=True, kw_only=True)
class SiteObservation:
    """What a site's telemetry says, at the source time of its meter."""

    site: SiteId
    at: datetime
    connection_power_w: float | None
    battery_power_w: float | None = None
    pv_power_w: float | None = None
    soc_percent: float | None = None
    clock: ClockTrust = ClockTrust.SYNCED


@dataclass(frozen=True, kw_only=True)
class GridSettings:
    """The limits of one feeder and how the agent holds them.

    Limits are without sign. A lease is renewed three times before it would end, so that one lost message changes
    nothing. ``margin_w`` is what the agent aims below the limit, ``hysteresis_w`` how far below the limit the loading
    without any order must lie before orders are taken back.

    Raises:
        ValueError: A number is out of order; the sentence says which.
    """

    feeder: SiteId
    zone: ZoneId
    import_limit_w: int
    export_limit_w: int
    margin_w: int
    hysteresis_w: int
    overload_s: float = 5.0
    gap_s_max: float = 15.0
    calm_s: float = 120.0
    lease_s: float = 120.0
    renew_s: float = 40.0
    duration_s: float = 900.0
    dead_band_w: int = 200
    ack_deadline_s: float = 60.0
    effect_deadline_s: float = 150.0
    retry_s: float = 300.0
    stale_s: float = 400.0
    blind_s_max: float = 300.0
    baseline_s: float = 60.0
    release_steps: int = 4
    release_step_s: float = 30.0
    release_spread_s: float = 30.0
    evidence_s: float = 10.0
    broadcast_s: float = 15.0
    nominal_hz: float = 50.0
    nominal_v: float = 230.0

    def __post_init__(self) -> None:
        for name in ("import_limit_w", "export_limit_w"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{self.feeder}: {name} is {getattr(self, name)}, not above 0")
        if not 0 <= self.margin_w < self.hysteresis_w < min(self.import_limit_w, self.export_limit_w):
            raise ValueError(
                f"{self.feeder}: margin {self.margin_w} W and hysteresis {self.hysteresis_w} W must rise"
                f" from 0 to below the limits {self.import_limit_w} and {self.export_limit_w} W"
            )
        if not 0 <= self.dead_band_w <= self.margin_w:
            raise ValueError(
                f"{self.feeder}: dead band {self.dead_band_w} W is not within 0 to the margin of {self.margin_w} W;"
                " an overload could stay unanswered"
            )
        if not 0 < self.renew_s * 2 <= self.lease_s:
            raise ValueError(
                f"{self.feeder}: orders of {self.lease_s} s renewed every {self.renew_s} s"
                " end when one message is lost; renew at least twice as often"
            )
        for name in ("nominal_hz", "nominal_v"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.feeder}: {name} is {getattr(self, name)}, not above 0")
        if self.release_steps < 1:
            raise ValueError(f"{self.feeder}: release in {self.release_steps} steps, below 1")

    def limit_w(self, direction: Direction) -> int:
        """Return the limit, without sign, that an overload of this direction passes."""
        return self.import_limit_w if direction is Direction.REDUCE_IMPORT else self.export_limit_w
