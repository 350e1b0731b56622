"""Letters to other organisations' agents, in the tables: each waits for its turn, and is answered or given up.

A letter outlives the process that wrote it. Letters to one peer go in their order; the idempotency key of each is its
own id, so that one that is sent again after a lost answer acts once.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloud.agents.skills import skill
from cloud.errors import ConditionFailed, SkillError
from cloud.stores import keys
from cloud.stores.tables import Delete, Put, Table, Tables, prefix
from contracts.units import epoch_ms

KEEP: Final = timedelta(days=30)
WAITING_MAX: Final = 10_000
_ATTEMPTS_MAX: Final = 8


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One question to one peer's agent. ``answer`` and ``reason`` tell how it ended; both are ``None`` while it waits.

    ``reason`` says why it is dead: refused, or not delivered before ``expires_ms``.
    """

    id: str
    peer: str
    number: int
    skill: str
    question: Mapping[str, Any]
    written_ms: int
    expires_ms: int
    attempts: int = 0
    trouble: str | None = None
    answer: Mapping[str, Any] | None = None
    reason: str | None = None

    @property
    def state(self) -> str:
        """Return whether it waits, was answered, or is dead."""
        return "answered" if self.answer is not None else "dead" if self.reason is not None else "waiting"


class Letters:
    """The letters of one deployment."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def write(self, peer: str, name: str, question: Mapping[str, Any], *, keep_s: int) -> Letter:
        """Put a letter behind those that wait for the same peer.

        Raises:
            SkillError: No such skill, the question is none of its, or too many wait.
            StoreError: The tables failed; nothing waits.
        """
        asked = skill(name).read(question).model_dump(mode="json")
        waiting = self._tables.query(Table.GRID_METRICS, keys.letter_waiting(peer, 0).pk, limit=WAITING_MAX)
        if len(waiting) >= WAITING_MAX:
            raise SkillError(f"{WAITING_MAX} letters wait already; nothing was written")
        now = datetime.now(UTC)
        for attempt in range(_ATTEMPTS_MAX):
            count = self._tables.get(keys.letter_count(peer))
            number = (count.body["number"] if count is not None else 0) + 1
            letter = Letter(
                id=uuid.uuid4().hex,
                peer=peer,
                number=number,
                skill=name,
                question=asked,
                written_ms=epoch_ms(now),
                expires_ms=epoch_ms(now + timedelta(seconds=keep_s)),
            )
            last = Put(
                key=keys.letter_count(peer),
                body={"number": number},
                if_version=count.version if count is not None else 0,
            )
            try:
                self._tables.transact([last, Put(key=keys.letter_waiting(peer, number), body=asdict(letter))])
            except ConditionFailed:
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
            else:
                return letter
        raise AssertionError("the last attempt returns or raises")

    def next(self, peer: str) -> Letter | None:
        """Return the letter whose turn it is."""
        pk = keys.letter_waiting(peer, 0).pk
        items = self._tables.query(Table.GRID_METRICS, pk, **prefix(f"{peer}#"), limit=1)
        return Letter(**items[0].body) if items else None

    def tried(self, letter: Letter, trouble: str) -> Letter:
        """Note that a letter could not be delivered; it stays the next one."""
        tried = replace(letter, attempts=letter.attempts + 1, trouble=trouble[:300])
        self._tables.put(Put(key=keys.letter_waiting(letter.peer, letter.number), body=asdict(tried)))
        return tried

    def settle(self, letter: Letter, *, answer: Mapping[str, Any] | None = None, reason: str | None = None) -> Letter:
        """Note how a letter ended."""
        assert (answer is None) is not (reason is None), "a letter is answered or dead"
        settled = replace(letter, answer=answer, reason=reason)
        self._tables.transact(
            [
                Delete(key=keys.letter_waiting(letter.peer, letter.number)),
                Put(
                    key=keys.letter(letter.peer, letter.number),
                    body=asdict(settled),
                    expires_at=datetime.now(UTC) + KEEP,
                ),
            ]
        )
        return settled

    def all(self) -> Sequence[Letter]:
        """Return every letter that is kept, by peer and in order."""
        found = [
            Letter(**item.body)
            for key in (keys.letter("", 0), keys.letter_waiting("", 0))
            for item in self._tables.query(Table.GRID_METRICS, key.pk)
        ]
        return sorted(found, key=lambda letter: (letter.peer, letter.number))
