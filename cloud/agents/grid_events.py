"""The grid optimisation agent acts: a feeder is held below a lower limit for a while, and what that would take."""

from datetime import datetime, timedelta
from typing import Any, Final

from cloud.agents.skill import AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.relief import CloseRequest, CoordinateAnswer, CoordinateQuestion, EventRequest, EventState


def open_event(ports: Ports, request: EventRequest, now: datetime) -> EventState:
    """Ask the grid agent to hold a feeder below a limit and return which limits hold now."""
    until = now + timedelta(seconds=request.duration_s)
    ports.relief.ask(
        request.feeder,
        direction=request.direction,
        limit_w=request.limit_w,
        at=now,
        until=until,
        reason=request.reason,
    )
    return ports.relief.limits(request.feeder, at=now)


def close_event(ports: Ports, request: CloseRequest, now: datetime) -> EventState:
    """End a request and return which limits hold now; the agent releases the sites in its own steps."""
    ports.relief.lift(request.feeder)
    return ports.relief.limits(request.feeder, at=now)


def coordinate(ports: Ports, question: CoordinateQuestion, now: datetime) -> CoordinateAnswer:
    """Return the cheapest shares of a feeder's sites that would give a relief."""
    return ports.relief.shares(
        question.feeder,
        direction=question.direction,
        need_w=question.need_w,
        duration_s=question.duration_s,
        at=now,
    )


def _opens(ports: Ports, request: EventRequest, now: datetime) -> str | None:
    return ports.relief.refusal(request.feeder, direction=request.direction, limit_w=request.limit_w, at=now)


def _closes(ports: Ports, request: CloseRequest, now: datetime) -> str | None:
    state = ports.relief.limits(request.feeder, at=now)
    return f"{request.feeder} holds its own limits; there is nothing to close" if state.until is None else None


def _skill(
    name: str,
    promise: str,
    effect: Effect,
    roles: frozenset[Role],
    *,
    question: Any,
    answer: Any,
    do: Any,
    judge: Any = None,
) -> AnySkill:
    return Skill(
        name=name,
        promise=promise,
        agent=Agent.GRID_OPTIMISATION,
        effect=effect,
        scope=Scope.ZONE,
        roles=roles,
        question=question,
        answer=answer,
        do=do,
        judge=judge,
        shows_sites=answer is CoordinateAnswer,
    )


_OPERATES: Final = frozenset({Role.OPERATOR, Role.GRID_OPERATOR, Role.AGENT})

SKILLS: Final[tuple[AnySkill, ...]] = (
    _skill(
        "open_event",
        "Hold a feeder below a lower limit for a while: sites are ordered to give relief when its loading passes it.",
        Effect.ACTS,
        _OPERATES,
        question=EventRequest,
        answer=EventState,
        do=open_event,
        judge=_opens,
    ),
    _skill(
        "close_event",
        "End such a request before its time; sites are released in steps.",
        Effect.ACTS,
        _OPERATES,
        question=CloseRequest,
        answer=EventState,
        do=close_event,
        judge=_closes,
    ),
    _skill(
        "coordinate",
        "Find which sites of a feeder would give a relief most cheaply now, and what is missing; nothing is ordered.",
        Effect.PROPOSES,
        _OPERATES,
        question=CoordinateQuestion,
        answer=CoordinateAnswer,
        do=coordinate,
    ),
)
