"""What a cycle decides from while a power is missing: the picture of a moment ago, for a moment.

A marker for "not a number", a value that cannot be, a device that has nothing to say just now: without a power at the
connection point batteries would go to rest and back within two seconds, while nothing changed at the site. A cycle that
misses a power which the last picture had decides from the powers of that picture, all of them: the connection's power
of one instant less a battery's of another is nobody's consumption. What is asked of the site is as of now.

A missing value is bridged until the last good one is ``BRIDGE_S`` old; then it is missing. So a rise that it hides is
met by the first sample that shows it, or by the fallback ``BRIDGE_S`` after the last good one. Source: limits take
effect at the site in less than 5 s (target of the field notes), and a value that no poll renews counts for 5 s too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.units import Quality
from edge.control.levers import levers_of, reading_of
from edge.control.model import AssetState, Measured, Snapshot

# Two samples in a row of values that are read each second, the third up to half a second late, and a cycle to spare
# before a limit's 5 s. A third sample that comes a moment after a cycle is seen by the next, so 3 s would bridge one.
BRIDGE_S = 3.5
# A state of charge is read each 5 to 30 s and counts for a minute (``SOC_FRESH_S``).
SOC_BRIDGE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """What was last known.

    Args:
        base: The last picture that missed nothing which the one before it had, or that it missed for too long.
        charge: By asset, its last usable state of charge and when it was seen.
    """

    base: Snapshot | None = None
    charge: Mapping[str, tuple[float, Measured]] = field(default_factory=dict)


def bridged(newest: Snapshot, bridge: Bridge) -> tuple[Snapshot, Bridge]:
    """Return the picture to decide from, and what to remember; put-in values are substituted, as old as they are."""
    charge = {**bridge.charge}
    for asset in newest.assets:
        if asset.soc_percent is not None and asset.soc_percent.usable() is not None:
            charge[asset.id] = (newest.taken_s, asset.soc_percent)
    known = replace(newest, assets=tuple(_with_charge(one, charge, newest.taken_s) for one in newest.assets))
    if bridge.base is None or not _is_bridged(known, bridge.base):
        return known, Bridge(base=known, charge=charge)
    return _with_powers(known, bridge.base), Bridge(base=bridge.base, charge=charge)


def _is_bridged(newest: Snapshot, base: Snapshot) -> bool:
    """Say whether a power is missing that was there a moment ago, and none for longer."""
    now, aged_s = _powers(newest), newest.taken_s - base.taken_s
    missing = [
        power
        for name, power in _powers(base).items()
        if power.usable() is not None and name in now and now[name].usable() is None
    ]
    return bool(missing) and all(power.age_s + aged_s <= BRIDGE_S for power in missing)


def _powers(snapshot: Snapshot) -> dict[tuple[str, str], Measured]:
    """Return every power that control steers by: the connection's, its phases', and each lever's own."""
    phases = snapshot.phase_power or (Measured(), Measured(), Measured())
    found = {("", f"l{number}"): phase for number, phase in enumerate(phases, 1)}
    found["", "connection"] = snapshot.connection_power
    return found | {
        (item.asset.id, item.capability.value): reading_of(item.asset, item.capability) for item in levers_of(snapshot)
    }


def _with_powers(newest: Snapshot, base: Snapshot) -> Snapshot:
    """Return the newest picture with the powers of an earlier one; an asset that is new keeps its own."""
    aged_s, before = newest.taken_s - base.taken_s, {asset.id: asset for asset in base.assets}
    phases = base.phase_power
    return replace(
        newest,
        connection_power=_put_in(base.connection_power, aged_s),
        phase_power=None
        if phases is None
        else (_put_in(phases[0], aged_s), _put_in(phases[1], aged_s), _put_in(phases[2], aged_s)),
        assets=tuple(
            _with_powers_of(before[one.id], one, aged_s) if one.id in before else one for one in newest.assets
        ),
    )


def _with_powers_of(before: AssetState, asset: AssetState, aged_s: float) -> AssetState:
    return replace(
        asset,
        power=_put_in(before.power, aged_s),
        battery_power=None if before.battery_power is None else _put_in(before.battery_power, aged_s),
        pv_power=None if before.pv_power is None else _put_in(before.pv_power, aged_s),
        phase_power=None
        if before.phase_power is None
        else tuple(_put_in(phase, aged_s) for phase in before.phase_power),
    )


def _with_charge(asset: AssetState, charge: Mapping[str, tuple[float, Measured]], now_s: float) -> AssetState:
    """Return an asset with its last state of charge, where that is missing just now."""
    known = charge.get(asset.id)
    if known is None or (asset.soc_percent is not None and asset.soc_percent.value is not None):
        return asset
    seen_s, soc = known
    if soc.age_s + now_s - seen_s > SOC_BRIDGE_S:
        return asset
    return replace(asset, soc_percent=_put_in(soc, now_s - seen_s))


def _put_in(measured: Measured, aged_s: float) -> Measured:
    quality = Quality.SUBSTITUTED if measured.quality is Quality.GOOD else measured.quality
    return Measured(value=measured.value, quality=quality, age_s=measured.age_s + aged_s)
