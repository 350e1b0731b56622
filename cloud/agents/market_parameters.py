"""The market supervisor tells and changes the parameters of a running market."""

from datetime import datetime
from typing import Final

from cloud.agents.skill import EVERYONE, AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.parameters import ParametersRequest, RulesAnswer, RulesQuestion


def market_rules(ports: Ports, question: RulesQuestion, now: datetime) -> RulesAnswer:
    """Return how a zone's market trades."""
    del now
    return ports.rules.in_force(question.zone)


def set_market_parameters(ports: Ports, request: ParametersRequest, now: datetime) -> RulesAnswer:
    """Set parameters anew and return what is in force."""
    return ports.rules.change(request.zone, request.changes, reason=request.reason, at=now)


def _would_take(ports: Ports, request: ParametersRequest, now: datetime) -> str | None:
    return ports.rules.refusal(request.zone, request.changes, reason=request.reason, at=now)


SKILLS: Final[tuple[AnySkill, ...]] = (
    Skill(
        name="market_rules",
        promise="Show how a zone's market trades: mechanism, times, price band, and the parameters in force.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=EVERYONE,
        effect=Effect.READS,
        question=RulesQuestion,
        answer=RulesAnswer,
        do=market_rules,
    ),
    Skill(
        name="set_market_parameters",
        promise="Change a running market's fee, order bounds or plausibility from now on; tried on a copy of it first.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=frozenset({Role.OPERATOR}),
        effect=Effect.ACTS,
        question=ParametersRequest,
        answer=RulesAnswer,
        do=set_market_parameters,
        judge=_would_take,
    ),
)
