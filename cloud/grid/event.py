"""What the grid agent does about an overloaded feeder: one table of states, and one function that moves through it.

``advance`` is called with whatever was seen since the last call, at least every few seconds. It never waits for an
answer: an order that is not confirmed in time is given to the next cheapest site. Nothing rests on silence: orders
expire by themselves, and are renewed only while the event lasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.grid import dealing, judging
from cloud.grid.actions import Broadcast, EvidenceKind, GridAction, RecordEvent, RecordEvidence
from cloud.grid.effect import baseline_after, fresh_observations, take_observation, uncurtailed_w
from cloud.grid.model import Direction, FlexibleSite, GridSettings, PowerSample, SiteObservation
from cloud.grid.monitor import SustainRule, watch
from cloud.grid.network import Network
from cloud.grid.network_watch import Look, look_at, take_strains, take_surroundings
from cloud.grid.state import Event, EventState
from cloud.grid.supply import SupplySample, disturbances, take_supply, unobservable
from contracts.control import CommandAck
from contracts.grid import Disturbance, FeederState, GridBroadcast


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen since the last call; samples in time order, at most one observation a site (its newest)."""

    feeder: tuple[PowerSample, ...] = ()
    sites: tuple[SiteObservation, ...] = ()
    acks: tuple[CommandAck, ...] = ()
    supply: tuple[SupplySample, ...] = ()


class Trigger(StrEnum):
    """What moves the machine."""

    OVERLOAD = "overload"
    WITHIN_LIMIT = "within_limit"
    CALM = "calm"
    STRESS = "stress"
    BLIND = "blind"
    ALL_RELEASED = "all_released"


TRANSITIONS: dict[tuple[FeederState, Trigger], FeederState] = {
    (FeederState.NORMAL, Trigger.OVERLOAD): FeederState.OVERLOADED,
    (FeederState.OVERLOADED, Trigger.WITHIN_LIMIT): FeederState.LIMITING,
    (FeederState.OVERLOADED, Trigger.BLIND): FeederState.RELEASING,
    (FeederState.LIMITING, Trigger.OVERLOAD): FeederState.OVERLOADED,
    (FeederState.LIMITING, Trigger.CALM): FeederState.RELEASING,
    (FeederState.LIMITING, Trigger.BLIND): FeederState.RELEASING,
    (FeederState.RELEASING, Trigger.OVERLOAD): FeederState.OVERLOADED,
    (FeederState.RELEASING, Trigger.STRESS): FeederState.LIMITING,
    (FeederState.RELEASING, Trigger.ALL_RELEASED): FeederState.NORMAL,
}

PLACES_MAX = 16  # Limits within a network that an event names.

# Of several triggers at once the first of these counts.
_URGENCY = (
    Trigger.BLIND,
    Trigger.OVERLOAD,
    Trigger.STRESS,
    Trigger.ALL_RELEASED,
    Trigger.WITHIN_LIMIT,
    Trigger.CALM,
)


def advance(
    state: EventState,
    observation: Observation,
    sites: Sequence[FlexibleSite],
    settings: GridSettings,
    now: datetime,
    *,
    network: Network | None = None,
) -> tuple[EventState, tuple[GridAction, ...]]:
    """Take in what was seen, move the event on, and return what is to be done.

    Args:
        state: What the last call returned; ``EventState()`` at the beginning.
        observation: What was seen since.
        sites: What each site has agreed to offer.
        settings: The feeder's limits and how they are held.
        now: The instant of this call, not before that of the last one.
        network: The feeder's network, where it is known: limits within it are held too. Without one, only its meter's.
    """
    actions: list[GridAction] = []
    before = state
    fresh = fresh_observations(observation.sites, now=now, stale_s=settings.stale_s)
    state = _take_feeder(state, observation.feeder, settings, now)
    state = replace(state, supply=take_supply(state.supply, observation.supply, settings))
    state = _take_baselines(state, observation.sites, settings)
    if state.event is not None:
        event, seen_actions = judging.take_acks(state.event, observation.acks, now=now)
        actions += seen_actions
        event = _take_sites(event, observation.sites, state.power_at)
        event, seen_actions = judging.metered(event, observation.sites, now=now, every_s=settings.evidence_s)
        actions += seen_actions
        state = replace(state, event=event)
    look = None
    if network is not None:
        state = take_surroundings(state, network=network, fresh=fresh, supply=observation.supply, settings=settings)
        look = look_at(network, state, fresh=fresh)
        state = state if look is None else take_strains(state, look, settings)
    # Where the network is known and cannot be told now, what was ordered for its sake stands.
    unseen = network is not None and look is None
    if state.event is not None:
        state = replace(state, event=_take_calm(state.event, state, look, settings, now, unseen=unseen))
    state, trigger = _move(state, look, settings, now)
    if trigger is not None and state.event is not None:
        actions.append(
            _evidence_of_move(state.event, state, old=before.state, trigger=trigger, settings=settings, now=now)
        )
    if state.event is not None:
        event, done = _act(state, state.event, look, fresh=fresh, sites=sites, settings=settings, now=now)
        actions += done
        state = replace(state, event=event)
    state, said = _tell(before, state, settings, now)
    return state, (*actions, *said)


