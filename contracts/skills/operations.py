"""Questions about the running of a cloud: what it set aside, who called what, what a model proposed."""

from datetime import date
from enum import StrEnum

from pydantic import Field, JsonValue

from contracts.skills.base import Effect, Form
from contracts.units import Instant
from contracts.wire import PAYLOAD_BYTES_MAX

ROWS_MAX = 500
DAYS_MAX = 31
_BY = Field(min_length=1, max_length=80)
_REASON = Field(min_length=3, max_length=200)
_RECORD = Field(min_length=3, max_length=128)


class SetAsideQuestion(Form):
    """How many records, the oldest first."""

    count: int = Field(default=200, ge=1, le=ROWS_MAX)


class SetAsideRow(Form):
    """A record that a function could not take: whose turn it was, when it arrived, what the function said."""

    id: str
    handler: str
    arrived_at: Instant
    partition_key: str
    error: str


class SetAsideAnswer(Form):
    """The records, and how many there are in all."""

    records: tuple[SetAsideRow, ...]
    total: int


class RecordQuestion(Form):
    """Which record, by the id that the list gives."""

    record: str = _RECORD


class RecordAnswer(Form):
    """A record whole; ``data`` is its JSON in ASCII, or its printable characters where it is no JSON."""

    record: SetAsideRow
    data: str


class ReplayRequest(Form):
    """Deliver a record again, as it came or, with ``data``, as it was mended (JSON)."""

    record: str = _RECORD
    data: str | None = Field(default=None, max_length=PAYLOAD_BYTES_MAX)
    reason: str = _REASON


class DropRequest(Form):
    """Forget a record for good."""

    record: str = _RECORD
    reason: str = _REASON


class AuditQuestion(Form):
    """Which UTC day (without one: that of the market's own instant), and which calls of it, the newest first.

    ``before`` is what the last answer said to go on from.
    """

    day: date | None = None
    before: str | None = Field(default=None, max_length=80)
    effect: Effect | None = None
    skill: str | None = Field(default=None, max_length=64)
    caller: str | None = Field(default=None, max_length=80)
    count: int = Field(default=100, ge=1, le=ROWS_MAX)


class AuditRow(Form):
    """One call: who, in which role, through which door, what; ``refused`` says why it was not done.

    Reads that repeat within a quarter of an hour are one row: how many there were and when the last one came.
    """

    at: Instant
    caller: str
    role: str
    door: str
    skill: str
    effect: str
    question: str
    refused: str | None
    count: int = 1
    last_at: Instant | None = None


class AuditAnswer(Form):
    """The calls of a day that fit the question; ``before`` is where to go on, ``None`` at the day's beginning.

    One answer looks at a bounded number of calls, so it may hold none and still have a ``before``.
    """

    day: date
    calls: tuple[AuditRow, ...]
    before: str | None


class ProposalsQuestion(Form):
    """The proposals of how many days."""

    days: int = Field(default=7, ge=1, le=DAYS_MAX)


class ProposalState(StrEnum):
    """What became of a proposal."""

    WAITING = "waiting"
    DONE_BY_RULE = "done_by_rule"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class ProposalRow(Form):
    """What a model proposed when somebody asked it, what the core said to it, and what a person decided.

    ``would_hold`` is the core's verdict then. ``acts``: accepting it needs a call of ``skill`` with ``key``.
    """

    id: str
    at: Instant
    asked_by: str
    asked: str
    model: str
    skill: str
    question: str
    acts: bool
    key: str
    would_hold: bool
    verdict: str
    state: ProposalState
    by: str | None
    reason: str | None


class ProposalsAnswer(Form):
    """The proposals, the newest first."""

    proposals: tuple[ProposalRow, ...]


class ProposeRequest(Form):
    """Propose what somebody else may do: a skill that acts, its question, and why. Nothing is done by it."""

    skill: str = Field(min_length=1, max_length=64)
    question: dict[str, JsonValue] = Field(max_length=64)
    why: str = Field(min_length=3, max_length=500)


class ProposeAnswer(Form):
    """What the core says to a proposal, and under which id an operator finds it."""

    proposal: str
    accepted: bool
    reason: str


class ProposalDecision(Form):
    """A person's word on a proposal, kept with name and reason.

    One that acts is accepted after its skill was called with the proposal's key: the call has the caller's own rights.
    """

    proposal: str = _RECORD
    accept: bool
    by: str = _BY
    reason: str = _REASON
