"""What a producer or a consumer is going to do: its battery's plan, its loads, and what the grid asked of it."""

from datetime import datetime
from typing import Any, Final

from cloud.agents.site_agents import OWNERS, only
from cloud.agents.skill import AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Scope
from contracts.skills.plan import (
    LoadSchedule,
    PlanQuestion,
    ResponsesAnswer,
    ResponsesQuestion,
    SitePlan,
)
from contracts.skills.site import SiteQuestion
from contracts.skills.site_list import RESPONSES


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
