"""Where a site's power comes from and goes to, from what one cycle saw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from contracts.units import Quality
from edge.control.model import AssetKind, AssetState, Measured, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFlow:
    """One asset: its power in W, positive into it, and its state of charge where it has one."""

    id: str
    kind: AssetKind
    online: bool
    power_w: float | None
    soc_percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A site's power in W: from the grid, into generation (zero or less), into batteries, into loads that have a meter.

    ``house_w`` is what is left of the connection's power after the assets: what nobody measures by itself. A part is
    ``None`` where a reading that it needs is missing; where the site has no such asset it is zero. A load that tells no
    power is known by what bounds it, its rating while it may run: of that it is shown with no more than is left.
    """

    grid_w: float | None
    pv_w: float | None
    battery_w: float | None
    loads_w: float | None
    house_w: float | None
    assets: tuple[AssetFlow, ...]


def flow(snapshot: Snapshot) -> Flow:
    """Return the flow that a snapshot shows. Formula: the connection's power is the sum of the assets' (law 1)."""
    grid_w = snapshot.connection_power.usable()
    assets = _bounded(snapshot.assets, grid_w)
    pv_w = _sum(_pv_w(asset) for asset in assets if asset.kind in {AssetKind.PV, AssetKind.HYBRID})
    battery_w = _sum(_battery_w(asset) for asset in assets if asset.kind in {AssetKind.BATTERY, AssetKind.HYBRID})
    loads_w = _sum(_usable(asset.power) for asset in assets if asset.kind is AssetKind.LOAD)
    measured_w = _sum(_usable(asset.power) for asset in assets if asset.kind is not AssetKind.METER)
    return Flow(
        grid_w=grid_w,
        pv_w=pv_w,
        battery_w=battery_w,
        loads_w=loads_w,
        house_w=None if grid_w is None or measured_w is None else grid_w - measured_w,
        assets=tuple(_asset(asset) for asset in assets if asset.kind is not AssetKind.METER),
    )


def _bounded(assets: Sequence[AssetState], grid_w: float | None) -> Sequence[AssetState]:
    """Return the assets, those loads that are known by an upper bound with their share of what is left for them."""
    presumed = [one for one in assets if one.kind is AssetKind.LOAD and one.power.quality is Quality.SUBSTITUTED]
    known_w = _sum(_usable(one.power) for one in assets if one.kind is not AssetKind.METER and one not in presumed)
    bounds_w = _sum(_usable(one.power) for one in presumed)
    if grid_w is None or known_w is None or not bounds_w:
        return assets
    share = min(1.0, max(0.0, grid_w - known_w) / bounds_w)
    return [
        replace(one, power=replace(one.power, value=(one.power.value or 0.0) * share)) if one in presumed else one
        for one in assets
    ]


def _asset(asset: AssetState) -> AssetFlow:
    return AssetFlow(
        id=asset.id,
        kind=asset.kind,
        online=asset.online,
        power_w=_usable(asset.power),
        soc_percent=_usable(asset.soc_percent),
    )


def _pv_w(asset: AssetState) -> float | None:
    return _usable(asset.power) if asset.pv_power is None else _usable(asset.pv_power)


def _battery_w(asset: AssetState) -> float | None:
    return _usable(asset.power) if asset.battery_power is None else _usable(asset.battery_power)


def _usable(measured: Measured | None) -> float | None:
    return None if measured is None else measured.usable()


def _sum(powers: Iterable[float | None]) -> float | None:
    """Return the sum, ``None`` where one is missing."""
    total = 0.0
    for power_w in powers:
        if power_w is None:
            return None
        total += power_w
    return total
