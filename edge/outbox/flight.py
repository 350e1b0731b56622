"""What one commit of the outbox holds: records that wait, small values, and what the cloud has acknowledged."""

from collections.abc import Callable
from dataclasses import dataclass

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
