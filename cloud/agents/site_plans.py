"""What a producer or a consumer is going to do: its battery's plan, its loads, and what the grid asked of it."""

from datetime import datetime
from typing import Any, Final

from cloud.agents.site_agents import OWNERS, only
from cloud.agents.skill import AnySkill, Ports, Skill
from cloud.errors import SkillError
from contracts.skills.base import Agent, Effect, Scope
from contracts.skills.plan import (
    LoadSchedule,
    PlanQuestion,
    ReserveRequest,
    ReserveSent,
    ResponsesAnswer,
    ResponsesQuestion,
    SitePlan,
)
from contracts.skills.site import SiteQuestion
from contracts.skills.site_list import RESPONSES

# The gateway's setting, among its limits: it may be raised from afar, never lowered below the site's own file.
LIMITS: Final = "limits"
RESERVE: Final = "battery_reserve_percent"


def battery_plan(ports: Ports, question: PlanQuestion, now: datetime) -> SitePlan:
    """Return what a site's battery is to do from now on."""
    return ports.plans.battery(question.site, at=now, intervals=question.intervals)


def load_schedule(ports: Ports, question: SiteQuestion, now: datetime) -> LoadSchedule:
    """Return what a site's loads are expected to draw."""
    return ports.plans.loads(question.site, at=now)


def responses(ports: Ports, question: ResponsesQuestion, now: datetime) -> ResponsesAnswer:
    """Return the grid's newest orders to a site, and its answers."""
    del now  # The orders have instants of their own.
    orders = tuple(ports.plans.orders(question.site, count=question.count))
    return ResponsesAnswer(site=question.site, orders=orders)


def set_reserve(ports: Ports, request: ReserveRequest, now: datetime) -> ReserveSent:
    """Tell a site's gateway what to keep in its battery.

    Raises:
        SkillError: What the site traded needs it, it has no battery, or its gateway is none of the fleet.
    """
    if (why := _cannot_keep(ports, request, now)) is not None:
        raise SkillError(f"{why}; nothing was changed")
    wish = {RESERVE: request.reserve_percent}
    version = ports.fleet.want(request.site, LIMITS, wish)
    return ReserveSent(site=request.site, reserve_percent=request.reserve_percent, version=version)


def _cannot_keep(ports: Ports, request: ReserveRequest, now: datetime) -> str | None:
    ports.fleet.gateway(request.site)  # Its settings are the way to it.
    return ports.plans.reserve_refusal(request.site, percent=request.reserve_percent, at=now)


def _reserve(agent: Agent) -> AnySkill:
    return Skill(
        name=f"{agent}_set_reserve",
        promise=f"Keep a level in a {agent}'s battery for an outage; refused where what it has traded needs it.",
        agent=agent,
        effect=Effect.ACTS,
        scope=Scope.SITE,
        roles=OWNERS,
        question=ReserveRequest,
        answer=ReserveSent,
        do=only(agent, set_reserve),
        judge=only(agent, _cannot_keep),
    )


def _skill(agent: Agent, what: str, promise: str, *, question: Any, answer: Any, do: Any) -> AnySkill:
    return Skill(
        name=f"{agent}_{what}",
        promise=promise.format(agent=agent),
        agent=agent,
        effect=Effect.READS,
        scope=Scope.SITE,
        roles=OWNERS,
        question=question,
        answer=answer,
        do=only(agent, do),
    )


def _of(agent: Agent) -> tuple[AnySkill, ...]:
    return (
        _skill(
            agent,
            "battery_plan",
            "Show what a {agent}'s battery is to do in the coming delivery intervals so that it keeps what it traded.",
            question=PlanQuestion,
            answer=SitePlan,
            do=battery_plan,
        ),
        _skill(
            agent,
            RESPONSES.what,
            RESPONSES.promise,
            question=RESPONSES.question,
            answer=RESPONSES.answer,
            do=responses,
        ),
        _reserve(agent),
    )


SKILLS: Final[tuple[AnySkill, ...]] = (
    *_of(Agent.PRODUCER),
    *_of(Agent.CONSUMER),
    _skill(
        Agent.CONSUMER,
        "load_schedule",
        "Show what a {agent}'s loads are expected to draw, step by step, and what of it can be shed on request.",
        question=SiteQuestion,
        answer=LoadSchedule,
        do=load_schedule,
    ),
)
