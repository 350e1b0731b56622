"""What the outbox holds by class, and what it gives up when a class is above its cap or records are too old."""

import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta

from contracts.clock import Clock
from contracts.units import epoch_ms
from edge.errors import OutboxError, OutboxFull
from edge.outbox.records import Caps, Fields, Record, RecordClass
from edge.outbox.retention import bytes_max_of, telemetry_bytes_max, thin
from edge.outbox.store import Batch, Store

AGE_CHECK_S = 3600.0
_DROP_RECORDS = 100  # Records given up at a time.
_THIN_RECORDS = 25  # Records thinned at a time: milliseconds, between two control cycles.

Note = Callable[[str, Fields], None]


class Quota:
    """Counts an outbox's records and keeps them within its caps; every gap that it makes is noted.

    Args:
        caps: How much may be kept.
        disk_bytes: Size of the disk below the outbox.
        clock: Tells ages, and paces looking for them.
        note: Called with what an operator should know: which records were given up, and why.
    """

    def __init__(self, caps: Caps, *, disk_bytes: int, clock: Clock, note: Note) -> None:
        self.thinned = self.dropped = 0
        self._caps = caps
        self._disk_bytes = disk_bytes
        self._clock = clock
        self._note = note
        self._age_checked_at = clock.monotonic()
        self._totals: dict[RecordClass, tuple[int, int]] = {}

    @property
    def totals(self) -> Mapping[RecordClass, tuple[int, int]]:
        """Return how many records and payload bytes each class holds."""
        return self._totals

    def adopt(self, store: Store) -> None:
        """Count a store anew."""
        self._totals = store.totals()

    def added(self, record_class: RecordClass, records: int, size: int) -> None:
        """Count what was written; negative for what went."""
        count, total = self._totals.get(record_class, (0, 0))
        self._totals[record_class] = (count + records, total + size)

    def removed(self, removed: Mapping[RecordClass, tuple[int, int]]) -> None:
        """Count what a store says that it removed."""
        for record_class, (count, size) in removed.items():
            self.added(record_class, -count, -size)

    def keep(self, store: Store, *, in_memory: bool) -> None:
        """Thin, then drop, what is above its cap or too old; what a failing store refuses is tried again next time."""
        with contextlib.suppress(OutboxError):
            for record_class in (RecordClass.ORDERS, RecordClass.EVENTS):
                while self._bytes(record_class) > (bytes_max_of(self._caps, record_class) or 0):
                    self._drop(store, store.oldest(record_class, limit=_DROP_RECORDS), "cap")
            room = self._caps.memory_bytes_max if in_memory else self._telemetry_bytes_max()
            if self._bytes(RecordClass.TELEMETRY) > room and not self._thin_oldest(store):
                while self._bytes(RecordClass.TELEMETRY) > room:
                    self._drop(store, store.oldest(RecordClass.TELEMETRY, limit=_DROP_RECORDS), "cap")
            if self._clock.monotonic() - self._age_checked_at >= AGE_CHECK_S:
                self._age_checked_at = self._clock.monotonic()
                self._drop_aged(store)

    def make(self, store: Store, commit: Callable[[], None]) -> bool:
        """Give up the oldest telemetry, then events, until a commit fits; return whether it did.

        Raises:
            OutboxError: The store failed for another reason than its room.
        """
        store.compact()
        for record_class in (RecordClass.TELEMETRY, RecordClass.EVENTS):
            while self._totals.get(record_class, (0, 0))[0]:
                self._drop(store, store.oldest(record_class, limit=_DROP_RECORDS), "no room")
                with contextlib.suppress(OutboxFull):
                    commit()
                    return True
        return False

    def _telemetry_bytes_max(self) -> int:
        others = sum(self._bytes(key) for key in self._totals if key is not RecordClass.TELEMETRY)
        return telemetry_bytes_max(self._caps, disk_bytes=self._disk_bytes, others_bytes=others)

    def _thin_oldest(self, store: Store) -> bool:
        """Thin some of the oldest telemetry and say whether there was any left to thin."""
        full = store.oldest(RecordClass.TELEMETRY, limit=_THIN_RECORDS, unthinned=True)
        if not full:
            return False
        thinned = [thin(record) for record in full]
        store.write(Batch(thinned=thinned))
        self.thinned += len(thinned)
        grown = sum(len(new.payload) - len(old.payload) for old, new in zip(full, thinned, strict=True))
        self.added(RecordClass.TELEMETRY, 0, grown)
        return True

    def _drop_aged(self, store: Store) -> None:
        before_ms = epoch_ms(self._clock.now() - timedelta(seconds=self._caps.age_s_max))
        for record_class in (RecordClass.TELEMETRY, RecordClass.EVENTS, RecordClass.ORDERS):
            while aged := store.older_than(record_class, at_ms=before_ms, limit=_DROP_RECORDS):
                self._drop(store, aged, "age")

    def _drop(self, store: Store, records: list[Record], why: str) -> None:
        """Give up records and note the gap, by which the cloud can tell dropped from lost."""
        self.removed(store.write(Batch(acknowledged=[record.id for record in records])))
        self.dropped += len(records)
        for channel in {record.channel for record in records}:
            seqs = [record.seq for record in records if record.channel is channel]
            fields: Fields = {"channel": channel, "first_seq": min(seqs), "last_seq": max(seqs), "records": len(seqs)}
            first_at = min(record.at for record in records if record.channel is channel)
            self._note("records dropped", {**fields, "reason": why, "from_ms": epoch_ms(first_at)})

    def _bytes(self, record_class: RecordClass) -> int:
        return self._totals.get(record_class, (0, 0))[1]
