"""The forecasting agent's view of a zone: the weather, the demand, and what was broadcast."""

from datetime import datetime, timedelta
from typing import Any, Final

from cloud.agents.skill import EVERYONE, STAFF, AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.outlook import (
    BroadcastAnswer,
    BroadcastQuestion,
    DemandAnswer,
    DemandQuestion,
    WeatherAnswer,
    WeatherQuestion,
)


def weather(ports: Ports, question: WeatherQuestion, now: datetime) -> WeatherAnswer:
    """Return the weather at a place from now on."""
    until = now + timedelta(hours=question.hours_ahead)
    return ports.outlook.weather(question.zone, site=question.site, since=now, until=until)


def demand(ports: Ports, question: DemandQuestion, now: datetime) -> DemandAnswer:
    """Return what a zone's sites are expected to draw from now on."""
    return ports.outlook.demand(question.zone, at=now)


def forecast_broadcast(ports: Ports, question: BroadcastQuestion, now: datetime) -> BroadcastAnswer:
    """Return which forecasts a zone was last told."""
    del now  # What was told stays told.
    return BroadcastAnswer(zone=question.zone, forecasts=tuple(ports.outlook.told(question.zone)))


def _skill(name: str, promise: str, roles: frozenset[Role], *, question: Any, answer: Any, do: Any) -> AnySkill:
    return Skill(
        name=name,
        promise=promise,
        agent=Agent.FORECASTING,
        effect=Effect.READS,
        scope=Scope.ZONE,
        roles=roles,
        question=question,
        answer=answer,
        do=do,
    )


SKILLS: Final[tuple[AnySkill, ...]] = (
    _skill(
        "weather",
        "Show the weather that a zone's forecasts are made from: sun and temperature, hour by hour.",
        EVERYONE,
        question=WeatherQuestion,
        answer=WeatherAnswer,
        do=weather,
    ),
    _skill(
        "demand",
        "Show what all sites of a zone are expected to draw and generate, step by step.",
        EVERYONE,
        question=DemandQuestion,
        answer=DemandAnswer,
        do=demand,
    ),
    _skill(
        "forecast_broadcast",
        "Show which forecasts were last broadcast to a zone, when they were issued and until when they reach.",
        STAFF | {Role.GRID_OPERATOR, Role.AGGREGATOR},
        question=BroadcastQuestion,
        answer=BroadcastAnswer,
        do=forecast_broadcast,
    ),
)
