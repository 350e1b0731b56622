"""What has expired is removed each hour, whatever became of the hour before."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from cloud.errors import StoreError
from cloud.local import runner
from cloud.stores.tables import Tables
from contracts.clock import scaled_clock

SAFETY_S = 60.0


class _Away:
    """Tables that fail at first: their server is replaced."""

    def __init__(self) -> None:
        self.asked = 0
        self.again = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def forget_expired(self, now: datetime) -> int:
        """Fail, and afterwards remove nothing."""
        del now
        self.asked += 1
        if self.asked == 1:
            raise StoreError("tables are away")
        self._loop.call_soon_threadsafe(self.again.set)
        return 0


async def test_tables_that_are_away_when_items_expire_do_not_end_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that moves to another machine would have ended every process that looked at that moment."""
    tables = _Away()
    clock = scaled_clock(started_at=datetime(2026, 3, 17, tzinfo=UTC), speed=1000)
    monkeypatch.setattr(runner, "FORGET_EVERY_S", 10.0)
    task = asyncio.create_task(runner.forget_expired(cast("Tables", tables), clock))
    async with asyncio.timeout(SAFETY_S):
        await tables.again.wait()
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
