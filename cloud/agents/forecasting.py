"""The forecasting agent: the newest forecast of a site or a zone, and how good those before it were."""

from datetime import datetime, timedelta
from typing import Final

from cloud.agents.skill import EVERYONE, AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Scope
from contracts.skills.forecast import ForecastAnswer, ForecastQuestion, ScoreAnswer, ScoreQuestion


def forecast(ports: Ports, question: ForecastQuestion, now: datetime) -> ForecastAnswer:
    """Return the newest forecast, unless it lies wholly in the past."""
    found = ports.forecasts.newest(question.zone, kind=question.kind, site=question.site)
    if found is not None and found.start + timedelta(seconds=found.step_s * len(found.p50)) <= now:
        found = None
    return ForecastAnswer(forecast=found)


def forecast_score(ports: Ports, question: ScoreQuestion, now: datetime) -> ScoreAnswer:
    """Return how good a site's forecasts were against what its meters told."""
    return ports.forecasts.score(
        question.site, kind=question.kind, since=now - timedelta(days=question.days), until=now
    )


SKILLS: Final[tuple[AnySkill, ...]] = (
    Skill(
        name="forecast",
        promise="Show the newest forecast of a site's load or PV, or of the zone's price, with its band.",
        agent=Agent.FORECASTING,
        scope=Scope.ZONE,
        roles=EVERYONE,
        effect=Effect.READS,
        question=ForecastQuestion,
        answer=ForecastAnswer,
        do=forecast,
    ),
    Skill(
        name="forecast_score",
        promise="Show how far a site's load or PV forecasts were from what was metered, beside last day's values.",
        agent=Agent.FORECASTING,
        scope=Scope.SITE,
        roles=EVERYONE,
        effect=Effect.READS,
        question=ScoreQuestion,
        answer=ScoreAnswer,
        do=forecast_score,
    ),
)
