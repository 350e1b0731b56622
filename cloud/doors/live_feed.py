"""What changes in a zone, at a feeder or at a site, as numbered events that are kept a while.

A channel is looked at each second while somebody reads it, and for a quarter of an hour afterwards. Each change is
written to the tables under the next number before anybody is told, so numbers go on after a restart, and of two servers
over the same tables one writes and both tell.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio.to_thread

from cloud.errors import ConditionFailed, StoreError
from cloud.stores import keys
from cloud.stores.tables import Item, Put, Table, Tables

POLL_S: Final = 1.0
KEEP_S: Final = 900.0
# A reader that is so far behind is closed; it resumes from the tables.
WAITING_MAX: Final = 256
REPLAY_MAX: Final = 2_000
CHANNELS_MAX: Final = 5_000

Snapshot = Callable[[], Mapping[str, Mapping[str, object]]]


@dataclass(frozen=True, kw_only=True)
class LiveEvent:
    """One change. ``kind`` says what changed; ``gap`` stands for numbers that are no longer kept and has none."""

    seq: int | None
    kind: str
    data: Mapping[str, Any]


class Reader:
    """One who reads a channel; ``dropped`` once he was too slow."""

    def __init__(self, *, joined_at: int) -> None:
        self.joined_at = joined_at
        self.waiting: asyncio.Queue[LiveEvent] = asyncio.Queue(WAITING_MAX)
        self.dropped = asyncio.Event()

    def tell(self, event: LiveEvent) -> None:
        """Put an event in the queue, or give the reader up."""
        try:
            self.waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped.set()


class Channel:
    """One zone, feeder or site."""

    def __init__(self, name: str, snapshot: Snapshot, tables: Tables) -> None:
        self.name = name
        self._snapshot = snapshot
        self._tables = tables
        self.readers: set[Reader] = set()
        self.seq = 0
        self.newest: dict[str, LiveEvent] = {}
        self.loaded = asyncio.Event()

    async def run(self) -> None:
        """Look each second, until nobody has read for a while."""
        quiet_since = time.monotonic()
        while self.readers or time.monotonic() - quiet_since < KEEP_S:
            if self.readers:
                quiet_since = time.monotonic()
            began = time.monotonic()
            # Another server was first, or the store failed: the next look reads what there is. Until one look has
            # succeeded nobody is told anything: a reader's number would seem to be of a feed that never was.
            with contextlib.suppress(ConditionFailed, StoreError):
                await self.look()
                self.loaded.set()
            await asyncio.sleep(max(0.05, POLL_S - (time.monotonic() - began)))

    async def look(self) -> None:
        """Read what others wrote, then write and tell what has changed since."""
        for event in await anyio.to_thread.run_sync(self._kept, self.seq):
            self._take(event)
        current = await anyio.to_thread.run_sync(self._snapshot)
        for kind, data in current.items():
            before = self.newest.get(kind)
            if before is None or before.data != data:
                event = LiveEvent(seq=self.seq + 1, kind=kind, data=data)
                await anyio.to_thread.run_sync(self._tables.put, self._put(event))
                self._take(event)

    async def replay(self, after: int, upto: int) -> list[LiveEvent] | None:
        """Return the events between two numbers, ``None`` where some are no longer kept."""
        if after == upto:
            return []
        events = await anyio.to_thread.run_sync(self._kept, after)
        events = [event for event in events if event.seq is not None and event.seq <= upto]
        return events if len(events) == upto - after else None

    def _take(self, event: LiveEvent) -> None:
        assert event.seq is not None, "what is kept is numbered"
        self.seq = event.seq
        self.newest[event.kind] = event
        for reader in self.readers:
            reader.tell(event)

    def _kept(self, after: int) -> list[LiveEvent]:
        first = keys.live_event(self.name, after + 1)
        items = (
            self._tables.query(Table.GRID_METRICS, first.pk, first=first.sk, limit=REPLAY_MAX)
            if after
            else list(reversed(self._tables.query(Table.GRID_METRICS, first.pk, reverse=True, limit=REPLAY_MAX)))
        )
        return [_event(item) for item in items]

    def _put(self, event: LiveEvent) -> Put:
        assert event.seq is not None, "what is kept is numbered"
        return Put(
            key=keys.live_event(self.name, event.seq),
            body={"kind": event.kind, "data": dict(event.data)},
            if_version=0,
            expires_at=datetime.now(UTC) + timedelta(seconds=KEEP_S),
        )


class LiveFeed:
    """The channels that are read."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._channels: dict[str, Channel] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the channels' tasks for the block."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            running: set[asyncio.Task[None]] = set()
            self._running = running
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def read(self, name: str, snapshot: Snapshot, *, after: int | None) -> AsyncIterator[LiveEvent]:
        """Yield the events of a channel after a number, or what is newest of each kind and then what comes.

        Ends where the reader was too slow.
        """
        channel = self._open(name, snapshot)
        await channel.loaded.wait()
        reader = Reader(joined_at=channel.seq)
        channel.readers.add(reader)
        try:
            newest = sorted(channel.newest.values(), key=lambda event: event.seq or 0)
            past = None if after is None or after > reader.joined_at else await channel.replay(after, reader.joined_at)
            if past is None and after is not None:
                yield LiveEvent(seq=None, kind="gap", data={"after": after})
            for event in newest if past is None else past:
                yield event
            while not reader.dropped.is_set():
                yield await reader.waiting.get()
        finally:
            channel.readers.discard(reader)

    def _open(self, name: str, snapshot: Snapshot) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            if len(self._channels) >= CHANNELS_MAX:
                raise StoreError(f"{CHANNELS_MAX} channels are read; no more is opened")
            assert self._tasks is not None, "the server runs the feed"
            channel = self._channels[name] = Channel(name, snapshot, self._tables)
            task = self._tasks.create_task(channel.run(), name=f"live {name}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            task.add_done_callback(lambda _: self._channels.pop(name, None))
        return channel


def _event(item: Item) -> LiveEvent:
    return LiveEvent(seq=int(item.key.sk), kind=item.body["kind"], data=item.body["data"])
