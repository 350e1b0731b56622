"""Reads that repeat are recorded together: a page that polls leaves one record a quarter of an hour, not ninety.

Whatever acts or proposes is recorded call by call, before its answer. Of reads the same caller's, in the same role,
through the same door, with the same question and the same end are one group for each quarter of an hour of the market's
clock. Its record tells the first and the last instant, how many calls there were, the newest answer, and how often
the answer was another than the one before.

A group's record is written within a second of its first call, its count at least each minute, both when the server
ends. A server that is killed loses what it did not write: of a question that was asked before at most a minute's count.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from cloud.agents.office import Call, Kept
from cloud.errors import StoreError
from cloud.shell.call_book import Ended, StoreCallBook, new_record, record_of
from cloud.stores.tables import Tables
from contracts.skills.base import Effect
from contracts.units import DELIVERY_INTERVAL_S, epoch_ms

FIRST_S: Final = 1.0
COUNT_S: Final = 60.0
# An answer of up to 20 kB is kept with each; beyond that all are written and forgotten.
GROUPS_MAX: Final = 1_000

_Id = tuple[str, str, str, str, str | None, int]


@dataclass(kw_only=True)
class _Group:
    record: str
    first: Call
    ended: Ended
    digest: bytes
    written: int = 0  # How many of its calls the record tells.
    written_at_s: float = 0.0


class CallGroups:
    """The book of a server that stays: it must be told to ``flush`` each second, and when it ends."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._book = StoreCallBook(tables)
        self._monotonic = monotonic
        self._groups: dict[_Id, _Group] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # One flush at a time; calls join meanwhile.
        self._failed = False

    def begin(self, call: Call, *, question_hash: str) -> Kept | None:
        """Note a call that acts before it is done; return the one that had its key before."""
        return self._book.begin(call, question_hash=question_hash)

    def finish(
        self, call: Call, *, answer: Mapping[str, object] | None, refused: str | None, question_hash: str
    ) -> str:
        """Keep how a call ended; a read joins those that were the same.

        Raises:
            StoreError: The tables failed; for a read, as long as those before it could not be written.
        """
        if call.effect is not Effect.READS:
            return self._book.finish(call, answer=answer, refused=refused, question_hash=question_hash)
        record = self._joined(call, answer, refused, question_hash)
        if self._failed or len(self._groups) > GROUPS_MAX:
            self.flush(everything=True)
        return record

    def flush(self, *, everything: bool = False) -> None:
        """Write the groups that are new, those whose count is due and those whose quarter of an hour is over.

        Raises:
            StoreError: The tables failed; what was to be written is written by the next flush.
        """
        with self._writing:
            now_s = self._monotonic()
            with self._lock:
                newest = max((name[-1] for name in self._groups), default=0)
                over = {name for name in self._groups if everything or name[-1] < newest}
                due = [
                    (group, group.ended.count, record_of(group.first, group.ended, group.record))
                    for name, group in self._groups.items()
                    if group.ended.count > group.written
                    and (name in over or not group.written or now_s - group.written_at_s >= COUNT_S)
                ]
            try:
                self._tables.put_each([put for _, _, put in due])
            except StoreError:
                self._failed = True
                raise
            self._failed = False
            with self._lock:
                for group, count, _ in due:
                    group.written, group.written_at_s = count, now_s
                for name in over:
                    group = self._groups[name]
                    if group.written == group.ended.count:  # Else another call joined while this was written.
                        del self._groups[name]

    def _joined(self, call: Call, answer: Mapping[str, object] | None, refused: str | None, question_hash: str) -> str:
        at_ms = epoch_ms(call.at)
        name: _Id = (call.caller, call.role, call.door, question_hash, refused, _quarter(at_ms))
        ended = Ended.of(call, answer=answer, refused=refused)
        digest = sha256(repr(ended.answer).encode()).digest()
        with self._lock:
            group = self._groups.get(name)
            if group is None:
                group = _Group(record=new_record(), first=call, ended=ended, digest=digest)
                self._groups[name] = group
                return group.record
            changes = group.ended.changes + (digest != group.digest)
            group.digest = digest
            group.ended = replace(ended, count=group.ended.count + 1, changes=changes, last_at_ms=at_ms)
            return group.record


def _quarter(at_ms: int) -> int:
    return at_ms // (DELIVERY_INTERVAL_S * 1000)
