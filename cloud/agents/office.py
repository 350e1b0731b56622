"""The one way to a skill, whatever door the caller came through: rights first, then the key, the skill, the record."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from cloud.agents.rights import Caller, Places, refusal
from cloud.agents.skill import AnySkill, Ports
from cloud.agents.skills import skill
from cloud.errors import CallConflict, SkillDenied, SkillError
from contracts.skills.base import Effect
from contracts.skills.operations import ProposeAnswer, ProposeRequest

KEY_LENGTH_MAX: Final = 128


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as it is recorded. ``key`` is the caller's own; it makes a repeat harmless."""

    caller: str
    role: str
    door: str
    skill: str
    effect: Effect
    question: Mapping[str, Any]
    key: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A call with the same key that came before; ``answer`` is ``None`` while it is not known how it ended."""

    skill: str
    question_hash: str
    answer: Mapping[str, Any] | None


class CallBook(Protocol):
    """Where calls are kept.

    Raises:
        StoreError: From every call, when the store failed.
    """

    def begin(self, call: Call, *, question_hash: str) -> Kept | None:
        """Note a call that acts before it is done; return the one that had its key before, and note nothing then."""

    def finish(
        self, call: Call, *, answer: Mapping[str, object] | None, refused: str | None, question_hash: str
    ) -> str:
        """Keep how a call ended, with its answer or why it was refused; return the record's id."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a caller gets; ``repeated`` says that the answer is that of an earlier call with the same key."""

    answer: Mapping[str, Any]
    record: str | None
    repeated: bool = False


class Office:
    """The skills behind rights and records."""

    def __init__(self, *, ports: Ports, places: Places, book: CallBook, now: Callable[[], datetime]) -> None:
        self._ports = ports
        self._places = places
        self._book = book
        self._now = now

    def now(self) -> datetime:
        """Return the instant at which skills answer."""
        return self._now()

    def call(
        self, caller: Caller, name: str, arguments: Mapping[str, Any], *, door: str, key: str | None = None
    ) -> Reply:
        """Let a caller use a skill, and record it.

        Raises:
            SkillDenied: The caller may not.
            CallConflict: The key was used for another question, or the call with it has not come to its end.
            SkillError: The question is not one that the skill takes, or what it names is not there.
            StoreError: The tables failed; a call that acts may be repeated with its key.
        """
        chosen = skill(name)
        question = chosen.read(arguments)
        asked = question.model_dump(mode="json")
        now = self._now()
        call = Call(
            caller=caller.name, role=caller.role, door=door, skill=name, effect=chosen.effect, question=asked,
            key=key, at=now,
        )  # fmt: skip
        digest = hashlib.sha256(json.dumps([name, asked], sort_keys=True).encode()).hexdigest()
        if (why := refusal(caller, chosen, question, self._places)) is not None:
            self._book.finish(call, answer=None, refused=why, question_hash=digest)
            raise SkillDenied(why)
        if chosen.effect is Effect.ACTS:
            before = self._begin(call, chosen, digest)
            if before is not None:
                return Reply(answer=before, record=None, repeated=True)
        try:
            answer: Mapping[str, Any] = (
                self._proposed(caller, question, door=door)
                if chosen.hands_on
                else chosen.do(self._ports, question, now).model_dump(mode="json")
            )
        except SkillError as error:
            self._book.finish(call, answer=None, refused=str(error), question_hash=digest)
            raise
        record = self._book.finish(call, answer=answer, refused=None, question_hash=digest)
        return Reply(answer=answer, record=record)

    def judge(self, caller: Caller, name: str, arguments: Mapping[str, object], *, door: str) -> str | None:
        """Return why the core would refuse a request that acts, ``None`` where it would take it; nothing is done.

        Proposing needs the caller's role and places, not the grant to act. The judgement is recorded.

        Raises:
            SkillError: The question is not one that the skill takes, or what it names is not there.
            StoreError: The tables failed.
        """
        chosen = skill(name)
        question = chosen.read(arguments)
        asked, now = question.model_dump(mode="json"), self._now()
        call = Call(
            caller=caller.name, role=caller.role, door=door, skill=name, effect=Effect.PROPOSES, question=asked,
            key=None, at=now,
        )  # fmt: skip
        digest = hashlib.sha256(json.dumps([name, asked], sort_keys=True).encode()).hexdigest()
        able = replace(caller, effects=caller.effects | {chosen.effect})
        why = refusal(able, chosen, question, self._places)
        if why is None and chosen.judge is not None:
            try:
                why = chosen.judge(self._ports, question, now)
            except SkillError as error:
                why = str(error)
        self._book.finish(call, answer={"accepted": why is None}, refused=why, question_hash=digest)
        return why

    def _proposed(self, caller: Caller, request: ProposeRequest, *, door: str) -> Mapping[str, object]:
        """Judge what a caller proposes with his role and places, keep it, and return the verdict.

        Raises:
            SkillDenied: He could not be granted to do it.
            SkillError: Nothing of the kind acts, its question is none, or he has proposed too much.
        """
        wanted = skill(request.skill)
        if wanted.effect is not Effect.ACTS:
            raise SkillError(f"{wanted.name} {wanted.effect}; call it, only what acts is proposed")
        able = replace(caller, effects=caller.effects | {Effect.ACTS})
        if (why := refusal(able, wanted, wanted.read(request.question), self._places)) is not None:
            raise SkillDenied(why)
        refused = self.judge(caller, wanted.name, request.question, door=door)
        proposal = self._ports.records.propose(
            by=caller.name, why=request.why, skill=wanted.name, question=request.question, refused=refused
        )
        reason = refused or "would hold; an operator decides"
        return ProposeAnswer(proposal=proposal, accepted=refused is None, reason=reason).model_dump(mode="json")

    def _begin(self, call: Call, chosen: AnySkill, digest: str) -> Mapping[str, object] | None:
        """Note that a call begins; return the answer of an earlier one with its key."""
        if call.key is None or not 1 <= len(call.key) <= KEY_LENGTH_MAX:
            raise SkillError(
                f"{chosen.name} acts and needs an idempotency key of 1 to {KEY_LENGTH_MAX} characters; nothing done"
            )
        before = self._book.begin(call, question_hash=digest)
        if before is None:
            return None
        if before.question_hash != digest:
            raise CallConflict(f"key {call.key} was used for another question to {before.skill}; nothing done")
        if before.answer is None:
            raise CallConflict(
                f"a call with key {call.key} has begun and not ended; look at its effect, then use a new key"
            )
        return before.answer
