"""Keeps every message until the cloud has it: numbers it, survives power cuts, gives up the cheapest first.

A message is numbered under ``(epoch, seq)`` of its channel when it is appended, and may be published only once it is
committed, so a number is never given twice. Settlement, orders and acknowledgements are committed before ``append``
returns; the rest within the flush window. While the file cannot be written, the outbox goes on in memory under a new
epoch and returns to the file by itself. A damaged file is set aside, what can be read of it is kept.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from contracts.clock import Clock
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.units import SiteId, epoch_ms
from edge.errors import OutboxCorrupt, OutboxError, OutboxFull, OutboxInUse
from edge.outbox.commit_thread import CommitThread, commit_thread
from edge.outbox.flight import Build, Flight, Pending
from edge.outbox.quota import Quota
from edge.outbox.records import CLASS_OF, DURABLE, Caps, Fields, OutboxState, OutboxStats, Record, RecordClass
from edge.outbox.rescue import disk_bytes, open_disk, readable, readable_state, set_aside
from edge.outbox.store import Batch, Store

log = logging.getLogger(__name__)

FLUSH_WINDOW_S = 30.0
FLUSH_BYTES = 256 * 1024
RETRY_S = 60.0  # Between attempts to return from memory to the file.
_ACKNOWLEDGED_MAX = 200  # Acknowledgements that wait for the next commit; a kill makes us repeat at most these.
_NOTES_MAX = 50
_MEMORY_ID_SHIFT = 20
_ALL = 2**63 - 1


class Outbox:
    """One gateway's outbox; made by ``open``. Not for use from several threads.

    ``committed`` is set by every commit; who waits for it clears it first. ``generation`` rises when the records behind
    the ids may have become more than they were: a reader then begins at the oldest again.
    """

    def __init__(self, path: Path, *, site: SiteId, clock: Clock, caps: Caps, flush_window_s: float) -> None:
        self.committed = asyncio.Event()
        self._path = path
        self._site = site
        self._clock = clock
        self._caps = caps
        self._flush_window_s = flush_window_s
        self._state = OutboxState.DISK
        self._pending: list[Pending] = []
        self._pending_bytes = 0
        self._values: dict[str, str | None] = {}
        self._acknowledged: set[int] = set()
        self._notes: deque[tuple[str, Fields]] = deque(maxlen=_NOTES_MAX)
        self._thread: CommitThread | None = None
        self._flight: Flight | None = None
        self._flush_again = False
        self._copied: set[int] = set()
        self._together = 0
        self._due_together = False
        self._flushed_at = -flush_window_s
        self._retry_at = 0.0
        self._appended = self._commits = self._failures = 0
        self._last_error: str | None = None
        self._room = Quota(caps, disk_bytes=disk_bytes(path), clock=clock, note=self._note)
        self._epoch = self._last_id = 0
        self._counters: dict[Up, int] = {}
        self.generation = 0
        self._store, damage = self._open_store()
        try:
            self._adopt(self._store.epoch())
        except OutboxCorrupt as error:
            self._begin_anew(error)
        if damage:
            self._note("outbox damaged and begun anew", damage)
        if self._state is OutboxState.MEMORY:
            self._note("outbox in memory", {"reason": self._last_error})

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        site: SiteId,
        clock: Clock,
        caps: Caps | None = None,
        flush_window_s: float = FLUSH_WINDOW_S,
    ) -> "Outbox":
        """Open or create a site's outbox.

        A damaged file is set aside, an unusable one is replaced by memory; both are reported as events.

        Raises:
            OutboxInUse: Another process has it open; this gateway must not start.
        """
        return cls(path, site=site, clock=clock, caps=caps or Caps(), flush_window_s=flush_window_s)

    @property
    def epoch(self) -> int:
        """Return the epoch under which messages are numbered now."""
        return self._epoch

    def append(
        self, channel: Up, build: Build, *, record_class: RecordClass | None = None, durable: bool | None = None
    ) -> int:
        """Number a message, keep it until it is acknowledged, and return its number.

        Args:
            channel: Where it goes; decides its class unless ``record_class`` says otherwise (evidence among events).
            build: Makes the message for an epoch and a number. Called again if the outbox has to begin anew.
            record_class: What the outbox may do with it when room is short.
            durable: Commit at once, before returning unless ``run`` runs; by default for settlement, orders and
                acknowledgements. What is not committed is not published either.
        """
        chosen = CLASS_OF[channel] if record_class is None else record_class
        seq = self._add(channel, build, chosen)
        self._appended += 1
        urgent = chosen in DURABLE if durable is None else durable
        if urgent or self._pending_bytes >= FLUSH_BYTES or self._due_in_s() <= 0:
            self._flush_soon()
        return seq

    def remember(self, key: str, value: Any, *, durable: bool = True) -> None:
        """Keep a JSON value over restarts, with ``durable`` before returning; ``None`` forgets it."""
        self._values[key] = None if value is None else json.dumps(value, separators=(",", ":"))
        if durable:
            self.flush()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Commit what is kept within the block in one transaction at its end: a crash leaves all of it or nothing."""
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1
            if not self._together and self._due_together:
                self._due_together = False
                self._flush_soon()

    def recall(self, key: str) -> Any:
        """Return a remembered value, ``None`` where there is none."""
        under_way = {} if self._flight is None else self._flight.values
        if key in self._values or key in under_way:
            text = self._values.get(key) if key in self._values else under_way[key]
        else:
            text = self._store.recall(key)
        return None if text is None else json.loads(text)

    def flush_within(self, window_s: float) -> None:
        """Commit what is not urgent within so many seconds from now on."""
        self._flush_window_s = window_s

    def acknowledge(self, ids: Iterable[int]) -> None:
        """Forget records that the cloud has; on disk with the next commit."""
        self._acknowledged.update(ids)
        if len(self._acknowledged) >= _ACKNOWLEDGED_MAX:
            self._flush_soon()

    def read(self, channel: Up, *, after_id: int = 0, upto_id: int = _ALL, limit: int = 50) -> list[Record]:
        """Return committed records of a channel that are not acknowledged, in their order."""
        try:
            return self._read(channel, after_id=after_id, upto_id=upto_id, limit=limit)
        except OutboxError as error:
            # Damage may show in what is read before it shows in what is written.
            self._join()
            self._recover(error)
            return self._read(channel, after_id=after_id, upto_id=upto_id, limit=limit)

    def last_id(self) -> int:
        """Return the id of the newest committed record."""
        return self._last_id - len(self._pending) - (len(self._flight.pending) if self._flight else 0)

    def flush(self) -> None:
        """Commit what waits: one transaction, one fsync. Never raises for the disk: see ``stats``.

        Within ``together`` it is put off to the end of that block.
        """
        if self._together:
            self._due_together = True
            return
        self._join()
        if not self._ready_to_commit():
            return
        try:
            self._commit()
        except OutboxError as error:
            self._recover(error)
        self._room.keep(self._store, in_memory=self._state is OutboxState.MEMORY)
        self.committed.set()

    def _flush_soon(self) -> None:
        """Commit what waits: in the thread while ``run`` runs, otherwise before returning. Memory needs no thread."""
        if self._thread is None or self._state is OutboxState.MEMORY:
            self.flush()
        elif self._together:
            self._due_together = True
        elif self._flight is not None:
            self._flush_again = True
        elif self._ready_to_commit():
            flight = self._flight = Flight(pending=self._pending, values=self._values, acknowledged=self._acknowledged)
            self._pending, self._pending_bytes = [], 0
            self._values, self._acknowledged = {}, set()
            store = self._store
            self._thread.start(lambda: self._write(store, flight))

    def _ready_to_commit(self) -> bool:
        """Put what is to be told with what waits, and say whether anything waits."""
        while self._notes:
            phrase, fields = self._notes.popleft()
            self._add(Up.EVENTS, self._event(phrase, fields), RecordClass.EVENTS)
        if not self._waiting():
            return False
        self._flushed_at = self._clock.monotonic()
        return True

    def _write(self, store: Store, flight: Flight) -> None:
        """Commit in the thread. The event loop's thread leaves the counts of the quota alone meanwhile."""
        removed = store.write(flight.batch())
        flight.written = True
        self._count(flight, removed)
        self._room.keep(store, in_memory=False)

    def _land(self, error: BaseException | None) -> None:
        """Take the result of a commit in the thread; what was not written waits again, in front."""
        flight, self._flight = self._flight, None
        assert flight is not None, "a commit lands once"
        if not flight.written:
            self._pending = flight.pending + self._pending
            self._pending_bytes = sum(len(pending.record.payload) for pending in self._pending)
            self._values = {**flight.values, **self._values}
            self._acknowledged |= flight.acknowledged
        if isinstance(error, OutboxError):
            self._recover(error)
        elif error is not None:
            self._failed(f"{type(error).__name__}: {error}")
        self.committed.set()
        if self._flush_again:
            self._flush_again = False
            self._flush_soon()

    def _read(self, channel: Up, *, after_id: int, upto_id: int, limit: int) -> list[Record]:
        gone = self._acknowledged if self._flight is None else self._acknowledged | self._flight.acknowledged
        while found := self._store.read(channel, after_id=after_id, upto_id=upto_id, limit=limit):
            kept = [record for record in found if record.id not in gone]
            if kept:
                return kept
            after_id = found[-1].id
        return []

    def _join(self) -> None:
        """Wait for a commit that is under way: the file is needed now."""
        if self._thread is not None:
            self._thread.join()

    def _recover(self, error: OutboxError) -> None:
        """Go on after a commit that failed; what it held waits still."""
        self._failed(str(error))
        if isinstance(error, OutboxFull):
            self._commit_in_less_room(error)
        elif isinstance(error, OutboxCorrupt):
            self._begin_anew(error)
        else:
            self._go_to_memory(error)

    async def run(self) -> None:
        """Commit at the end of each flush window, and return from memory when the file can be written again.

        While this runs, commits are made in a thread of their own.
        """
        with commit_thread(self._land) as thread:
            self._thread = thread
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._check_large(), name="check the outbox")
                    tasks.create_task(self._keep_flushing(), name="flush the outbox")
            finally:
                thread.join()
                self._thread = None

    async def _check_large(self) -> None:
        """Look for damage that a power cut left in a large file, while the outbox is used: a start must not wait."""
        store = self._store
        if not store.check_due:
            return
        try:
            await asyncio.to_thread(store.check)
            log.info("outbox checked", extra={"file": self._path.name})
        except OutboxCorrupt as error:
            self._join()
            if self._store is store:
                self._recover(error)
        except OutboxError as error:
            log.warning("outbox not checked", extra={"reason": str(error)})
        finally:
            store.end_check()

    async def _keep_flushing(self) -> None:
        while True:
            shortest_s = self._flush_window_s / 20 if self._waiting() else self._flush_window_s
            await self._clock.sleep(max(shortest_s, self._due_in_s()))
            if self._due_in_s() <= 0:
                self._flush_soon()
            if self._state is OutboxState.MEMORY and self._clock.monotonic() >= self._retry_at:
                self._return_to_disk()

    def stats(self) -> OutboxStats:
        """Return the outbox's state and counters."""
        totals = dict(self._room.totals)  # A copy: the thread may count meanwhile.
        return OutboxStats(
            state=self._state,
            epoch=self._epoch,
            depth={key: count for key, (count, _) in totals.items()},
            bytes={key: size for key, (_, size) in totals.items()},
            pending=len(self._pending) + (len(self._flight.pending) if self._flight else 0),
            appended=self._appended,
            commits=self._commits,
            thinned=self._room.thinned,
            dropped=self._room.dropped,
            write_failures=self._failures,
            last_error=self._last_error,
        )

    def close(self) -> None:
        """Commit what waits and close the file."""
        try:
            self.flush()
            if self._state is OutboxState.MEMORY:
                self._return_to_disk()
        finally:
            self._store.close()

    def _add(self, channel: Up, build: Build, record_class: RecordClass) -> int:
        seq = self._counters.get(channel, 0) + 1
        record = self._record(channel, build, record_class, seq=seq, record_id=self._last_id + 1)
        self._counters[channel] = seq
        self._last_id = record.id
        self._pending.append(Pending(record=record, build=build))
        self._pending_bytes += len(record.payload)
        return seq

    def _record(self, channel: Up, build: Build, record_class: RecordClass, *, seq: int, record_id: int) -> Record:
        message = build(self._epoch, seq)
        assert (message.epoch, message.seq, message.channel) == (self._epoch, seq, channel), (
            "built under another number"
        )
        return Record(
            id=record_id,
            channel=channel,
            seq=seq,
            record_class=record_class,
            at=self._clock.now(),
            payload=message.encode(),
        )

    def _commit(self) -> None:
        flight = Flight(pending=self._pending, values=self._values, acknowledged=self._acknowledged)
        removed = self._store.write(flight.batch())
        self._pending, self._pending_bytes = [], 0
        self._values, self._acknowledged = {}, set()
        self._count(flight, removed)

    def _count(self, flight: Flight, removed: Mapping[RecordClass, tuple[int, int]]) -> None:
        for pending in flight.pending:
            self._room.added(pending.record.record_class, 1, len(pending.record.payload))
        self._room.removed(removed)
        self._commits += 1

    def _commit_in_less_room(self, cause: OutboxFull) -> None:
        """Make room by giving up the oldest telemetry, then events; failing that, go on in memory."""
        try:
            fits = self._room.make(self._store, self._commit)
        except OutboxError as error:
            return self._go_to_memory(error)
        return None if fits else self._go_to_memory(cause)

    def _go_to_memory(self, cause: OutboxError) -> None:
        """Go on in memory under a new epoch, with what the file still holds as far as memory allows."""
        disk, memory = self._store, Store.in_memory()
        kept = readable(disk, without=self._acknowledged, bytes_max=self._caps.memory_bytes_max)
        values = {**readable_state(disk), **self._values}
        disk.close()
        self._state = OutboxState.MEMORY
        self._retry_at = self._clock.monotonic() + RETRY_S
        self._copied = {record.id for record in kept}
        self._start_over(memory, kept, values)
        self._note("outbox in memory", {"reason": str(cause)[:200]})

    def _begin_anew(self, cause: OutboxError) -> None:
        """Set the damaged file aside and go on in a new one, with what could be read."""
        damaged = self._store
        kept, values = damaged.salvage()
        damaged.close()
        try:
            set_aside(self._path, at_ms=epoch_ms(self._clock.now()))
            fresh = Store.open(self._path, bytes_max=self._caps.bytes_max)
        except OutboxError:
            fresh = Store.in_memory()
            self._state = OutboxState.MEMORY
            self._retry_at = self._clock.monotonic() + RETRY_S
        kept = [record for record in kept if record.id not in self._acknowledged]
        self._start_over(fresh, kept, {**values, **self._values})
        self._note("outbox damaged and begun anew", {"reason": str(cause)[:200], "kept": len(kept)})

    def _start_over(self, store: Store, kept: list[Record], values: dict[str, str | None]) -> None:
        """Adopt a store under a new epoch and number again what was not committed."""
        waiting, self._pending, self._pending_bytes = self._pending, [], 0
        self._acknowledged, self._values = set(), {}
        epoch = max(epoch_ms(self._clock.now()), self._epoch + 1)
        store.write(Batch(records=kept, state=values, epoch=epoch))
        self._store = store
        last_id = self._last_id
        self._adopt(epoch)
        self._last_id = max(self._last_id, last_id)
        for pending in waiting:
            self._add(pending.record.channel, pending.build, pending.record.record_class)
        if self._pending:
            self._commit()

    def _return_to_disk(self) -> None:
        """Move what memory holds back to the file; stay in memory when that fails."""
        self.flush()
        try:
            disk, damage = self._open_disk()
        except OutboxError as error:
            self._failed(str(error))
            self._retry_at = self._clock.monotonic() + RETRY_S
            return
        everything = [
            record for channel in Up for record in self._store.read(channel, after_id=0, upto_id=_ALL, limit=_ALL)
        ]
        gone = self._copied - {record.id for record in everything}
        batch = Batch(
            records=everything,
            acknowledged=gone,
            counters=dict.fromkeys(Up, 0) | self._counters,
            state=dict(self._store.state()),
            epoch=self._epoch,
            keep_existing=True,
        )
        try:
            disk.write(batch)
        except OutboxError as error:
            disk.close()
            self._failed(str(error))
            self._retry_at = self._clock.monotonic() + RETRY_S
            return
        self._store.close()
        self._store, self._state, self._copied = disk, OutboxState.DISK, set()
        self._room.adopt(disk)
        self.generation += 1
        self._note("outbox on disk again", damage or {})
        self.flush()

    def _open_store(self) -> tuple[Store, Fields | None]:
        try:
            return self._open_disk()
        except OutboxInUse:
            raise
        except OutboxError as error:
            self._failed(str(error))
            self._state = OutboxState.MEMORY
            self._retry_at = self._clock.monotonic() + RETRY_S
            return Store.in_memory(), None

    def _open_disk(self) -> tuple[Store, Fields | None]:
        store, damage = open_disk(self._path, clock=self._clock, bytes_max=self._caps.bytes_max)
        if damage:
            self._failed(str(damage["reason"]))
        return store, damage

    def _adopt(self, epoch: int | None) -> None:
        if epoch is None:
            epoch = epoch_ms(self._clock.now())
            self._store.write(Batch(epoch=epoch))
        self._epoch = epoch
        self.generation += 1
        self._counters = self._store.counters()
        # What memory numbers must not meet the ids of a file that could not be opened.
        base = epoch << _MEMORY_ID_SHIFT if self._state is OutboxState.MEMORY else 0
        self._last_id = max(self._store.last_id(), base)
        self._room.adopt(self._store)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self._last_error = reason
        log.error("outbox write failed", extra={"reason": reason})

    def _note(self, phrase: str, fields: Fields) -> None:
        """Keep an event for the next commit; beyond the bound the oldest of the same phrase is forgotten."""
        log.warning(phrase, extra={"fields": fields})
        self._notes.append((phrase, fields))

    def _event(self, phrase: str, fields: Fields) -> Build:
        at = self._clock.now()
        return lambda epoch, seq: EventMessage(
            site=self._site, epoch=epoch, seq=seq, sent_at=at, at=at, phrase=phrase, fields=fields
        )

    def _waiting(self) -> bool:
        return bool(self._pending or self._values or self._acknowledged)

    def _due_in_s(self) -> float:
        return self._flushed_at + self._flush_window_s - self._clock.monotonic()
