"""The ordered streams between broker and functions: what every implementation promises.

A record is appended under a partition key, which decides its shard; the records of a key are read in the order in which
they were appended. Each consumer has a checkpoint of its own in each shard, which never goes back. A record is kept
until every consumer of its stream has passed it. What a function has failed too often is set aside with its last error.
A record may be delivered again, after a crash or a failed call; every function bears that.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cloud.infra.rules import Consumer, Stream

Grown = tuple[Stream, int]
"""A stream and a shard of it that has new records."""


def shard_of(partition_key: str, shards: int) -> int:
    """Return where a partition key belongs among so many shards, the same in every process."""
    return zlib.crc32(partition_key.encode()) % shards


def site_of(data: bytes) -> str | None:
    """Return whose a record is, ``None`` where it does not say."""
    try:
        return str(json.loads(data)["topic_site"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, kw_only=True)
class NewRecord:
    """What is to be appended to a stream.

    ``message_id`` names the message for good, where its sender numbers what it sends: a store that can drops what comes
    a second time within minutes.
    """

    stream: Stream
    partition_key: str
    arrived_at: datetime
    data: bytes
    message_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class StreamRecord:
    """A record as a consumer reads it. ``seq`` rises within a shard and is used once among all shards."""

    seq: int
    partition_key: str
    arrived_at: datetime
    data: bytes


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A record that a function could not take, and what it said."""

    handler: str
    record: StreamRecord
    error: str

    @property
    def id(self) -> str:
        """Return the name by which a person speaks of it."""
        return f"{self.handler.rpartition('.')[2]}:{self.record.seq}"


class Streams(Protocol):
    """The streams of a cloud; every call may raise ``StoreError``: the store failed, and trying again may help."""

    @property
    def shards(self) -> int:
        """Return into how many shards each stream is split."""

    @property
    def look_again_s(self) -> float | None:
        """Return after how many real seconds a reader looks by itself; ``None`` where it is always told."""

    async def append(self, records: Sequence[NewRecord]) -> set[Grown]:
        """Append records, those of a key in their order, and return what has grown; then no crash takes them back.

        Raises:
            StoreError: Some may not have been appended; append all of them again.
        """

    async def follow(self, grown: Callable[[Grown], None]) -> None:
        """Tell of what other processes append, until cancelled; a telling may be lost (see ``look_again_s``)."""

    async def read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        """Return the records that a consumer has not passed, oldest first, at most one batch."""

    async def passed(self, consumer: Consumer, shard: int, seq: int) -> None:
        """Note that a consumer is done with all records up to one; a lower number than before changes nothing."""

    async def set_aside(self, consumer: Consumer, record: StreamRecord, *, error: str) -> None:
        """Keep a record that a function could not take, for someone to look at."""

    async def all_set_aside(self) -> list[SetAside]:
        """Return every record that was set aside, the oldest first."""

    async def drop(self, record: SetAside) -> None:
        """Forget a record that was set aside."""

    async def ask_replay(self, record: SetAside, data: bytes) -> None:
        """Let a running cloud, or the next to start, deliver a record again, as it was or repaired."""

    async def take_replays(self, at: datetime) -> set[Grown]:
        """Append what is to be delivered again, and return what has grown; a crash delivers it twice."""

    async def trim(self) -> int:
        """Forget the records that every consumer of their stream has passed, and return how many."""

    async def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what happened outside the streams."""

    async def counters(self) -> dict[str, int]:
        """Return every counter, how many records wait (``waiting``), and how many were set aside (``set_aside``)."""

    async def not_passed(self, consumer: Consumer) -> list[bytes]:
        """Return the records that a consumer has not passed yet, and those of its that were set aside."""

    async def forget(self, site: str) -> int:
        """Remove what a site sent and nobody has taken yet, and what was set aside of it; return how many there were.

        For a cloud that stands still.
        """

    async def close(self) -> None:
        """Release what the store holds."""
