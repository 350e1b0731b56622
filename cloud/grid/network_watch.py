"""The network's part in an event: how it stands, how it would stand without orders, and since when a limit is passed.

Sites and feeder are read at different instants, so what the feeder carries beside its sites follows slowly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cloud.grid.effect import moved_at, natural_of
from cloud.grid.model import Direction, GridSettings, SiteObservation
from cloud.grid.monitor import SustainRule, SustainState, watch
from cloud.grid.network import HYSTERESIS, TOLERANCE, ImpossibleNetwork, Network, Powers, Strain
from cloud.grid.state import Event, EventState, Surroundings
from cloud.grid.supply import SupplySample
from contracts.units import SiteId

Strained = Callable[[Mapping[SiteId, float]], "tuple[Strain, ...] | None"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """The strains of a network at one look.

    ``now`` is as it stands, ``free`` as it would stand without orders, ``after`` returns how it would stand with given
    changes of the sites' connection powers in place of their orders; ``None`` where no state carries them.
    """

    now: tuple[Strain, ...]
    free: tuple[Strain, ...]
    after: Strained

    def passed(self, direction: Direction) -> tuple[str, ...]:
        """Return the limits that would be passed without orders, and are relieved by moving this way."""
        return tuple(one.place for one in self.free if one.direction is direction and one.beyond > TOLERANCE)

    def calm(self, direction: Direction) -> bool:
        """Return whether the network would be well within its limits without orders."""
        return all(one.beyond <= -HYSTERESIS[one.quantity] for one in self.free if one.direction is direction)


def look_at(network: Network, state: EventState, *, fresh: Mapping[SiteId, SiteObservation]) -> Look | None:
    """Return how a network stands, ``None`` where that is not known: nothing was measured, or nothing carries it."""
    around = state.surroundings
    if around is None or not fresh.keys() >= set(around.sites):
        return None
    # Who came since the feeder was read is still among what it carries beside its sites.
    free_w = _free_w(around.sites, state, fresh)

    def powers(sites: Mapping[SiteId, float]) -> Powers:
        return Powers(sites=sites, others_w=around.others_w, meter_v=around.meter_v)

    def after(changes_w: Mapping[SiteId, float]) -> tuple[Strain, ...] | None:
        moved = {site: free_w.get(site, 0.0) + changes_w.get(site, 0.0) for site in {*free_w, *changes_w}}
        try:
            return network.strains(powers(moved))
        except ImpossibleNetwork:
            return None

    try:
        now = network.strains(powers({site: fresh[site].connection_power_w or 0.0 for site in free_w}))
        free = now if state.event is None else network.strains(powers(free_w))
    except ImpossibleNetwork:
        return None
    return Look(now=now, free=free, after=after)


def take_surroundings(
    state: EventState,
    *,
    network: Network,
    fresh: Mapping[SiteId, SiteObservation],
    supply: Sequence[SupplySample],
    settings: GridSettings,
) -> EventState:
    """Follow what the feeder carries beside its known sites, and the voltage at its meter, with each new sample."""
    if state.power_w is None or state.power_at is None:
        return state
    before = state.surroundings
    if before is not None and state.power_at <= before.at:
        return state
    event = state.event
    sites = _free_w(sorted(network.sites & fresh.keys()), state, fresh)
    moved_w = sum(moved_at(part, state.power_at) for part in event.parts) if event is not None else 0.0
    sign = event.direction.sign if event is not None else 1
    others_w = state.power_w - sign * moved_w - sum(sites.values())
    meter_v = _meter_v(supply, settings)
    if before is not None:
        weight = min(1.0, (state.power_at - before.at).total_seconds() / settings.baseline_s)
        if before.meter_v is not None:
            meter_v = before.meter_v if meter_v is None else before.meter_v + weight * (meter_v - before.meter_v)
        if before.sites == tuple(sites):  # Who comes or falls silent moves between the two all at once.
            others_w = before.others_w + weight * (others_w - before.others_w)
    around = Surroundings(at=state.power_at, sites=tuple(sites), others_w=others_w, meter_v=meter_v)
    return replace(state, surroundings=around)


def take_strains(state: EventState, look: Look, settings: GridSettings) -> EventState:
    """Note since when a limit of the network has been passed, for each direction; only a newer sample counts."""
    if state.power_at is None:
        return state
    rule = SustainRule(
        bound=TOLERANCE,
        raise_after_s=settings.overload_s,
        clear_after_s=settings.overload_s,
        # Sites tell their powers up to a minute late; between two looks what they told last holds.
        gap_s_max=settings.blind_s_max,
    )

    def watched(before: SustainState, direction: Direction, at: datetime) -> SustainState:
        worst = max((one.beyond for one in look.now if one.direction is direction), default=-1.0)
        return watch(before, value=worst, at=at, rule=rule)[0]

    return replace(
        state,
        network_import_watch=watched(state.network_import_watch, Direction.REDUCE_IMPORT, state.power_at),
        network_export_watch=watched(state.network_export_watch, Direction.REDUCE_EXPORT, state.power_at),
    )


def _free_w(sites: Sequence[SiteId], state: EventState, fresh: Mapping[SiteId, SiteObservation]) -> dict[SiteId, float]:
    """Return what each of these sites draws, in an event what it would draw without its order."""
    event: Event | None = state.event
    if event is None:
        return {site: fresh[site].connection_power_w or 0.0 for site in sites}
    return {
        site: natural_of(
            event.part(site), seen=fresh[site], baseline=state.baseline(site), direction=event.direction
        ).connection_w
        for site in sites
    }


def _meter_v(supply: Sequence[SupplySample], settings: GridSettings) -> float | None:
    """Return the mean voltage of the newest sample that has all three phases alive."""
    for sample in reversed(supply):
        if len(sample.voltage_v) == 3 and min(sample.voltage_v) > 0.5 * settings.nominal_v:
            return sum(sample.voltage_v) / 3
    return None
