"""What was called, and what language models proposed, as the tables have it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from cloud.agents.skills import skill
from cloud.errors import ConditionFailed, SkillError, SkillMissing
from cloud.shell.call_book import StoreCallBook, new_record
from cloud.stores import keys
from cloud.stores.tables import LAST_TEXT, Item, Put, Table, Tables
from contracts.skills.base import Effect
from contracts.skills.operations import AuditRow, ProposalDecision, ProposalRow, ProposalState
from contracts.units import epoch_ms, instant, printable

QUESTION_CHARACTERS_MAX: Final = 2_000
# A page that is looked at all day leaves tens of thousands of calls; one answer looks at so many of them at most.
# One caller who proposes without a model.
PROPOSALS_A_DAY_MAX: Final = 100
LOOKED_AT_ONCE: Final = 500
LOOKS_MAX: Final = 10


class StoreRecords:
    """The records of a cloud's tables.

    Args:
        tables: Where they are.
        acts: Whether decisions are taken; who only looks refuses them.
    """

    def __init__(self, tables: Tables, *, acts: bool) -> None:
        self._tables = tables
        self._acts = acts

    def calls(
        self, day: date, *, count: int, before: str | None, wanted: Mapping[str, str]
    ) -> tuple[Sequence[AuditRow], str | None]:
        """Return up to ``count`` calls of a UTC day, the newest first, and where to go on."""
        pk = keys.call_record(datetime.combine(day, time(), tzinfo=UTC), "").pk
        rows: list[AuditRow] = []
        for _ in range(LOOKS_MAX):
            items = self._tables.query(
                Table.GRID_METRICS, pk, last=before or LAST_TEXT, reverse=True, limit=LOOKED_AT_ONCE
            )
            for item in items:
                if item.key.sk == before:
                    continue
                if all(item.body[name] == told for name, told in wanted.items()):
                    rows.append(_call(item.body))
                if len(rows) == count:
                    return rows, item.key.sk
            if len(items) < LOOKED_AT_ONCE:
                return rows, None
            before = items[-1].key.sk
        return rows, before

    def proposals(self, *, days: int) -> Sequence[ProposalRow]:
        """Return what was proposed in the last days, the newest first."""
        decided = {
            item.key.sk: item.body for item in self._tables.query(Table.GRID_METRICS, keys.proposal_decision("").pk)
        }
        today = datetime.now(UTC)
        rows = []
        for back in range(days):
            pk = keys.conversation(today - timedelta(days=back), "").pk
            for item in self._tables.query(Table.GRID_METRICS, pk, reverse=True):
                rows += [_row(proposal, told, item, decided.get(proposal)) for proposal, told in _each(item)]
        return rows

    def propose(self, *, by: str, why: str, skill: str, question: Mapping[str, Any], refused: str | None) -> str:
        """Keep what somebody proposed, with the core's verdict, and return its id.

        Raises:
            SkillError: He has proposed too much today, or nothing is kept here.
        """
        if not self._acts:
            raise SkillError("proposals are only read here; nothing was kept")
        at, record = datetime.now(UTC), new_record()
        key = keys.conversation(at, record)
        today = self._tables.query(Table.GRID_METRICS, key.pk)
        if sum(item.body["model"] == "" and item.body["caller"] == by for item in today) >= PROPOSALS_A_DAY_MAX:
            raise SkillError(f"{by} has proposed {PROPOSALS_A_DAY_MAX} times today; nothing was kept")
        told = {
            "skill": skill, "question": dict(question), "accepted": refused is None, "applied": False,
            "reason": refused or "would hold; an operator decides",
        }  # fmt: skip
        self._tables.put(Put(key=key, body={"caller": by, "model": "", "question": why, "proposals": [told]}))
        return f"{key.pk.partition('#')[2]}:{record}:0"

    def decide(self, decision: ProposalDecision, *, at: datetime) -> ProposalRow:
        """Keep a decision.

        Raises:
            SkillMissing: There is no such proposal.
            SkillError: It is decided, or it acts and was not done with its key.
        """
        if not self._acts:
            raise SkillError("proposals are only read here; nothing was decided")
        row = self._found(decision.proposal)
        if row.state is not ProposalState.WAITING:
            raise SkillError(f"proposal {row.id} is {row.state} already; nothing was changed")
        if decision.accept and row.acts and not self._done(row, at):
            raise SkillError(
                f"proposal {row.id} was not done: call {row.skill} with its question and the key {row.key} first"
            )
        body = {"accept": decision.accept, "by": decision.by, "reason": decision.reason, "at": epoch_ms(at)}
        try:
            self._tables.put(Put(key=keys.proposal_decision(row.id), body=body, if_version=0))
        except ConditionFailed as error:
            raise SkillError(f"another word on proposal {row.id} came first; nothing was changed") from error
        return self._found(decision.proposal)

    def _found(self, proposal: str) -> ProposalRow:
        day, _, rest = proposal.partition(":")
        record = rest.rpartition(":")[0]
        items = self._tables.query(Table.GRID_METRICS, f"ASKED#{day}", first=record, last=record)
        for item in items:
            for name, told in _each(item):
                if name == proposal:
                    kept = self._tables.get(keys.proposal_decision(proposal))
                    return _row(name, told, item, kept.body if kept else None)
        raise SkillMissing(f"no proposal {printable(proposal, 128)}")

    def _done(self, row: ProposalRow, at: datetime) -> bool:
        """Return whether the skill of a proposal was called with its key, today or yesterday, and not refused."""
        book = StoreCallBook(self._tables)
        calls = [*book.of_day(at - timedelta(days=1)), *book.of_day(at)]
        return any(
            call["key"] == row.key
            and call["skill"] == row.skill
            and call["effect"] == Effect.ACTS
            and call["refused"] is None
            for call in calls
        )


def _call(body: Mapping[str, Any]) -> AuditRow:
    return AuditRow(
        at=instant(body["at"]),
        caller=body["caller"],
        role=body["role"],
        door=body["door"],
        skill=body["skill"],
        effect=body["effect"],
        question=_text(body["question"]),
        refused=body["refused"],
        count=body.get("count", 1),
        last_at=instant(body["last_at"]) if "last_at" in body else None,
    )


def _each(item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each proposal of a conversation with its id: the day, the conversation, and its number there."""
    day = item.key.pk.partition("#")[2]
    for number, told in enumerate(item.body["proposals"]):
        yield f"{day}:{item.key.sk}:{number}", told


def _row(proposal: str, told: dict[str, Any], item: Item, decided: dict[str, Any] | None) -> ProposalRow:
    state = ProposalState.DONE_BY_RULE if told["applied"] else ProposalState.WAITING
    if decided is not None:
        state = ProposalState.ACCEPTED if decided["accept"] else ProposalState.REFUSED
    return ProposalRow(
        id=proposal,
        at=instant(int(item.key.sk.partition("-")[0]) // 1_000_000),
        asked_by=item.body["caller"],
        asked=printable(item.body["question"], QUESTION_CHARACTERS_MAX),
        model=item.body["model"],
        skill=told["skill"],
        question=_text(told["question"]),
        acts=_acts(told["skill"]),
        key=f"proposal-{proposal}",
        would_hold=told["accepted"],
        verdict=told["reason"],
        state=state,
        by=decided["by"] if decided else None,
        reason=decided["reason"] if decided else None,
    )


def _acts(name: str) -> bool:
    try:
        return skill(name).effect is Effect.ACTS
    except SkillError:  # A skill of an older version: nothing here can do it, so nothing must have been done.
        return False


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:QUESTION_CHARACTERS_MAX]
