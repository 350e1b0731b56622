"""The market supervisor runs the cloud: what was set aside, who called what, what a model proposed, the gateways.

All of it looks at the whole cloud and not at one zone, so it is for operators who hold every zone.
"""

from datetime import datetime
from typing import Any, Final

from cloud.agents.skill import EVERYONE, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.fleet import (
    GatewayAnswer,
    GatewayQuestion,
    GatewaysAnswer,
    GatewaysQuestion,
    JobAnswer,
    SettingsRequest,
    SettingsSent,
    UpdateRequest,
)
from contracts.skills.operations import (
    AuditAnswer,
    AuditQuestion,
    DropRequest,
    ProposalDecision,
    ProposalRow,
    ProposalsAnswer,
    ProposalsQuestion,
    ProposeAnswer,
    ProposeRequest,
    RecordAnswer,
    RecordQuestion,
    ReplayRequest,
    SetAsideAnswer,
    SetAsideQuestion,
    SetAsideRow,
)


def set_aside(ports: Ports, question: SetAsideQuestion, now: datetime) -> SetAsideAnswer:
    """Return the records that functions could not take."""
    del now
    records = ports.set_aside.all()
    return SetAsideAnswer(records=tuple(records[: question.count]), total=len(records))


def set_aside_record(ports: Ports, question: RecordQuestion, now: datetime) -> RecordAnswer:
    """Return one record whole."""
    del now
    return ports.set_aside.whole(question.record)


def replay_record(ports: Ports, request: ReplayRequest, now: datetime) -> SetAsideRow:
    """Let a record be delivered again and return what it was."""
    del now
    return ports.set_aside.replay(request.record, data=request.data)


def drop_record(ports: Ports, request: DropRequest, now: datetime) -> SetAsideRow:
    """Forget a record and return what it was."""
    del now
    return ports.set_aside.drop(request.record)


def audit_log(ports: Ports, question: AuditQuestion, now: datetime) -> AuditAnswer:
    """Return the calls of a day that fit a question, the newest first."""
    day = question.day or now.date()
    wanted = {
        name: told
        for name, told in (("effect", question.effect), ("skill", question.skill), ("caller", question.caller))
        if told is not None
    }
    calls, before = ports.records.calls(day, count=question.count, before=question.before, wanted=wanted)
    return AuditAnswer(day=day, calls=tuple(calls), before=before)


def proposals(ports: Ports, question: ProposalsQuestion, now: datetime) -> ProposalsAnswer:
    """Return what models proposed lately, and what became of it."""
    del now  # Models are asked in real time, whatever instant a market is at.
    return ProposalsAnswer(proposals=tuple(ports.records.proposals(days=question.days)))


def decide_proposal(ports: Ports, decision: ProposalDecision, now: datetime) -> ProposalRow:
    """Keep a person's word on a proposal and return how it stands now."""
    return ports.records.decide(decision, at=now)


def fleet_gateways(ports: Ports, question: GatewaysQuestion, now: datetime) -> GatewaysAnswer:
    """Return the gateways of the fleet."""
    del question, now
    return GatewaysAnswer(gateways=tuple(ports.fleet.gateways()))


def fleet_gateway(ports: Ports, question: GatewayQuestion, now: datetime) -> GatewayAnswer:
    """Return one gateway with its jobs and settings."""
    del now
    return ports.fleet.gateway(question.gateway)


def fleet_set(ports: Ports, request: SettingsRequest, now: datetime) -> SettingsSent:
    """Wish settings of a gateway and return the version of the wish."""
    del now
    version = ports.fleet.want(request.gateway, request.shadow, request.wish)
    return SettingsSent(gateway=request.gateway, shadow=request.shadow, version=version)


def fleet_update(ports: Ports, request: UpdateRequest, now: datetime) -> JobAnswer:
    """Give a gateway a signed update and return the job."""
    del now
    return ports.fleet.update(request.gateway, request.document)


