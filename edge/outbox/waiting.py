"""What the outbox keeps that is not on the disk yet: records, small values, and what the cloud has acknowledged.

It waits, until a commit takes all of it along at once; what a commit could not write waits again, in front.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from contracts.wire import SiteMessage
from edge.outbox.records import Record
from edge.outbox.store import Batch

Build = Callable[[int, int], SiteMessage]
"""Makes a message for an epoch and a number."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A record that is not committed yet, and what makes it again under another number."""

    record: Record
    build: Build


@dataclass(kw_only=True)
class Flight:
    """What a commit under way holds; ``written`` once it is on the disk.

    ``upto`` is the number of the newest change that it holds, counted from the outbox's start.
    """

    pending: list[Pending]
    values: dict[str, str | None]
    acknowledged: set[int]
    upto: int
    written: bool = False

    def batch(self) -> Batch:
        """Return it as one transaction."""
        return Batch(
            records=[pending.record for pending in self.pending],
            acknowledged=self.acknowledged,
            counters={pending.record.channel: pending.record.seq for pending in self.pending},
            state=self.values,
        )


@dataclass(kw_only=True)
class Waiting:
    """What the next commit will hold.

    ``bytes`` is the payload of ``pending``. ``changes`` counts all that was ever put here: whatever was put before it
    stood at a number is on the disk once a flight of that number, or a later one, is written.
    """

    pending: list[Pending] = field(default_factory=list)
    bytes: int = 0
    values: dict[str, str | None] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    changes: int = 0

    def __bool__(self) -> bool:
        return bool(self.pending or self.values or self.acknowledged)

    def add(self, pending: Pending) -> None:
        """Let a record wait, behind the others."""
        self.pending.append(pending)
        self.bytes += len(pending.record.payload)
        self.changes += 1

    def keep(self, key: str, text: str | None) -> None:
        """Let a value wait in place of the one before, ``None`` to forget it."""
        self.values[key] = text
        self.changes += 1

    def acknowledge(self, ids: Iterable[int]) -> None:
        """Let records that the cloud has wait to be forgotten."""
        self.acknowledged.update(ids)
        self.changes += 1

    def take(self) -> Flight:
        """Take all of it out: it is under way from now on."""
        flight = Flight(pending=self.pending, values=self.values, acknowledged=self.acknowledged, upto=self.changes)
        self.pending, self.bytes, self.values, self.acknowledged = [], 0, {}, set()
        return flight

    def put_back(self, flight: Flight) -> None:
        """Let what was not written wait again, in front; a value that was kept meanwhile is the newer one."""
        self.pending = flight.pending + self.pending
        self.bytes += sum(len(pending.record.payload) for pending in flight.pending)
        self.values = {**flight.values, **self.values}
        self.acknowledged |= flight.acknowledged

    def take_records(self) -> list[Pending]:
        """Take out the records alone, to be numbered anew."""
        records, self.pending, self.bytes = self.pending, [], 0
        return records
