"""Who wins: requests from the highest priority down, each moving only inside what those above it left.

Nested bounds, where a lower level is told what is left to it, are the idea of the Frequenz SDK's power manager. Unlike
there, the highest preference counts: a schedule is not undone by the self-consumption below it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from edge.control.model import (
    BATTERIES,
    CONNECTION,
    LOADS,
    Interval,
    Link,
    Outcome,
    Priority,
    Request,
    Resource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The range of a resource after one priority narrowed it; ``request`` is ``None`` for the safe range itself."""

    priority: Priority
    interval: Interval
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The preference that is followed on a resource, already inside what was left to its requester."""

    power_w: float
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What arbitration left of one resource: ``steps`` from the safe range down, each inside the one before."""

    steps: tuple[Step, ...]
    wish: Wish | None = None

    @property
    def left(self) -> Interval:
        """Return the range after everybody."""
        return self.steps[-1].interval

    def above(self, priority: Priority) -> Interval:
        """Return the range that requesters of this priority and higher ones left."""
        found = self.steps[0].interval
        for step in self.steps:
            if step.priority > priority:
                break
            found = step.interval
        return found

    def owner(self, *, of_max: bool) -> str:
        """Name who set the upper end in force (or the lower)."""
        for step in reversed(self.steps):
            if (step.interval.max_w if of_max else step.interval.min_w) != (
                self.left.max_w if of_max else self.left.min_w
            ):
                break
            found = step
        return found.request.requester if found.request else found.priority.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arbitration:
    """The grants by resource, and the reason chain from the highest priority down."""

    grants: dict[Resource, Grant]
    chain: tuple[Link, ...]


def arbitrate(
    *, connection: Interval, levers: dict[Resource, Interval], requests: Iterable[Request], now_s: float
) -> Arbitration:
    """Return what is left of each resource after every live request, and who took what.

    An expired request is not looked at. Two requests of one priority are taken in the order of their requesters'
    names, so the outcome does not depend on who came first.
    """
    grants = {
        CONNECTION: Grant(steps=(Step(priority=Priority.SITE_FUSE, interval=connection),)),
        BATTERIES: Grant(steps=(Step(priority=Priority.DEVICE_PROTECTION, interval=Interval()),)),
        LOADS: Grant(steps=(Step(priority=Priority.DEVICE_PROTECTION, interval=Interval()),)),
    }
    for resource, interval in levers.items():
        grants[resource] = Grant(steps=(Step(priority=Priority.DEVICE_PROTECTION, interval=interval),))
    live = [request for request in requests if request.expires_s > now_s]
    live.sort(key=lambda request: (request.priority, request.requester, request.resource))
    chain = []
    for request in live:
        grant = grants.get(request.resource)
        if grant is None:
            chain.append(_link(request, Interval(), Outcome.UNKNOWN_RESOURCE, None))
            continue
        grants[request.resource], link = _take(grant, request)
        chain.append(link)
    return Arbitration(grants=grants, chain=tuple(chain))


def _take(grant: Grant, request: Request) -> tuple[Grant, Link]:
    """Return the grant after one request, and what it is told."""
    before, asked = grant.left, _asked(request)
    after = before.narrowed(asked)
    wish = grant.wish
    if wish is None:
        if request.preferred_w is not None:
            wish = Wish(power_w=after.clamp(request.preferred_w), request=request)
    elif not after.contains(wish.power_w):
        # A bound from below does not undo the wish of someone above.
        after = Interval(min(after.min_w, wish.power_w), max(after.max_w, wish.power_w))
    steps = grant.steps
    if after != before:
        steps = (*steps, Step(priority=request.priority, interval=after, request=request))
    outcome, clipped_by = _outcome(grant, request, before, after)
    return Grant(steps=steps, wish=wish), _link(request, after, outcome, clipped_by)


def _outcome(grant: Grant, request: Request, before: Interval, after: Interval) -> tuple[Outcome, str | None]:
    asked = _asked(request)
    if asked.min_w > before.max_w:
        return Outcome.DISPLACED, grant.owner(of_max=True)
    if asked.max_w < before.min_w:
        return Outcome.DISPLACED, grant.owner(of_max=False)
    if grant.wish is not None and (request.preferred_w is not None or after != before.narrowed(asked)):
        return Outcome.OUTRANKED, grant.wish.request.requester
    # An endless wish is for as much as there is.
    if request.preferred_w is not None and isfinite(request.preferred_w) and not after.contains(request.preferred_w):
        too_high = request.preferred_w > after.max_w
        inside_asked = asked.contains(request.preferred_w)
        return Outcome.CLIPPED, grant.owner(of_max=too_high) if inside_asked else request.requester
    if before.max_w < asked.max_w < float("inf"):
        return Outcome.HELD, grant.owner(of_max=True)
    if float("-inf") < asked.min_w < before.min_w:
        return Outcome.HELD, grant.owner(of_max=False)
    return Outcome.HELD, None


def _asked(request: Request) -> Interval:
    """Return the bounds of a request; where they contradict each other the upper one counts."""
    return Interval(min(request.min_w, request.max_w), request.max_w)


def _link(request: Request, left: Interval, outcome: Outcome, clipped_by: str | None) -> Link:
    return Link(
        requester=request.requester,
        priority=request.priority,
        resource=request.resource,
        reason=request.reason,
        asked=_asked(request),
        preferred_w=request.preferred_w,
        left=left,
        outcome=outcome,
        clipped_by=clipped_by,
    )