def _take_feeder(
    state: EventState, samples: Sequence[PowerSample], settings: GridSettings, now: datetime
) -> EventState:
    """Run both overload detectors over the new samples and keep the newest power and the event's peak."""

    def rule(bound: int) -> SustainRule:
        return SustainRule(
            bound=bound,
            raise_after_s=settings.overload_s,
            clear_after_s=settings.overload_s,
            gap_s_max=settings.gap_s_max,
        )

    import_rule, export_rule = rule(settings.import_limit_w), rule(settings.export_limit_w)
    for sample in samples:
        if state.power_at is not None and sample.at <= state.power_at:
            continue
        power_w = sample.power_w
        import_watch, _ = watch(state.import_watch, value=power_w, at=sample.at, rule=import_rule)
        exported_w = None if power_w is None else -power_w
        export_watch, _ = watch(state.export_watch, value=exported_w, at=sample.at, rule=export_rule)
        state = replace(state, import_watch=import_watch, export_watch=export_watch)
        if power_w is None:
            continue
        state = replace(state, power_w=power_w, power_at=sample.at, heard_at=now)
        if state.event is not None:
            loading_w = -state.event.direction.sign * power_w
            state = replace(state, event=replace(state.event, peak_w=max(state.event.peak_w, loading_w)))
    return state


def _take_baselines(state: EventState, seen: Sequence[SiteObservation], settings: GridSettings) -> EventState:
    """Follow each site's powers while nothing is asked of anyone; an event freezes them."""
    if state.event is not None:
        return state
    kept = {baseline.site: baseline for baseline in state.baselines}
    for observation in seen:
        baseline = baseline_after(kept.get(observation.site), seen=observation, window_s=settings.baseline_s)
        if baseline is not None:
            kept[observation.site] = baseline
    return replace(state, baselines=tuple(kept[site] for site in sorted(kept)))


def _take_sites(event: Event, observations: Sequence[SiteObservation], feeder_at: datetime | None) -> Event:
    """Let each participating site's newest observation into its part."""
    seen = {observation.site: observation for observation in observations}
    parts = tuple(
        take_observation(part, seen=seen[part.site], direction=event.direction, feeder_at=feeder_at)
        if part.site in seen
        else part
        for part in event.parts
    )
    return replace(event, parts=parts)


def _take_calm(
    event: Event, state: EventState, look: Look | None, settings: GridSettings, now: datetime, *, unseen: bool
) -> Event:
    """Note since when the feeder would have been well below its limits without any order."""
    loading_w = _uncurtailed_w(event, state)
    if loading_w is None or loading_w > event.limit_w - settings.hysteresis_w:
        return replace(event, calm_since_at=None)
    if (unseen and event.places) or (look is not None and not look.calm(event.direction)):
        return replace(event, calm_since_at=None)
    return event if event.calm_since_at is not None else replace(event, calm_since_at=now)


def _uncurtailed_w(event: Event, state: EventState) -> float | None:
    if state.power_w is None or state.power_at is None:
        return None
    return uncurtailed_w(event, power_w=state.power_w, at=state.power_at)


