"""Keeps every message until the cloud has it: numbers it, survives power cuts, gives up the cheapest first.

A message is numbered under ``(epoch, seq)`` of its channel when it is appended, and may be published only once it is
committed, so a number is never given twice. The commit of settlement, orders and acknowledgements begins at once; the
rest is committed within the flush window. While the file cannot be written, the outbox goes on in memory under a new
epoch and returns to the file by itself. A damaged file is set aside, what can be read of it is kept.

While ``run`` runs, whatever touches the file does so in a thread of its own, repairs too: the event loop's thread never
waits for the disk. Whoever must not act before something is on the disk awaits ``on_disk``.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from contracts.clock import Clock
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.units import SiteId, epoch_ms
from edge.errors import OutboxCorrupt, OutboxError, OutboxFull, OutboxInUse
from edge.outbox.commit_thread import CommitThread, Landing, commit_thread
from edge.outbox.quota import Quota
from edge.outbox.records import CLASS_OF, DURABLE, Caps, Fields, OutboxState, OutboxStats, Record, RecordClass
from edge.outbox.rescue import disk_bytes, open_disk, readable, readable_state, set_aside
from edge.outbox.store import Batch, Store
from edge.outbox.waiting import Build, Flight, Pending, Waiting

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
        self._waiting = Waiting()
        self._notes: deque[tuple[str, Fields]] = deque(maxlen=_NOTES_MAX)
        self._thread: CommitThread | None = None
        self._flight: Flight | None = None
        self._flush_again = False
        self._safe_upto = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._trouble: OutboxError | None = None
        self._repairing = False
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
            durable: Begin the commit at once, and end it before returning unless ``run`` runs; by default for
                settlement, orders and acknowledgements. What is not committed is not published either.
        """
        chosen = CLASS_OF[channel] if record_class is None else record_class
        seq = self._add(channel, build, chosen)
        self._appended += 1
        urgent = chosen in DURABLE if durable is None else durable
        if urgent or self._waiting.bytes >= FLUSH_BYTES or self._due_in_s() <= 0:
            self._flush_soon()
        return seq

    def remember(self, key: str, value: Any, *, durable: bool = True) -> None:
        """Keep a JSON value over restarts; ``None`` forgets it.

        Args:
            durable: Begin the commit at once, and end it before returning unless ``run`` runs.
        """
        self._waiting.keep(key, None if value is None else json.dumps(value, separators=(",", ":")))
        if durable:
            self._flush_soon()

    async def on_disk(self) -> None:
        """Commit what was kept so far, and return when it is on the disk; in memory where the disk cannot be written.

        For as long as the disk takes: whoever cannot wait so long brings a time-out.
        """
        upto = self._waiting.changes
        self._flush_soon()
        if self._safe_upto < upto:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((upto, waiter))
            await waiter

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
        if self._repairing:
            self._join()
        unwritten = self._waiting.values if self._flight is None else self._flight.values | self._waiting.values
        text = unwritten[key] if key in unwritten else self._store.recall(key)
        return None if text is None else json.loads(text)

    def flush_within(self, window_s: float) -> None:
        """Commit what is not urgent within so many seconds from now on."""
        self._flush_window_s = window_s

    def acknowledge(self, ids: Iterable[int]) -> None:
        """Forget records that the cloud has; on disk with the next commit."""
        self._waiting.acknowledge(ids)
        if len(self._waiting.acknowledged) >= _ACKNOWLEDGED_MAX:
            self._flush_soon()

    def read(self, channel: Up, *, after_id: int = 0, upto_id: int = _ALL, limit: int = 50) -> list[Record]:
        """Return committed records of a channel that are not acknowledged, in their order; none during a repair."""
        if self._repairing:
            return []
        try:
            return self._read(channel, after_id=after_id, upto_id=upto_id, limit=limit)
        except OutboxError as error:
            # Damage may show in what is read before it shows in what is written.
            self._recover_soon(error)
            return self.read(channel, after_id=after_id, upto_id=upto_id, limit=limit) if self._is_idle() else []

    def last_id(self) -> int:
        """Return the id of the newest committed record."""
        return self._last_id - self._unwritten()

    def flush(self) -> None:
        """Commit what waits before returning: one transaction, one fsync. Never raises for the disk: see ``stats``.

        For a stop, and while ``run`` does not run: it waits for the disk. Within ``together`` it is put off to the end
        of that block.
        """
        if self._together:
            self._due_together = True
            return
        self._join()
        self._flush_soon()
        self._join()

    def _flush_soon(self) -> None:
        """Commit what waits: in the thread while ``run`` runs, otherwise before returning. Memory needs no thread."""
        if self._together:
            self._due_together = True
        elif not self._is_idle():
            self._flush_again = True
        elif self._ready_to_commit():
            store, flight = self._store, self._take_off()
            in_memory = self._state is OutboxState.MEMORY
            self._work(
                lambda: self._write(store, flight, in_memory=in_memory),
                lambda error: self._land(flight, error),
                on_disk=not in_memory,
            )

    def _is_idle(self) -> bool:
        """Say whether nothing is under way in the thread, so that the store may be used and changed."""
        return self._flight is None and not self._repairing

    def _work(self, work: Callable[[], None], land: Landing, *, on_disk: bool = True) -> None:
        """Do a piece of work on the file, in the thread while ``run`` runs, and take its end here."""
        if on_disk and self._thread is not None:
            self._thread.start(work, land)
            return
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # As the thread does: the landing says what became of it.
            failure = error
        land(failure)

    def _ready_to_commit(self) -> bool:
        """Put what is to be told with what waits, and say whether anything waits."""
        while self._notes:
            phrase, fields = self._notes.popleft()
            self._add(Up.EVENTS, self._event(phrase, fields), RecordClass.EVENTS)
        if not self._waiting:
            return False
        self._flushed_at = self._clock.monotonic()
        return True

    def _take_off(self) -> Flight:
        flight = self._flight = self._waiting.take()
        return flight

    def _unwritten(self) -> int:
        """Return how many records are numbered and not committed."""
        return len(self._waiting.pending) + (len(self._flight.pending) if self._flight else 0)

    def _write(self, store: Store, flight: Flight, *, in_memory: bool) -> None:
        """Commit, maybe in the thread. The event loop's thread leaves the counts of the quota alone meanwhile."""
        self._commit(store, flight)
        self._room.keep(store, in_memory=in_memory)

    def _commit(self, store: Store, flight: Flight) -> None:
        removed = store.write(flight.batch())
        flight.written = True
        for pending in flight.pending:
            self._room.added(pending.record.record_class, 1, len(pending.record.payload))
        self._room.removed(removed)
        self._commits += 1

    def _land(
        self, flight: Flight, error: BaseException | None, or_else: Callable[[OutboxError], None] | None = None
    ) -> None:
        """Take the result of a commit; what was not written waits again. ``or_else`` takes the place of a repair."""
        self._flight = None
        if flight.written:
            self._safe_upto = flight.upto
        else:
            self._waiting.put_back(flight)
        if isinstance(error, OutboxError):
            (or_else or self._recover)(error)
        elif error is not None:
            self._failed(f"{type(error).__name__}: {error}")
        self._landed()

    def _landed(self) -> None:
        """Tell who waits for a commit, and begin what was put off until nothing is under way."""
        self.committed.set()
        waiters, self._waiters = self._waiters, []
        for upto, waiter in waiters:
            if waiter.done():
                continue
            if upto <= self._safe_upto:
                waiter.set_result(None)
            else:
                self._waiters.append((upto, waiter))
        if self._trouble is not None and self._is_idle():
            self._recover(self._trouble)
        if self._flush_again and self._is_idle():
            self._flush_again = False
            self._flush_soon()

    def _read(self, channel: Up, *, after_id: int, upto_id: int, limit: int) -> list[Record]:
        gone = self._waiting.acknowledged | (set() if self._flight is None else self._flight.acknowledged)
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

    def _recover_soon(self, error: OutboxError) -> None:
        """Go on after damage that showed beside a commit: now, or when what is under way has ended."""
        if self._is_idle():
            self._recover(error)
        else:
            self._trouble = error

    def _recover(self, error: OutboxError) -> None:
        """Go on after a commit that failed; what it held waits still."""
        self._trouble = None
        self._failed(str(error))
        if isinstance(error, OutboxFull):
            self._commit_in_less_room(error)
        elif isinstance(error, OutboxCorrupt):
            self._begin_anew(error)
        else:
            self._go_to_memory(error)

    async def run(self) -> None:
        """Commit at the end of each flush window, and return from memory when the file can be written again.

        While this runs, the file is read and written in a thread of its own.
        """
        with commit_thread() as thread:
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
            if self._store is store:
                self._recover_soon(error)
        except OutboxError as error:
            log.warning("outbox not checked", extra={"reason": str(error)})
        finally:
            store.end_check()

    async def _keep_flushing(self) -> None:
        while True:
            shortest_s = self._flush_window_s / 20 if self._waiting else self._flush_window_s
            await self._clock.sleep(max(shortest_s, self._due_in_s()))
            if self._due_in_s() <= 0:
                self._flush_soon()
            if self._state is OutboxState.MEMORY and self._clock.monotonic() >= self._retry_at and self._is_idle():
                self._return_to_disk()

    def stats(self) -> OutboxStats:
        """Return the outbox's state and counters."""
        totals = dict(self._room.totals)  # A copy: the thread may count meanwhile.
        return OutboxStats(
            state=self._state,
            epoch=self._epoch,
            depth={key: count for key, (count, _) in totals.items()},
            bytes={key: size for key, (_, size) in totals.items()},
            pending=self._unwritten(),
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
        self._waiting.add(Pending(record=record, build=build))
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

    def _commit_in_less_room(self, cause: OutboxFull) -> None:
        """Make room by giving up the oldest telemetry, then events; failing that, go on in memory."""
        store, flight = self._store, self._take_off()
        fits = False

        def make_room() -> None:
            nonlocal fits
            fits = self._room.make(store, lambda: self._commit(store, flight))

        def land(error: BaseException | None) -> None:
            if error is None and not fits:
                error = cause
            self._land(flight, error, or_else=self._go_to_memory)

        self._work(make_room, land)

    def _repair(self, work: Callable[[], None], land: Landing) -> None:
        """Do work after which another store is in use; until it has landed, nothing is read or committed."""

        def landed(error: BaseException | None) -> None:
            self._repairing = False
            land(error)
            self._landed()

        self._repairing = True
        self._work(work, landed)

    def _go_to_memory(self, cause: OutboxError) -> None:
        """Go on in memory under a new epoch, with what the file still holds as far as memory allows."""
        disk, gone = self._store, frozenset(self._waiting.acknowledged)
        kept: list[Record] = []
        values: dict[str, str | None] = {}

        def read_all() -> None:
            try:
                kept.extend(readable(disk, without=gone, bytes_max=self._caps.memory_bytes_max))
                values.update(readable_state(disk))
            finally:
                disk.close()

        def land(error: BaseException | None) -> None:
            if error is not None:
                self._failed(f"{type(error).__name__}: {error}")
            self._state = OutboxState.MEMORY
            self._retry_at = self._clock.monotonic() + RETRY_S
            self._copied = {record.id for record in kept}
            epoch = self._next_epoch()
            memory = Store.in_memory()
            memory.write(Batch(records=kept, state=values, epoch=epoch))
            self._start_over(memory, epoch)
            self._note("outbox in memory", {"reason": str(cause)[:200]})

        self._repair(read_all, land)

    def _begin_anew(self, cause: OutboxError) -> None:
        """Set the damaged file aside and go on in a new one, with what could be read."""
        damaged, gone, epoch = self._store, frozenset(self._waiting.acknowledged), self._next_epoch()
        at_ms = epoch_ms(self._clock.now())
        kept: list[Record] = []
        values: dict[str, str | None] = {}
        fresh: Store | None = None

        def replace_file() -> None:
            nonlocal fresh
            records, state = damaged.salvage()
            kept.extend(record for record in records if record.id not in gone)
            values.update(state)
            damaged.close()
            set_aside(self._path, at_ms=at_ms)
            fresh = Store.open(self._path, bytes_max=self._caps.bytes_max)
            fresh.write(Batch(records=kept, state=values, epoch=epoch))

        def land(error: BaseException | None) -> None:
            store = fresh
            if error is not None or store is None:
                self._failed(f"{type(error).__name__}: {error}")
                if store is not None:
                    store.close()
                store = Store.in_memory()
                store.write(Batch(records=kept, state=values, epoch=epoch))
                self._state = OutboxState.MEMORY
                self._retry_at = self._clock.monotonic() + RETRY_S
            self._start_over(store, epoch)
            self._note("outbox damaged and begun anew", {"reason": str(cause)[:200], "kept": len(kept)})

        self._repair(replace_file, land)

    def _next_epoch(self) -> int:
        return max(epoch_ms(self._clock.now()), self._epoch + 1)

    def _start_over(self, store: Store, epoch: int) -> None:
        """Adopt a store under a new epoch and number again what was not committed."""
        renumbered = self._waiting.take_records()
        self._store = store
        last_id = self._last_id
        self._adopt(epoch)
        self._last_id = max(self._last_id, last_id)
        for pending in renumbered:
            self._add(pending.record.channel, pending.build, pending.record.record_class)
        self._flush_soon()

    def _return_to_disk(self) -> None:
        """Move what memory holds back to the file; stay in memory when that fails."""
        self.flush()
        memory = self._store
        everything = [record for channel in Up for record in memory.read(channel, after_id=0, upto_id=_ALL, limit=_ALL)]
        batch = Batch(
            records=everything,
            acknowledged=self._copied - {record.id for record in everything},
            counters=dict.fromkeys(Up, 0) | self._counters,
            state=dict(memory.state()),
            epoch=self._epoch,
            keep_existing=True,
        )
        found: tuple[Store, Fields | None] | None = None

        def write_all() -> None:
            nonlocal found
            disk, damage = open_disk(self._path, clock=self._clock, bytes_max=self._caps.bytes_max)
            try:
                disk.write(batch)
            except BaseException:
                disk.close()
                raise
            found = disk, damage

        def land(error: BaseException | None) -> None:
            if error is not None or found is None:
                self._failed(str(error))
                self._retry_at = self._clock.monotonic() + RETRY_S
                return
            memory.close()
            (self._store, damage), self._state, self._copied = found, OutboxState.DISK, set()
            if damage:
                self._failed(str(damage["reason"]))
            self._room.adopt(self._store)
            self.generation += 1
            self._note("outbox on disk again", damage or {})
            self._flush_soon()

        self._repair(write_all, land)

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

    def _due_in_s(self) -> float:
        return self._flushed_at + self._flush_window_s - self._clock.monotonic()
