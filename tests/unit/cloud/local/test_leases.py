"""Several processes share a cloud's work: each part is done by one, and soon by another where that one is gone."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cloud.errors import StoreError
from cloud.local import leases as leases_module
from cloud.local.leases import Leases
from cloud.local.shares import DEAD_AFTER_S, Beats, moves
from cloud.stores import keys
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Check, Put
from contracts.clock import SystemClock

PARTS = [f"part-{number}" for number in range(5)]
SAFETY_S = 90.0


def _apply(holders: dict[str, str | None], alive: list[str]) -> int:
    """Let each process make its moves in turn, and return how many there were."""
    made = 0
    for me in alive:
        change = moves(holders, alive=alive, me=me)
        assert not set(change.give) & set(change.take)
        assert all(holders[part] == me for part in change.give)
        assert all(holders[part] not in alive for part in change.take)
        holders |= dict.fromkeys(change.give) | dict.fromkeys(change.take, me)
        made += len(change.give) + len(change.take)
    return made


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from([None, "a", "b", "c", "d", "dead"]), min_size=1, max_size=20),
)
def test_the_work_comes_to_rest_with_about_as_much_for_each(alive: list[str], first: list[str | None]) -> None:
    """Whoever held what before, and whoever died: a few rounds later all is done, and nothing moves any more."""
    holders = {f"part-{number:02}": holder for number, holder in enumerate(first)}
    event("somebody died" if set(first) - set(alive) - {None} else "all live")
    for _ in range(4):
        _apply(holders, alive)
    counts = [list(holders.values()).count(process) for process in alive]
    assert sum(counts) == len(holders) and max(counts) - min(counts) <= 1
    assert _apply(holders, alive) == 0


def test_a_process_is_dead_when_its_beat_stands_still_by_our_own_clock() -> None:
    """The clocks of two machines may differ by more than a lease lasts."""
    beats = Beats()
    beats.note({"a": 7, "b": 1}, now_s=100.0)
    beats.note({"a": 8, "b": 1}, now_s=100.0 + DEAD_AFTER_S - 0.1)
    assert beats.alive(now_s=100.0 + DEAD_AFTER_S - 0.1) == {"a", "b"}
    assert beats.alive(now_s=100.0 + DEAD_AFTER_S) == {"a"}
    beats.note({"b": 2}, now_s=100.0 + DEAD_AFTER_S)
    assert beats.alive(now_s=100.0 + DEAD_AFTER_S) == {"b"}


class _Process:
    """The leases of one process, and the fence of each part that it works on."""

    def __init__(self, tables: SqliteTables, name: str) -> None:
        self.fences: dict[str, int] = {}
        self.leases = Leases(tables, parts=PARTS, me=name, work=self._work, clock=SystemClock())
        self.task = asyncio.create_task(self.leases.run(), name=name)

    async def _work(self, part: str, fence: Check) -> None:
        self.fences[part] = fence.if_version
        try:
            await asyncio.Event().wait()
        finally:
            del self.fences[part]

    async def end(self) -> None:
        """Stop it, as a signal does."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SAFETY_S):
        while not holds():  # noqa: ASYNC110 - what is waited for is in the tables.
            await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a round take a hundredth of a second; who stands still counts as dead as late as ever."""
    monkeypatch.setattr(leases_module, "ROUND_S", 0.01)


async def test_parts_move_to_who_comes_and_back_from_who_goes(tmp_path: Path, quick: None) -> None:
    """A rolling update: nobody waits for a time-out, and no part has two workers."""
    tables = SqliteTables.open(tmp_path / "tables.db")
    one = _Process(tables, "one")
    await _until(lambda: set(one.fences) == set(PARTS))
    first: Mapping[str, int] = dict(one.fences)
    two = _Process(tables, "two")
    await _until(lambda: sorted((len(one.fences), len(two.fences))) == [2, 3])
    assert not set(one.fences) & set(two.fences)
    assert all(fence > first[part] for part, fence in two.fences.items())
    await one.end()
    assert one.fences == {}
    await _until(lambda: set(two.fences) == set(PARTS))
    await two.end()
    tables.close()


async def test_a_part_that_another_took_is_worked_on_no_more(tmp_path: Path, quick: None) -> None:
    """Who was away for long learns that it lost its share, whatever it believes."""
    tables = SqliteTables.open(tmp_path / "tables.db")
    one = _Process(tables, "one")
    await _until(lambda: set(one.fences) == set(PARTS))
    other = keys.lease_member("other")
    tables.put(Put(key=other, body={"beat": 1}))
    tables.put(Put(key=keys.lease(PARTS[0]), body={"holder": "other"}))
    await _until(lambda: PARTS[0] not in one.fences)
    await one.end()
    tables.close()


async def test_who_cannot_renew_stops_before_others_take_over(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables that do not answer: the work stops, and begins anew, behind a new fence, when they do."""
    monkeypatch.setattr(leases_module, "SILENT_S_MAX", 0.5)
    tables = SqliteTables.open(tmp_path / "tables.db")
    one = _Process(tables, "one")
    await _until(lambda: set(one.fences) == set(PARTS))
    before = dict(one.fences)
    away = True
    put = tables.put

    def failing(write: Put) -> None:
        if away:
            raise StoreError("away")
        put(write)

    monkeypatch.setattr(tables, "put", failing)
    await _until(lambda: not one.fences)
    away = False
    await _until(lambda: set(one.fences) == set(PARTS))
    assert all(fence > before[part] for part, fence in one.fences.items())
    await one.end()
    tables.close()


async def test_who_died_is_forgotten_by_the_tables(tmp_path: Path) -> None:
    """Each start has a name of its own, and they must not pile up."""
    tables = SqliteTables.open(tmp_path / "tables.db")
    one = _Process(tables, "one")
    await _until(lambda: set(one.fences) == set(PARTS))
    assert tables.forget_expired(datetime(2100, 1, 1, tzinfo=UTC)) == 1
    begun_s = time.monotonic()
    await one.end()
    assert time.monotonic() - begun_s < SAFETY_S
    tables.close()