def _raised(state: EventState, direction: Direction) -> bool:
    """Return whether the feeder's limit, or one within its network, is passed that moving this way relieves."""
    if direction is Direction.REDUCE_IMPORT:
        return state.import_watch.raised or state.network_import_watch.raised
    return state.export_watch.raised or state.network_export_watch.raised


def _triggers(state: EventState, look: Look | None, settings: GridSettings, now: datetime) -> set[Trigger]:
    """Return everything that holds now."""
    event = state.event
    if event is None:
        raised = any(_raised(state, direction) for direction in Direction)
        heard = state.heard_at is not None and (now - state.heard_at).total_seconds() <= settings.blind_s_max
        return {Trigger.OVERLOAD} if raised and heard else set()
    found = set()
    found.add(Trigger.OVERLOAD if _raised(state, event.direction) else Trigger.WITHIN_LIMIT)
    # What counts is that the meter is heard of: late readings still lead the right way, silence does not.
    if state.heard_at is None or (now - state.heard_at).total_seconds() > settings.blind_s_max:
        return {Trigger.BLIND, *({Trigger.ALL_RELEASED} if _all_released(event) else ())}
    if event.calm_since_at is not None and (now - event.calm_since_at).total_seconds() >= settings.calm_s:
        found.add(Trigger.CALM)
    loading_w = _uncurtailed_w(event, state)
    strained = look is not None and bool(look.passed(event.direction))
    if strained or (loading_w is not None and loading_w > event.limit_w):
        found.add(Trigger.STRESS)
    if _all_released(event):
        found.add(Trigger.ALL_RELEASED)
    return found


def _all_released(event: Event) -> bool:
    return all(part.order is None for part in event.parts)


def _move(
    state: EventState, look: Look | None, settings: GridSettings, now: datetime
) -> tuple[EventState, Trigger | None]:
    """Make the one move that the most urgent trigger allows, and set what belongs to the new state."""
    found = _triggers(state, look, settings, now)
    for trigger in _URGENCY:
        target = TRANSITIONS.get((state.state, trigger)) if trigger in found else None
        if target is not None:
            return _entered(replace(state, state=target), look, settings, now), trigger
    return state, None


def _entered(state: EventState, look: Look | None, settings: GridSettings, now: datetime) -> EventState:
    event = state.event
    if event is None:
        return replace(state, event=_strained(_begin(state, settings, now), look))
    if state.state is FeederState.RELEASING:
        return replace(state, event=replace(event, release_started_at=now))
    if event.release_started_at is None or state.state is FeederState.NORMAL:
        return state
    # The load came back during the release: what is needed is measured anew.
    return replace(state, event=replace(event, release_started_at=None, calm_since_at=None, need_w=0.0))


def _begin(state: EventState, settings: GridSettings, now: datetime) -> Event:
    """Open an event, named after its feeder and its instant."""
    if state.import_watch.raised or state.export_watch.raised:
        by_import = state.import_watch.raised
    else:
        by_import = state.network_import_watch.raised
    direction = Direction.REDUCE_IMPORT if by_import else Direction.REDUCE_EXPORT
    return Event(
        event_id=f"dr-{settings.feeder[:20]}-{now:%Y%m%dT%H%M%S}",
        direction=direction,
        detected_at=now,
        limit_w=settings.limit_w(direction),
        peak_w=-direction.sign * (state.power_w or 0.0),
    )


def _strained(event: Event, look: Look | None) -> Event:
    """Return the event with the limits within the network that it is for."""
    if look is None:
        return event
    return replace(event, places=tuple(sorted({*event.places, *look.passed(event.direction)}))[:PLACES_MAX])


def _act(
    state: EventState,
    event: Event,
    look: Look | None,
    *,
    fresh: dict[str, SiteObservation],
    sites: Sequence[FlexibleSite],
    settings: GridSettings,
    now: datetime,
) -> tuple[Event, list[GridAction]]:
    """Give, renew, replace or take back orders, as the state asks for."""
    if state.state is FeederState.NORMAL:
        return event, []
    if state.state is FeederState.RELEASING:
        return dealing.release(event, fresh=fresh, sites=sites, settings=settings, now=now)
    event, actions = judging.replace_failed(event, settings=settings, now=now)
    loading_w = _uncurtailed_w(event, state)
    if loading_w is not None:
        event = replace(event, need_w=_need_w(event, loading_w, settings))
    event = _strained(event, look)
    baselines = {baseline.site: baseline for baseline in state.baselines}
    event, ordered = dealing.order(
        event, fresh=fresh, baselines=baselines, sites=sites, settings=settings, now=now,
        strained=look.after if look is not None else None,
    )  # fmt: skip
    return event, [*actions, *ordered]


