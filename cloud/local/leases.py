"""Leases in the tables: each part of a cloud's work is done by one process at a time, and by another soon after.

Beside each lease stands a fence, an item whose version rises whenever the lease changes hands. All that is written for
a part demands the version under which the lease was taken (``cloud.stores.tables.FENCE``), so a process that was
thought dead and is not can write nothing any more.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Final

from cloud.errors import ConditionFailed, StoreError
from cloud.local.lifetime import ended
from cloud.local.shares import DEAD_AFTER_S, Beats, moves
from cloud.stores import keys
from cloud.stores.tables import Check, Delete, Item, Put, Table, Tables, prefix
from contracts.clock import Clock

log = logging.getLogger(__name__)

ROUND_S: Final = 1.0  # Real seconds, as are all here.
# Without a beat of our own for so long we stop working: others are about to take over, and their fence is above ours.
SILENT_S_MAX: Final = DEAD_AFTER_S * 0.6
MEMBER_KEPT: Final = timedelta(days=1)

Work = Callable[[str, Check], Coroutine[object, object, None]]


class Leases:
    """The share of one process in a cloud's parts."""

    def __init__(self, tables: Tables, *, parts: Sequence[str], me: str, work: Work, clock: Clock) -> None:
        """Prepare.

        Args:
            tables: Where all processes of the cloud find the leases.
            parts: The names of all parts, the same in every process.
            me: A name that no other process has or had.
            work: Does one part until it is cancelled, under the fence that it is given.
            clock: Tells the tables when to forget a process that is gone.
        """
        self._tables = tables
        self._parts = parts
        self._me = me
        self._work = work
        self._clock = clock
        self._beats = Beats()
        self._beat = 0
        self._beaten_s = time.monotonic()
        self._working: dict[str, asyncio.Task[None]] = {}

    @property
    def held(self) -> frozenset[str]:
        """Return the parts that this process works on."""
        return frozenset(self._working)

    async def run(self) -> None:
        """Hold a share until cancelled, then give it back.

        Raises:
            Exception: What the work on a part raised.
        """
        try:
            while True:
                begun_s = time.monotonic()
                await self._safely(self._round)
                for part, task in list(self._working.items()):
                    if task.done():
                        del self._working[part]
                        task.result()  # Work does not end by itself: this raises why it did.
                await asyncio.sleep(max(0.0, begun_s + ROUND_S - time.monotonic()))
        finally:
            await ended(*self._working.values())
            parts, self._working = list(self._working), {}
            await self._safely(lambda: asyncio.to_thread(self._leave, parts))

    async def _safely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step; tables that fail are asked again in the next round, and work that we may have lost stops."""
        try:
            async with asyncio.timeout(SILENT_S_MAX):
                await step()
        except (StoreError, TimeoutError) as error:
            log.warning("leases not renewed", extra={"error": f"{type(error).__name__}: {error}"})
        if time.monotonic() - self._beaten_s > SILENT_S_MAX and self._working:
            log.warning("no beat, work stopped", extra={"parts": sorted(self._working)})
            await self._stop(list(self._working))

    async def _round(self) -> None:
        begun_s = time.monotonic()
        items = await asyncio.to_thread(self._beat_and_look)
        self._beaten_s = begun_s
        leases, members = _sorted(items)
        self._beats.note(members, now_s=time.monotonic())
        holders: dict[str, str | None] = {
            part: leases[part].body["holder"] or None if part in leases else None for part in self._parts
        }
        lost = [part for part in self._working if holders[part] != self._me]
        if lost:
            log.warning("leases lost", extra={"parts": sorted(lost)})
            await self._stop(lost)
        for part, holder in holders.items():
            if holder == self._me and part not in self._working:
                holders[part] = None  # Ours on paper, but we stopped: take it anew, with a new fence.
        change = moves(holders, alive=self._beats.alive(now_s=time.monotonic()), me=self._me)
        if change.give:
            await self._stop(list(change.give))
            await asyncio.to_thread(self._give, change.give)
        for part in change.take:
            fence = await asyncio.to_thread(self._take, part, leases.get(part))
            if fence is not None:
                log.info("lease taken", extra={"part": part, "fence": fence.if_version, "before": holders[part]})
                self._working[part] = asyncio.create_task(self._work(part, fence), name=f"work {part}")

    async def _stop(self, parts: Sequence[str]) -> None:
        await ended(*(self._working.pop(part) for part in parts if part in self._working))

    def _beat_and_look(self) -> Sequence[Item]:
        self._beat += 1
        body = {"beat": self._beat}
        self._tables.put(Put(key=keys.lease_member(self._me), body=body, expires_at=self._clock.now() + MEMBER_KEPT))
        return [
            *self._tables.query(Table.GRID_METRICS, keys.LEASES, **prefix(keys.LEASE)),
            *self._tables.query(Table.GRID_METRICS, keys.LEASES, **prefix(keys.MEMBER)),
        ]

    def _take(self, part: str, lease: Item | None) -> Check | None:
        """Take a lease as it was seen, and return the fence to work under; ``None``: another was first."""
        fence = self._tables.get(keys.lease_fence(part))
        before = fence.version if fence else 0
        try:
            self._tables.transact(
                [
                    Put(key=keys.lease(part), body={"holder": self._me}, if_version=lease.version if lease else 0),
                    Put(key=keys.lease_fence(part), body={"holder": self._me}, if_version=before),
                ]
            )
        except ConditionFailed:
            return None
        return Check(key=keys.lease_fence(part), if_version=before + 1)

    def _give(self, parts: Sequence[str]) -> None:
        for part in parts:
            lease = self._tables.get(keys.lease(part))
            if lease is not None and lease.body["holder"] == self._me:
                self._tables.put(Put(key=keys.lease(part), body={"holder": ""}, if_version=lease.version))

    def _leave(self, parts: Sequence[str]) -> None:
        """Give everything back and be gone, so that nobody waits until we count as dead."""
        self._give(parts)
        self._tables.transact([Delete(key=keys.lease_member(self._me))])


def _sorted(items: Sequence[Item]) -> tuple[dict[str, Item], dict[str, int]]:
    """Return the leases by part and the beats by process."""
    leases = {item.key.sk.removeprefix(keys.LEASE): item for item in items if item.key.sk.startswith(keys.LEASE)}
    members = {
        item.key.sk.removeprefix(keys.MEMBER): item.body["beat"]
        for item in items
        if item.key.sk.startswith(keys.MEMBER)
    }
    return leases, members
