"""The market supervisor takes in sites of other aggregators: they ask, a person decides."""

from datetime import datetime
from typing import Any, Final

from cloud.agents.skill import STAFF, AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.joining import JoinAnswer, JoinDecision, JoinRequest, JoinsAnswer, JoinsQuestion


def join_market(ports: Ports, request: JoinRequest, now: datetime) -> JoinAnswer:
    """Keep a site's request; the same one again returns what became of it."""
    return ports.joins.ask(request, at=now)


def join_requests(ports: Ports, question: JoinsQuestion, now: datetime) -> JoinsAnswer:
    """Return every request for a zone."""
    del now
    return JoinsAnswer(zone=question.zone, requests=tuple(ports.joins.requests(question.zone)))


def decide_join(ports: Ports, decision: JoinDecision, now: datetime) -> JoinAnswer:
    """Let a site take part, or not."""
    return ports.joins.decide(decision, at=now)


def _skill(
    name: str, promise: str, *, effect: Effect, roles: frozenset[Role], question: Any, answer: Any, do: Any
) -> Any:
    return Skill(
        name=name,
        promise=promise,
        agent=Agent.MARKET_SUPERVISOR,
        effect=effect,
        scope=Scope.ZONE,
        roles=roles,
        question=question,
        answer=answer,
        do=do,
        shows_sites=True,  # Applicants and owners are told by name.
    )


SKILLS: Final[tuple[AnySkill, ...]] = (
    _skill(
        "join_market",
        "Ask that a site of another aggregator may trade in a zone; a person decides, and asked again it says what.",
        effect=Effect.PROPOSES,
        roles=STAFF | {Role.AGGREGATOR},
        question=JoinRequest,
        answer=JoinAnswer,
        do=join_market,
    ),
    _skill(
        "join_requests",
        "Show which sites asked to take part in a zone's market, and what was decided.",
        effect=Effect.READS,
        roles=STAFF,
        question=JoinsQuestion,
        answer=JoinsAnswer,
        do=join_requests,
    ),
    _skill(
        "decide_join",
        "Let a site that asked take part in a zone's market, or not, with a reason.",
        effect=Effect.ACTS,
        roles=frozenset({Role.OPERATOR}),
        question=JoinDecision,
        answer=JoinAnswer,
        do=decide_join,
    ),
)