def _need_w(event: Event, loading_w: float, settings: GridSettings) -> float:
    """Return the change that the event needs: it only rises, and where it rises again it runs a margin ahead.

    A load that ramps would otherwise be followed by a new order at every look, each a little too late.
    """
    need_w = loading_w - (event.limit_w - settings.margin_w)
    if need_w <= event.need_w:
        return event.need_w
    return need_w + settings.margin_w if event.need_w > 0 else need_w


def _evidence_of_move(
    event: Event, state: EventState, *, old: FeederState, trigger: Trigger, settings: GridSettings, now: datetime
) -> RecordEvidence:
    kind = EvidenceKind.STATE
    if old is FeederState.NORMAL:
        kind = EvidenceKind.DETECTED
    elif state.state is FeederState.NORMAL:
        kind = EvidenceKind.ENDED
    return RecordEvidence(
        event_id=event.event_id,
        kind=kind,
        at=now,
        fields={
            "feeder": settings.feeder,
            "from": old,
            "to": state.state,
            "trigger": trigger,
            "direction": event.direction,
            "power_w": state.power_w,
            "limit_w": event.limit_w,
            "uncurtailed_w": _uncurtailed_w(event, state),
            "delivered_wh": round(sum(part.delivered_wh for part in event.parts), 1),
            **({"network": "; ".join(event.places)} if event.places else {}),
        },
    )


def _tell(
    before: EventState, state: EventState, settings: GridSettings, now: datetime
) -> tuple[EventState, list[GridAction]]:
    """Broadcast what stands when it changes and now and then, keep the event's summary, and close an ended event."""
    actions: list[GridAction] = []
    event = state.event
    ended = event is not None and state.state is FeederState.NORMAL
    if event is not None and (event != before.event or ended):
        actions.append(summary(event, state=state.state, settings=settings, ended_at=now if ended else None))
    due = state.broadcast_at is None or now - state.broadcast_at >= timedelta(seconds=settings.broadcast_s)
    told = disturbances(state.supply)
    if state.heard_at is not None and (now - state.heard_at).total_seconds() > settings.blind_s_max:
        told = (*told, Disturbance.NO_READING)
    if state.state is not before.state or told != before.told or due:
        state = replace(state, broadcast_at=now, told=told)
        import_side = event is None or event.direction is Direction.REDUCE_IMPORT
        actions.append(
            Broadcast(
                message=GridBroadcast(
                    zone=settings.zone,
                    feeder=settings.feeder,
                    at=now,
                    state=state.state,
                    power_w=state.power_w,
                    limit_w=settings.import_limit_w if import_side else settings.export_limit_w,
                    event_id=event.event_id if event is not None else None,
                    disturbances=told,
                    unobservable=unobservable(state.supply),
                )
            )
        )
    return (replace(state, event=None) if ended else state), actions


def summary(event: Event, *, state: FeederState, settings: GridSettings, ended_at: datetime | None) -> RecordEvent:
    """Return the public summary of an event."""
    return RecordEvent(
        event_id=event.event_id,
        feeder=settings.feeder,
        direction=event.direction,
        state=state,
        detected_at=event.detected_at,
        limit_w=event.limit_w,
        peak_w=event.peak_w,
        need_w=event.need_w,
        shortfall_w=event.shortfall_w,
        sites=tuple(part.site for part in event.parts),
        commands=event.commands,
        applied=event.applied,
        effective=event.effective,
        rejected=event.rejected,
        delivered_wh=round(sum(part.delivered_wh for part in event.parts)),
        effective_at=event.effective_at,
        effect_ms=event.effect_ms,
        released=ended_at is not None,
        ended_at=ended_at,
        places=event.places,
        left=event.left,
    )
