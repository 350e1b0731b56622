"""The grid operator's limit as a state machine, in the manner of EEBUS LPC and LPP; and the limits that law writes.

One machine serves one direction (consumption or production). The network order, its heartbeat and a wired relay drive
it. A timer alone never lifts a limit: leaving the failsafe state needs to hear from the controller again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.control.model import CONNECTION, Priority, Reason, Request

# Source: LPC and LPP as implemented by evcc (hems/eebus), 120 s; failsafe at least two hours.
HEARTBEAT_S = 120.0
FAILSAFE_S_MIN = 7200.0
# After a heartbeat came back and no limit came with it. Source: the same, 120 s.
RELEASE_WINDOW_S = 120.0


class LimitState(StrEnum):
    """Where the limit stands."""

    INIT = "init"
    UNLIMITED_CONTROLLED = "unlimited_controlled"
    LIMITED = "limited"
    FAILSAFE = "failsafe"
    UNLIMITED_AUTONOMOUS = "unlimited_autonomous"


class LimitEvent(StrEnum):
    """What moves it."""

    LIMIT_SET = "limit_set"
    LIMIT_LIFTED = "limit_lifted"
    LIMIT_ENDED = "limit_ended"
    HEARTBEAT_LOST = "heartbeat_lost"
    WINDOW_PASSED = "window_passed"


_S, _E = LimitState, LimitEvent
# ``LIMIT_ENDED`` is the end that the order itself named while its controller was heard. In failsafe ``WINDOW_PASSED``
# needs a heartbeat that came back, the shortest failsafe time, and no limit for 120 s since; after a start, 120 s in
# which no limit came.
TRANSITIONS: Mapping[tuple[LimitState, LimitEvent], LimitState] = {
    (_S.INIT, _E.LIMIT_SET): _S.LIMITED,
    (_S.INIT, _E.LIMIT_LIFTED): _S.UNLIMITED_CONTROLLED,
    (_S.INIT, _E.WINDOW_PASSED): _S.UNLIMITED_AUTONOMOUS,
    (_S.UNLIMITED_CONTROLLED, _E.LIMIT_SET): _S.LIMITED,
    (_S.UNLIMITED_CONTROLLED, _E.LIMIT_LIFTED): _S.UNLIMITED_CONTROLLED,
    (_S.UNLIMITED_CONTROLLED, _E.HEARTBEAT_LOST): _S.FAILSAFE,
    (_S.LIMITED, _E.LIMIT_SET): _S.LIMITED,
    (_S.LIMITED, _E.LIMIT_LIFTED): _S.UNLIMITED_CONTROLLED,
    (_S.LIMITED, _E.LIMIT_ENDED): _S.UNLIMITED_CONTROLLED,
    (_S.LIMITED, _E.HEARTBEAT_LOST): _S.FAILSAFE,
    (_S.FAILSAFE, _E.LIMIT_SET): _S.LIMITED,
    (_S.FAILSAFE, _E.LIMIT_LIFTED): _S.UNLIMITED_CONTROLLED,
    (_S.FAILSAFE, _E.WINDOW_PASSED): _S.UNLIMITED_AUTONOMOUS,
    (_S.UNLIMITED_AUTONOMOUS, _E.LIMIT_SET): _S.LIMITED,
    (_S.UNLIMITED_AUTONOMOUS, _E.LIMIT_LIFTED): _S.UNLIMITED_CONTROLLED,
}


class IllegalLimitStep(ValueError):
    """The machine was asked for a step that it does not have: a mistake of ours."""


class LimitRefused(ValueError):
    """A limit message is absurd; the state did not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What the site fixed: the limit to hold when the controller is not heard, as a magnitude, and the times."""

    failsafe_w: float
    heartbeat_s: float = HEARTBEAT_S
    failsafe_s_min: float = FAILSAFE_S_MIN
    window_s: float = RELEASE_WINDOW_S


@dataclass(frozen=True, slots=True, kw_only=True)
class GridLimit:
    """One direction's limit; a plain value that the caller persists. Instants are monotonic seconds.

    Args:
        state: Where it stands.
        since_s: When it entered the state.
        heard_s: Last heartbeat; at the start, the start.
        limit_w: The magnitude ordered, in ``LIMITED``.
        ends_s: When the order ends by itself; infinite until it is replaced.
        returned_s: In ``FAILSAFE``, when the heartbeat came back.
    """

    state: LimitState
    since_s: float
    heard_s: float
    limit_w: float | None = None
    ends_s: float = float("inf")
    returned_s: float | None = None


def started(*, now_s: float, was: LimitState | None = None) -> GridLimit:
    """Return the machine after a start; one that was limited or in failsafe before is in failsafe now."""
    held = was in (LimitState.LIMITED, LimitState.FAILSAFE)
    return GridLimit(state=LimitState.FAILSAFE if held else LimitState.INIT, since_s=now_s, heard_s=now_s)


def heartbeat(limit: GridLimit, *, now_s: float) -> GridLimit:
    """Return the limit after its controller was heard, by a heartbeat or any genuine message."""
    returned_s = now_s if limit.state is LimitState.FAILSAFE and limit.returned_s is None else limit.returned_s
    return replace(limit, heard_s=now_s, returned_s=returned_s)


def ordered(limit: GridLimit, *, max_w: float | None, ends_s: float = float("inf"), now_s: float) -> GridLimit:
    """Return the limit after a genuine order, which counts as a heartbeat; ``None`` lifts it.

    Raises:
        LimitRefused: The limit is negative or no number, or ends before it begins.
    """
    if max_w is None:
        return _moved(heartbeat(limit, now_s=now_s), LimitEvent.LIMIT_LIFTED, now_s)
    if not math.isfinite(max_w) or max_w < 0:
        raise LimitRefused(f"a limit of {max_w} W is not zero or greater; the state stays {limit.state.value}")
    if ends_s <= now_s:
        raise LimitRefused(f"a limit that ended {now_s - ends_s:.1f} s ago; the state stays {limit.state.value}")
    return replace(
        _moved(heartbeat(limit, now_s=now_s), LimitEvent.LIMIT_SET, now_s), limit_w=float(max_w), ends_s=ends_s
    )


def ticked(limit: GridLimit, settings: LimitSettings, *, now_s: float) -> GridLimit:
    """Return the limit after time passed: call it every cycle."""
    if limit.state is LimitState.INIT and now_s >= _waits_until(limit, settings):
        return _moved(limit, LimitEvent.WINDOW_PASSED, now_s)
    silent = now_s - limit.heard_s >= settings.heartbeat_s
    if silent and (limit.state, LimitEvent.HEARTBEAT_LOST) in TRANSITIONS:
        return _moved(limit, LimitEvent.HEARTBEAT_LOST, now_s)
    if limit.state is LimitState.LIMITED and now_s >= limit.ends_s:
        return _moved(limit, LimitEvent.LIMIT_ENDED, now_s)
    if limit.state is LimitState.FAILSAFE:
        if silent:
            return replace(limit, returned_s=None)
        held = now_s - limit.since_s >= settings.failsafe_s_min
        waited = limit.returned_s is not None and now_s - limit.returned_s >= settings.window_s
        if held and waited:
            return _moved(limit, LimitEvent.WINDOW_PASSED, now_s)
    return limit


def step(state: LimitState, event: LimitEvent) -> LimitState:
    """Return the state that follows.

    Raises:
        IllegalLimitStep: The table has no such step.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalLimitStep(f"a limit in {state.value} has no {event.value}") from None


