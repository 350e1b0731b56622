"""Whether the site can do what an order asks, and the nearest order that it could."""

import math
from dataclasses import dataclass

from contracts.control import Action, BatteryPower, LimitExport, LimitImport, LimitLoad, Switch
from edge.control.envelope import Envelope
from edge.control.model import (
    BATTERY_CAPABILITIES,
    LOAD_CAPABILITIES,
    AssetKind,
    AssetState,
    Capability,
    Measured,
    Snapshot,
    battery_capability,
)

_S_PER_H = 3600.0
_MEASURED = frozenset({*BATTERY_CAPABILITIES, Capability.LIMIT_GENERATION})
# Source: field proposal for the effect check, the larger of 5 % and 100 W.
TOLERANCE_SHARE = 0.05
TOLERANCE_W = 100.0


def tolerance_w(bound_w: float) -> float:
    """Return how far a measured power may stand from a bound and still count as there."""
    return max(TOLERANCE_W, TOLERANCE_SHARE * abs(bound_w))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the site could do now.

    Args:
        charge_w: Sum that its batteries could charge with, zero or greater.
        discharge_w: Sum that they could give, a magnitude.
        room_wh: Energy that they can still take up; ``None`` where the capacity is not known.
        store_wh: Energy that they can still give.
        import_w_min: Lowest power at the connection point in reach, likely load; ``None`` with a blind meter.
        loads: Those that can be limited or switched.
        batteries: How many batteries can be reached.
        limits_export: Whether anything could hold export back.
    """

    charge_w: float = 0.0
    discharge_w: float = 0.0
    room_wh: float | None = None
    store_wh: float | None = None
    import_w_min: float | None = None
    loads: frozenset[str] = frozenset()
    batteries: int = 0
    limits_export: bool = False


def seen(snapshot: Snapshot) -> bool:
    """Say whether everything was read by which an order is judged: every power, and how full batteries are."""
    return snapshot.connection_power.usable() is not None and all(_seen(asset) for asset in snapshot.assets)


def _seen(asset: AssetState) -> bool:
    if not asset.online:
        return False
    if not asset.capabilities & _MEASURED:
        return True
    known = battery_capability(asset.capabilities) is None or (asset.soc_percent or Measured()).value is not None
    return known and asset.power.usable() is not None


def reach(env: Envelope, *, capacity_wh: dict[str, float]) -> Reach:
    """Return what the site could do in this envelope; capacities are usable energy by asset."""
    batteries = [(item, own) for item, own in env.levers if item.capability in BATTERY_CAPABILITIES]
    generators = [item for item, _ in env.levers if item.capability is Capability.LIMIT_GENERATION]
    loads = [item for item, _ in env.levers if item.capability in LOAD_CAPABILITIES]
    known = all(item.asset.id in capacity_wh for item, _ in batteries)
    room_wh = sum(_energy(item.asset, capacity_wh, upward=True) for item, _ in batteries) if known else None
    store_wh = sum(_energy(item.asset, capacity_wh, upward=False) for item, _ in batteries) if known else None
    import_w_min = None
    if env.rest_likely_w is not None:
        generation_w = sum(item.measured_w or 0.0 for item in generators)
        import_w_min = env.rest_likely_w + generation_w + sum(own.min_w for _, own in batteries)
    return Reach(
        charge_w=sum(own.max_w for _, own in batteries),
        discharge_w=-sum(own.min_w for _, own in batteries),
        room_wh=room_wh,
        store_wh=store_wh,
        import_w_min=import_w_min,
        loads=frozenset(item.asset.id for item in loads),
        batteries=len(batteries),
        limits_export=bool(generators or batteries or env.export_keepers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasible:
    """Why an order cannot be done; ``nearest`` could, ``None`` where nothing of its kind can."""

    detail: str
    nearest: Action | None


def infeasibility(action: Action, *, able: Reach, lasts_s: float, best_effort: bool) -> Infeasible | None:
    """Return why the site cannot do an action, or ``None`` where it can or is to try.

    A limit of the grid operator is always taken, however little the site can do for it: half a relief is relief, and
    the result is measured. Every other order must be possible in power, and in energy for as long as it lasts.

    Args:
        action: What is asked.
        able: What the site could do now.
        lasts_s: From now to the order's end.
        best_effort: Whether the issuer's limits are taken even where they cannot be reached.
    """
    if isinstance(action, BatteryPower):
        return _battery(action, able, lasts_s)
    if isinstance(action, Switch | LimitLoad) and action.device not in able.loads:
        known = ", ".join(sorted(able.loads)) or "none"
        return Infeasible(detail=f"{action.device} is no load that can be moved now; there are {known}", nearest=None)
    if isinstance(action, LimitExport) and not able.limits_export:
        return Infeasible(detail="nothing on this site can hold export back", nearest=None)
    if isinstance(action, LimitImport) and not best_effort and able.import_w_min is not None:
        lowest_w = max(0, math.ceil(able.import_w_min))
        if lowest_w > action.max_w + tolerance_w(action.max_w):
            return Infeasible(
                detail=f"import of {action.max_w} W is out of reach, the lowest now is {lowest_w} W",
                nearest=LimitImport(max_w=lowest_w),
            )
    return None


def _battery(action: BatteryPower, able: Reach, lasts_s: float) -> Infeasible | None:
    if not able.batteries:
        return Infeasible(detail="no battery can be reached", nearest=None)
    charging = action.power_w >= 0
    power_w = able.charge_w if charging else able.discharge_w
    energy_wh = able.room_wh if charging else able.store_wh
    if energy_wh is not None and lasts_s > 0:
        power_w = min(power_w, energy_wh * _S_PER_H / lasts_s)
    if abs(action.power_w) <= power_w:
        return None
    nearest_w = math.floor(power_w) if charging else -math.floor(power_w)
    return Infeasible(
        detail=f"battery power of {action.power_w} W for {lasts_s:.0f} s is beyond {nearest_w} W",
        nearest=BatteryPower(power_w=nearest_w),
    )


def _energy(asset: AssetState, capacity_wh: dict[str, float], *, upward: bool) -> float:
    """Return the energy in Wh that a battery can still take up (or give) at its terminals."""
    if asset.kind is AssetKind.METER:
        return 0.0
    soc_percent = (asset.soc_percent or Measured()).value
    if soc_percent is None:
        return 0.0
    share = asset.soc_percent_max - soc_percent if upward else soc_percent - asset.soc_percent_min
    energy_wh = max(0.0, share) / 100.0 * capacity_wh[asset.id]
    return energy_wh / asset.efficiency if upward else energy_wh * asset.efficiency
