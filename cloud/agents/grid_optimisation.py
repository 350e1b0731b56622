"""The grid optimisation agent: how a feeder stands, what was done about it and its proof, and what-if studies."""

from datetime import datetime
from typing import Any, Final

from cloud.agents.relief_study import study
from cloud.agents.skill import EVERYONE, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.grid import EventAnswer, EvidenceAnswer, EvidenceQuestion, GridQuestion, GridStatus
from contracts.skills.study import StudyAnswer, StudyQuestion


def grid_status(ports: Ports, question: GridQuestion, now: datetime) -> GridStatus:
    """Return how a feeder stands and its last events."""
    del now  # The feeder's own instant is part of the answer.
    status = ports.grid.status(question.feeder)
    power_w = status.power_w if status is not None else None
    return GridStatus(
        feeder=question.feeder,
        state=status.state if status is not None else None,
        power_w=power_w,
        limit_w=status.limit_w if status is not None else None,
        loading_percent=(
            round(100 * abs(power_w) / status.limit_w, 1) if status is not None and power_w is not None else None
        ),
        at=status.at if status is not None else None,
        disturbances=status.disturbances if status is not None else (),
        supply=tuple(ports.grid.supply(question.feeder)),
        network=ports.grid.network(question.feeder),
        events=tuple(
            EventAnswer(
                event_id=event.event_id,
                detected_at=event.detected_at,
                limit_w=event.limit_w,
                peak_w=event.peak_w,
                sites=event.sites,
                commands=event.commands,
                effective=event.effective,
                delivered_wh=event.delivered_wh,
                released=event.released,
                places=event.places,
                left=event.left,
            )
            for event in ports.grid.events(question.feeder, count=question.events)
        ),
    )


def event_evidence(ports: Ports, question: EvidenceQuestion, now: datetime) -> EvidenceAnswer:
    """Return the records of an event's evidence from a number on."""
    del now
    records = tuple(
        ports.grid.evidence(question.feeder, event_id=question.event_id, first=question.first, count=question.count + 1)
    )
    more = len(records) > question.count
    return EvidenceAnswer(
        event_id=question.event_id,
        records=records[: question.count],
        next=records[question.count].number if more else None,
    )


def relief_study(ports: Ports, question: StudyQuestion, now: datetime) -> StudyAnswer:
    """Return the cheapest changes that bring a network within its limits; nothing is ordered."""
    del ports, now  # The network is the question's own.
    return study(question)


_GRID: Final = frozenset({Role.OPERATOR, Role.GRID_OPERATOR, Role.AGENT})

SKILLS: Final[tuple[Skill[Any, Any], ...]] = (
    Skill(
        name="grid_status",
        promise="Show a feeder's loading and limit, its network's state, what is done about them, and its last events.",
        agent=Agent.GRID_OPTIMISATION,
        scope=Scope.ZONE,
        roles=EVERYONE,
        effect=Effect.READS,
        question=GridQuestion,
        answer=GridStatus,
        do=grid_status,
    ),
    Skill(
        name="event_evidence",
        promise="Show the records that prove what happened in a demand-response event, in their order.",
        agent=Agent.GRID_OPTIMISATION,
        scope=Scope.ZONE,
        roles=_GRID,
        effect=Effect.READS,
        question=EvidenceQuestion,
        answer=EvidenceAnswer,
        do=event_evidence,
        shows_sites=True,
    ),
    Skill(
        name="relief_study",
        promise="Find the cheapest changes of power that would bring a given low-voltage network within its limits.",
        agent=Agent.GRID_OPTIMISATION,
        scope=Scope.FLEET,
        roles=_GRID,
        effect=Effect.READS,
        question=StudyQuestion,
        answer=StudyAnswer,
        do=relief_study,
    ),
)