def bound_w(limit: GridLimit, settings: LimitSettings) -> float | None:
    """Return the magnitude that holds now, ``None`` for no limit; after a start, the failsafe limit."""
    if limit.state is LimitState.LIMITED:
        return limit.limit_w
    if limit.state in (LimitState.INIT, LimitState.FAILSAFE):
        return settings.failsafe_w
    return None


def failsafe_request(limit: GridLimit, settings: LimitSettings, *, requester: str, consumption: bool) -> Request | None:
    """Return what the machine itself asks: the failsafe limit, ``None`` while an order binds or nothing does.

    After a start it ends when waiting for the controller's first limit does. In the failsafe state it has no end: only
    the controller ends it, and a gateway that died cannot hear it.
    """
    if limit.state not in (LimitState.INIT, LimitState.FAILSAFE):
        return None
    waiting = limit.state is LimitState.INIT
    power_w = settings.failsafe_w
    return Request(
        requester=requester,
        resource=CONNECTION,
        priority=Priority.GRID_OPERATOR,
        reason=Reason.GRID_FAILSAFE,
        expires_s=_waits_until(limit, settings) if waiting else float("inf"),
        min_w=float("-inf") if consumption else -power_w,
        max_w=power_w if consumption else float("inf"),
    )


def _waits_until(limit: GridLimit, settings: LimitSettings) -> float:
    return limit.since_s + settings.heartbeat_s


def _moved(limit: GridLimit, event: LimitEvent, now_s: float) -> GridLimit:
    state = step(limit.state, event)
    since_s = limit.since_s if state is limit.state else now_s
    return GridLimit(state=state, since_s=since_s, heard_s=limit.heard_s)