def _by_the_office(ports: Ports, request: ProposeRequest, now: datetime) -> ProposeAnswer:
    del ports, request, now
    raise AssertionError("the office judges what is handed on to another skill")


_OPERATOR: Final = frozenset({Role.OPERATOR})


def _skill(name: str, promise: str, *, acts: bool = False, question: Any, answer: Any, do: Any) -> Skill[Any, Any]:
    return Skill(
        name=name,
        promise=promise,
        agent=Agent.MARKET_SUPERVISOR,
        effect=Effect.ACTS if acts else Effect.READS,
        scope=Scope.CLOUD,
        roles=_OPERATOR,
        question=question,
        answer=answer,
        do=do,
        shows_sites=True,
    )


SKILLS: Final[tuple[Skill[Any, Any], ...]] = (
    _skill(
        "set_aside",
        "Show the records that a function of the cloud could not take, with what it said.",
        question=SetAsideQuestion,
        answer=SetAsideAnswer,
        do=set_aside,
    ),
    _skill(
        "set_aside_record",
        "Show one such record whole.",
        question=RecordQuestion,
        answer=RecordAnswer,
        do=set_aside_record,
    ),
    _skill(
        "replay_record",
        "Deliver such a record again, as it came or mended; what fails again comes back.",
        acts=True,
        question=ReplayRequest,
        answer=SetAsideRow,
        do=replay_record,
    ),
    _skill(
        "drop_record",
        "Forget such a record for good.",
        acts=True,
        question=DropRequest,
        answer=SetAsideRow,
        do=drop_record,
    ),
    _skill(
        "audit_log",
        "Show who called which skill on a day, through which door, with which question, and what was refused.",
        question=AuditQuestion,
        answer=AuditAnswer,
        do=audit_log,
    ),
    _skill(
        "agent_proposals",
        "Show what language models proposed when they were asked, the core's verdict, and what a person decided.",
        question=ProposalsQuestion,
        answer=ProposalsAnswer,
        do=proposals,
    ),
    Skill(
        name="propose_act",
        promise="Propose what another may do: the core judges it on the spot, an operator decides.",
        agent=Agent.MARKET_SUPERVISOR,
        effect=Effect.PROPOSES,
        scope=Scope.FLEET,
        roles=EVERYONE,
        question=ProposeRequest,
        answer=ProposeAnswer,
        do=_by_the_office,
        hands_on=True,
    ),
    _skill(
        "decide_proposal",
        "Accept or refuse such a proposal, by name and with a reason; one that acts must have been done first.",
        acts=True,
        question=ProposalDecision,
        answer=ProposalRow,
        do=decide_proposal,
    ),
    _skill(
        "fleet_gateways",
        "Show the gateways of the fleet: online, last heard, version, alarms, newest event, certificate's end.",
        question=GatewaysQuestion,
        answer=GatewaysAnswer,
        do=fleet_gateways,
    ),
    _skill(
        "fleet_gateway",
        "Show one gateway's jobs, and its settings as they are wished and reported.",
        question=GatewayQuestion,
        answer=GatewayAnswer,
        do=fleet_gateway,
    ),
    _skill(
        "fleet_set",
        "Wish settings or lower limits of a gateway; it says whether it took them.",
        acts=True,
        question=SettingsRequest,
        answer=SettingsSent,
        do=fleet_set,
    ),
    _skill(
        "fleet_update",
        "Give a gateway a signed update; it checks the signature, tries it, and goes back where it is not well.",
        acts=True,
        question=UpdateRequest,
        answer=JobAnswer,
        do=fleet_update,
    ),
)

# These stand on files of a private cloud or on a fleet's service, which the functions on AWS do not reach.
NEEDS_FILES_OR_FLEET: Final = frozenset(
    {
        "set_aside",
        "set_aside_record",
        "replay_record",
        "drop_record",
        "fleet_gateways",
        "fleet_gateway",
        "fleet_set",
        "fleet_update",
        "producer_set_reserve",
        "consumer_set_reserve",
    }
)
