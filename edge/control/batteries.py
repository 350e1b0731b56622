"""What the batteries of a site do together, and who decided it."""

from dataclasses import dataclass

from edge.control.arbiter import Arbitration, Grant, Step
from edge.control.envelope import Envelope
from edge.control.levers import Lever
from edge.control.model import BATTERIES, CONNECTION, Interval, Priority, Reason, Request

# A wish that is missed by less is met: no device resolves it.
_UNMET_W = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryPlan:
    """The sum for all batteries.

    Args:
        total_w: To command, positive charging.
        room: Range that every bound together leaves for the sum.
        ranges: Range of each battery, in the order given, wide enough for the total.
        decided_by: The request that set the total; ``None`` for protection and fuse.
        reason: Why the total is what it is.
        bounded_by: Requests that took part, whose end ends the setpoint.
        unmet: The request whose wish was followed only as far as ``decided_by`` or protection let it.
    """

    total_w: float
    room: Interval
    ranges: tuple[Interval, ...]
    decided_by: Request | None
    reason: Reason
    bounded_by: tuple[Request, ...]
    unmet: Request | None


def plan_batteries(
    env: Envelope,
    arbitration: Arbitration,
    batteries: tuple[Lever, ...],
    *,
    others_w: float,
    generation_low_w: float,
) -> BatteryPlan:
    """Return what the batteries shall do together.

    From the highest priority down, each step narrows the room of the sum; inside what is left the highest wish is
    followed. A bound at the connection point is turned into one on the sum by the plausible power of everything else.

    Args:
        env: The safe range.
        arbitration: What each requester was left.
        batteries: The levers that can be moved.
        others_w: Expected power of generation and switched loads, for import and for the wish.
        generation_low_w: What generation could be if nothing held it, for export: batteries charge before it is
            curtailed.
    """
    grants = tuple(_with_wish(arbitration, arbitration.grants[battery.resource]) for battery in batteries)
    room = Interval(
        sum(grant.steps[0].interval.min_w for grant in grants), sum(grant.steps[0].interval.max_w for grant in grants)
    )
    low_by: Step | None = None
    high_by: Step | None = None
    for step, wanted in _steps(env, arbitration, grants, others_w=others_w, generation_low_w=generation_low_w):
        narrowed = room.narrowed(wanted)
        low_by = step if narrowed.min_w > room.min_w else low_by
        high_by = step if narrowed.max_w < room.max_w else high_by
        room = narrowed
    wish_w, wisher = _wish(env, arbitration, others_w)
    wanted_w = wish_w or 0.0
    total_w = room.clamp(wanted_w)
    binding = low_by if wanted_w < room.min_w else high_by if wanted_w > room.max_w else None
    if binding is None and room.min_w == room.max_w != wanted_w:
        # A bound beyond reach leaves the batteries at their end: it is still the bound that holds them there.
        binding = high_by or low_by
    decided_by = binding.request if binding else wisher
    if binding is not None:
        reason = _reason(binding)
    elif env.rest_likely_w is None:
        reason = Reason.BLIND_METER
    else:
        reason = wisher.reason if wisher else Reason.DEVICE_LIMIT
    parts = (wisher, low_by.request if low_by else None, high_by.request if high_by else None)
    return BatteryPlan(
        total_w=total_w,
        room=room,
        ranges=_ranges(grants, total_w),
        decided_by=decided_by,
        reason=reason,
        bounded_by=tuple(request for request in parts if request is not None),
        unmet=wisher if batteries and abs(total_w - wanted_w) >= _UNMET_W else None,
    )


def _steps(
    env: Envelope,
    arbitration: Arbitration,
    grants: tuple[Grant, ...],
    *,
    others_w: float,
    generation_low_w: float,
) -> list[tuple[Step, Interval]]:
    """Return every narrowing of the sum, highest priority first; at one priority the connection point goes first."""
    found = [(step.priority, 0, step) for step in arbitration.grants[CONNECTION].steps]
    found += [(step.priority, 1, step) for step in arbitration.grants[BATTERIES].steps[1:]]
    found += [(step.priority, 2, step) for grant in grants for step in grant.steps[1:]]
    found.sort(key=lambda item: item[:2])
    steps = []
    for priority, kind, step in found:
        if kind == 0:
            wanted = _from_connection(env, step.interval, others_w=others_w, generation_low_w=generation_low_w)
        elif kind == 1:
            wanted = step.interval
        else:
            ranges = [grant.above(priority) for grant in grants]
            wanted = Interval(sum(own.min_w for own in ranges), sum(own.max_w for own in ranges))
        steps.append((step, wanted))
    return steps


def _from_connection(env: Envelope, bound: Interval, *, others_w: float, generation_low_w: float) -> Interval:
    """Return the range of the batteries' sum that keeps the connection point inside a bound.

    With a blind meter any battery power may break it, so only rest is left. Where the worst of what cannot be seen
    would ask for both more and less, the likely power decides.
    """
    if env.rest_likely_w is None:
        return Interval(0.0, 0.0)
    highest_w = bound.max_w - env.rest.max_w - others_w
    lowest_w = bound.min_w - env.rest.min_w - generation_low_w
    if lowest_w > highest_w:
        highest_w = bound.max_w - env.rest_likely_w - others_w
        lowest_w = min(bound.min_w - env.rest_likely_w - generation_low_w, highest_w)
    return Interval(lowest_w, highest_w)


def _with_wish(arbitration: Arbitration, grant: Grant) -> Grant:
    """Return a battery's grant with its own wish as a bound, where no wish on the whole stands above it."""
    if grant.wish is None:
        return grant
    whole = (arbitration.grants[BATTERIES].wish, arbitration.grants[CONNECTION].wish)
    priority = grant.wish.request.priority
    if any(wish is not None and wish.request.priority < priority for wish in whole):
        return grant
    pinned = Interval(grant.wish.power_w, grant.wish.power_w)
    above = tuple(step for step in grant.steps if step.priority <= priority)
    return Grant(steps=(*above, Step(priority=priority, interval=pinned, request=grant.wish.request)))


def _wish(env: Envelope, arbitration: Arbitration, others_w: float) -> tuple[float | None, Request | None]:
    """Return the sum that the highest wish asks for, before any bound, and whose it is."""
    batteries, connection = arbitration.grants[BATTERIES].wish, arbitration.grants[CONNECTION].wish
    if batteries is not None and (connection is None or batteries.request.priority <= connection.request.priority):
        return batteries.request.preferred_w, batteries.request
    if connection is None or env.rest_likely_w is None:
        return None, None
    return (connection.request.preferred_w or 0.0) - env.rest_likely_w - others_w, connection.request


def _ranges(grants: tuple[Grant, ...], total_w: float) -> tuple[Interval, ...]:
    """Return each battery's range after all requests, widened by undoing the lowest priorities until the total fits."""
    ranges = tuple(grant.left for grant in grants)
    for priority in sorted({step.priority for grant in grants for step in grant.steps}, reverse=True):
        if sum(own.min_w for own in ranges) <= total_w <= sum(own.max_w for own in ranges):
            break
        ranges = tuple(grant.above(Priority(max(priority - 1, 0))) for grant in grants)
    return ranges


def _reason(step: Step) -> Reason:
    if step.request is not None:
        return step.request.reason
    return Reason.SITE_LIMIT if step.priority is Priority.SITE_FUSE else Reason.DEVICE_LIMIT
