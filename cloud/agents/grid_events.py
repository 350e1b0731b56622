"""The grid optimisation agent acts: a feeder is held below a lower limit for a while, and what that would take."""

from datetime import datetime, timedelta
from typing import Any, Final

from cloud.agents.skill import EVERYONE, AnySkill, Ports, Skill
from cloud.errors import SkillError
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.relief import (
    CloseRequest,
    CoordinateAnswer,
    CoordinateQuestion,
    EventRequest,
    EventState,
    ProgrammeQuestion,
    ProgrammeRequest,
    ProgrammeState,
)


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


def response_programme(ports: Ports, question: ProgrammeQuestion, now: datetime) -> ProgrammeState:
    """Return what a kWh of relief is paid at a feeder."""
    del now
    return ports.relief.programme(question.feeder)


def set_response_programme(ports: Ports, request: ProgrammeRequest, now: datetime) -> ProgrammeState:
    """Set the prices of a feeder's programme anew and return them.

    Raises:
        SkillError: An event runs that began under the others, or they would buy nothing.
    """
    if (why := _pays(ports, request, now)) is not None:
        raise SkillError(f"{why}; nothing was changed")
    return ports.relief.pay(
        request.feeder,
        price_mct_per_kwh=request.price_mct_per_kwh,
        penalty_mct_per_kwh=request.penalty_mct_per_kwh,
        reason=request.reason,
    )


def _pays(ports: Ports, request: ProgrammeRequest, now: datetime) -> str | None:
    """Return why a programme's prices are not taken.

    A programme that pays must pay at least what the cheapest site asks that could give relief now, in either
    direction; where none has reported lately that is not known, and it is taken.
    """
    state = ports.relief.programme(request.feeder)
    same = (request.price_mct_per_kwh, request.penalty_mct_per_kwh)
    if same == (state.price_mct_per_kwh, state.penalty_mct_per_kwh):
        return f"{request.feeder} pays so already"
    newest = next(iter(ports.grid.events(request.feeder, count=1)), None)
    if newest is not None and newest.ended_at is None:
        return f"event {newest.event_id} runs at {request.feeder}; it is paid by the prices under which it began"
    if not request.price_mct_per_kwh:
        return None
    asked = [
        share.price_mct_per_kwh
        for direction in ("reduce_import", "reduce_export")
        for share in ports.relief.shares(
            request.feeder, direction=direction, need_w=EVERYTHING_W, duration_s=900, at=now
        ).shares
    ]
    if asked and request.price_mct_per_kwh < min(asked):
        return f"nobody at {request.feeder} would give relief for it: the cheapest asks {min(asked)} mct/kWh"
    return None


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


# More than any feeder carries: every site is asked for all that it can give.
EVERYTHING_W: Final = 10**9
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
    _skill(
        "response_programme",
        "Show what a kWh of relief is paid in a feeder's events, and what a missing one costs.",
        Effect.READS,
        EVERYONE,
        question=ProgrammeQuestion,
        answer=ProgrammeState,
        do=response_programme,
    ),
    _skill(
        "set_response_programme",
        "Change what relief is paid at a feeder from the next event on; refused where no site would give any for it.",
        Effect.ACTS,
        frozenset({Role.OPERATOR}),
        question=ProgrammeRequest,
        answer=ProgrammeState,
        do=set_response_programme,
        judge=_pays,
    ),
)
