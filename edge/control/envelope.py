"""What is safe now: the range left to the connection point and to each lever before anyone asks for anything."""

from dataclasses import dataclass, replace
from math import nextafter

from edge.control.levers import Lever, levers_of, worst_power
from edge.control.model import (
    BATTERY_CAPABILITIES,
    AssetKind,
    AssetState,
    Capability,
    ControlSettings,
    Interval,
    Resource,
    Snapshot,
)

# What moves by steps small enough to be held to a phase's fuse.
_PHASED = (*BATTERY_CAPABILITIES, Capability.LIMIT_CONSUMPTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The safe range of one snapshot.

    Args:
        connection: The fuse or contract.
        levers: Each reachable lever with what device protection and the phases leave to it.
        connection_w: Measured at the connection point; ``None`` when the meter is blind.
        rest: Plausible power of everything that is not a reachable lever; unreachable assets at their worst.
        rest_likely_w: The likely power of the same; ``None`` when the meter is blind.
        fresh: Whether every input that counts was fresh.
        seen_s: When the oldest reading of the meter and the levers was taken, which the sum of the rest goes back to.
        alarms: Fixed phrases for an operator.
        export_keepers: Assets that answer and keep an export limit by their own meter.
        feed_in_w_max: What all that generates or stores could feed in together, a magnitude.
    """

    connection: Interval
    levers: tuple[tuple[Lever, Interval], ...]
    connection_w: float | None
    rest: Interval
    rest_likely_w: float | None
    fresh: bool
    seen_s: float
    alarms: tuple[str, ...]
    export_keepers: tuple[AssetState, ...]
    feed_in_w_max: float

    def bounds(self) -> dict[Resource, Interval]:
        """Return the range of every lever by its resource."""
        return {item.resource: allowed for item, allowed in self.levers}


def envelope(snapshot: Snapshot, settings: ControlSettings) -> Envelope:
    """Return what is safe in this snapshot.

    A missing limit counts as the most restrictive; a lever without a usable reading stays out of the sum and is counted
    at its worst, as an unreachable one is.
    """
    levers = levers_of(snapshot)
    connection_w = snapshot.connection_power.usable()
    rest_likely_w, rest = _rest(snapshot, settings, levers, connection_w)
    alarms = []
    if connection_w is None:
        alarms.append("connection point meter is not fresh")
    if any(not asset.online for asset in snapshot.assets):
        alarms.append("an asset cannot be reached and counts at its worst")
    if any(item.measured_w is None for item in levers):
        alarms.append("an asset gives no fresh power and counts at its worst")
    phased = tuple(_within_phases(item, levers, snapshot, settings) for item in levers)
    return Envelope(
        connection=Interval(-settings.export_w_max, settings.import_w_max),
        levers=phased,
        connection_w=connection_w,
        rest=rest,
        rest_likely_w=rest_likely_w,
        fresh=connection_w is not None and all(item.measured_w is not None for item in levers),
        seen_s=snapshot.taken_s
        - max(snapshot.connection_power.age_s, *(item.asset.power.age_s for item in levers), 0.0),
        alarms=tuple(alarms),
        export_keepers=tuple(
            asset for asset in snapshot.assets if asset.online and Capability.EXPORT_LIMIT in asset.capabilities
        ),
        feed_in_w_max=sum(asset.generation_rated_w + (asset.discharge_w_max or 0.0) for asset in snapshot.assets),
    )


def _rest(
    snapshot: Snapshot, settings: ControlSettings, levers: tuple[Lever, ...], connection_w: float | None
) -> tuple[float | None, Interval]:
    """Return the likely power and the plausible range of what is not a reachable lever."""
    if connection_w is None:
        highest_w = settings.import_w_max if settings.rest_w_max is None else settings.rest_w_max
        lost = [worst_power(asset) for asset in snapshot.assets if not asset.online]
        return None, Interval(
            settings.rest_w_min + sum(worst.min_w for worst in lost),
            max(highest_w, settings.rest_w_min) + sum(worst.max_w for worst in lost),
        )
    likely_w = connection_w - sum(item.measured_w or 0.0 for item in levers)
    lowest_w = highest_w = likely_w
    dark = {item.asset.id for item in levers if item.measured_w is None}
    for asset in snapshot.assets:
        if asset.online and asset.id not in dark:
            continue
        if asset.kind is AssetKind.METER:
            continue
        worst = worst_power(asset)
        # The meter already sees the asset where it was last; what it could still add is the way to its worst.
        lowest_w += min(0.0, worst.min_w - (worst.max_w if asset.last_power_w is None else asset.last_power_w))
        highest_w += max(0.0, worst.max_w - (worst.min_w if asset.last_power_w is None else asset.last_power_w))
    return likely_w, Interval(lowest_w, highest_w)


def _within_phases(
    item: Lever, levers: tuple[Lever, ...], snapshot: Snapshot, settings: ControlSettings
) -> tuple[Lever, Interval]:
    """Return a battery, or a load that takes a limit, and its range so narrowed that no phase passes its fuse.

    The room of a phase is shared equally among those on it; a charger that can only be told one current gets what the
    tightest of its phases leaves on each, beside what it draws there itself. A phase that is not measured while it has
    a fuse leaves a battery only its way to rest, and a load what it has.
    """
    if settings.phase_w_max is None or item.capability not in _PHASED or not item.asset.phases:
        return item, item.allowed
    blind = item.allowed.narrowed(
        Interval(0.0, max(item.measured_w or 0.0, item.asset.load_w_min))
        if item.capability is Capability.LIMIT_CONSUMPTION
        else Interval(0.0, 0.0)
    )
    if snapshot.phase_power is None or item.measured_w is None:
        return item, blind
    number = len(item.asset.phases)
    lows_w, highs_w = [], []
    for phase, own_w in zip(item.asset.phases, _own_phases_w(item, item.measured_w), strict=True):
        phase_w = snapshot.phase_power[phase - 1].usable()
        if phase_w is None:
            return item, blind
        users = max(1, sum(1 for other in levers if _is_on_phase(other, phase)))
        highs_w.append(own_w + (settings.phase_w_max - phase_w) / users)
        lows_w.append(own_w - (settings.phase_w_max + phase_w) / users)
    highest_w, lowest_w = number * min(highs_w), number * max(lows_w)
    if item.capability is Capability.LIMIT_CONSUMPTION:
        return _load_within(item, over_all_w=max(0.0, highest_w), over_one_w=max(0.0, highs_w[0]))
    if lowest_w > highest_w:
        return item, item.allowed.narrowed(Interval(0.0, 0.0))
    return item, item.allowed.narrowed(Interval(lowest_w, highest_w))


def _own_phases_w(item: Lever, measured_w: float) -> list[float]:
    """Return what a lever draws on each of its phases: as it tells, else as much on each."""
    number = len(item.asset.phases)
    if item.capability is Capability.LIMIT_CONSUMPTION and item.asset.phase_power is not None:
        told_w = [one.usable() for one in item.asset.phase_power]
        if len(told_w) == number and None not in told_w:
            return [own_w or 0.0 for own_w in told_w]
    return [measured_w / number] * number


def _load_within(item: Lever, *, over_all_w: float, over_one_w: float) -> tuple[Lever, Interval]:
    """Return a load and its range, where a limit below some power is drawn over its first phase alone.

    Args:
        over_all_w: The most that its phases bear where it is drawn over all.
        over_one_w: The most that its first one bears.
    """
    from_w, gap = item.asset.all_phases_from_w, None
    highest_w = over_all_w
    if over_all_w < from_w:
        highest_w = min(over_one_w, nextafter(from_w, 0.0))
    elif over_one_w < from_w:
        gap = Interval(over_one_w, from_w)
    return replace(item, gap=gap), item.allowed.narrowed(Interval(0.0, highest_w))


def _is_on_phase(lever: Lever, phase: int) -> bool:
    """Say whether a lever shares in the room of a phase; a charger without a car does not."""
    is_idle = lever.capability is Capability.LIMIT_CONSUMPTION and lever.asset.connected is False
    return lever.capability in _PHASED and phase in lever.asset.phases and (not is_idle or bool(lever.measured_w))
