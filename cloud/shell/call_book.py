"""Calls of the agents' skills in the product's tables: who, what, through which door, and how it ended."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from cloud.agents.office import Call, Kept
from cloud.errors import ConditionFailed
from cloud.stores import keys
from cloud.stores.tables import Delete, Put, Table, Tables, Write
from contracts.skills.base import Effect
from contracts.units import epoch_ms

KEEP_READS_D: Final = 30
# A longer answer to a question that only read is kept as its hash; it can be asked for again.
ANSWER_BYTES_MAX: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a call ended, or several that were the same: the newest answer, and how often it changed."""

    answer: Mapping[str, Any] | None
    refused: str | None
    last_at_ms: int
    count: int = 1
    changes: int = 0

    @classmethod
    def of(cls, call: Call, *, answer: Mapping[str, object] | None, refused: str | None) -> "Ended":
        """Return how one call ended, as its record keeps it."""
        kept = _kept(answer) if call.effect is Effect.READS else answer
        return cls(answer=kept, refused=refused, last_at_ms=epoch_ms(call.at))


class StoreCallBook:
    """The record of calls; those that acted or proposed are never forgotten."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def begin(self, call: Call, *, question_hash: str) -> Kept | None:
        """Note a call that acts before it is done; return the one that had its key before."""
        assert call.key is not None, "a call that acts has a key"
        key = keys.call_key(call.caller, call.key)
        body = {"skill": call.skill, "question_hash": question_hash, "answer": None, "at": epoch_ms(call.at)}
        try:
            self._tables.put(Put(key=key, body=body, if_version=0))
        except ConditionFailed:
            item = self._tables.get(key)
            if item is None:
                raise
            kept = item.body
            return Kept(skill=kept["skill"], question_hash=kept["question_hash"], answer=kept["answer"])
        return None

    def finish(self, call: Call, *, answer: Mapping[str, Any] | None, refused: str | None, question_hash: str) -> str:
        """Keep how a call ended; a refused one frees its key."""
        record = new_record()
        writes: list[Write] = [record_of(call, Ended.of(call, answer=answer, refused=refused), record)]
        if call.effect is Effect.ACTS and call.key is not None and answer is not None:
            done = {"skill": call.skill, "question_hash": question_hash, "answer": answer, "at": epoch_ms(call.at)}
            writes.append(Put(key=keys.call_key(call.caller, call.key), body=done))
        elif call.effect is Effect.ACTS and call.key is not None and self._began(call, question_hash):
            writes.append(Delete(key=keys.call_key(call.caller, call.key)))
        self._tables.transact(writes)
        return record

    def _began(self, call: Call, question_hash: str) -> bool:
        """Return whether a key was noted for this very question, and not for another call that had it before."""
        item = self._tables.get(keys.call_key(call.caller, call.key or ""))
        return item is not None and item.body["answer"] is None and item.body["question_hash"] == question_hash

    def of_day(self, day: datetime) -> Sequence[dict[str, Any]]:
        """Return the calls of a UTC day, the earliest first."""
        return [item.body for item in self._tables.query(Table.GRID_METRICS, keys.call_record(day, "").pk)]


def new_record() -> str:
    """Return the id of a new record; calls of one market instant keep their order by it."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"


def record_of(call: Call, ended: Ended, record: str) -> Put:
    """Return the write of a call's record, or of several that were the same, by the first of them."""
    repeats = {} if ended.count == 1 else {
        "count": ended.count, "changes": ended.changes, "last_at": ended.last_at_ms
    }  # fmt: skip
    return Put(
        key=keys.call_record(call.at, record),
        body={
            "caller": call.caller,
            "role": call.role,
            "door": call.door,
            "skill": call.skill,
            "effect": str(call.effect),
            "key": call.key,
            "at": epoch_ms(call.at),
            "question": _kept(call.question),
            "answer": ended.answer,
            "refused": ended.refused,
            **repeats,
        },
        expires_at=call.at + timedelta(days=KEEP_READS_D) if call.effect is Effect.READS else None,
    )


def _kept(value: Mapping[str, object] | None) -> Mapping[str, object] | None:
    text = json.dumps(value).encode()
    if len(text) <= ANSWER_BYTES_MAX:
        return value
    return {"sha256": sha256(text).hexdigest(), "bytes": len(text)}
