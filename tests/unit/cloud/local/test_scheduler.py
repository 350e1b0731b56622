"""Schedules fire at whole multiples of their period on the system's clock."""

import asyncio
import sys
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from cloud.infra.rules import SCHEDULES, Schedule
from cloud.infra.schedules import targets
from cloud.local.functions import Functions
from cloud.local.metrics import Counts
from cloud.local.scheduler import Scheduler
from contracts.clock import scaled_clock
from tests.support.cloud.sites import FEEDER, ZONE, registry

MODULE = "sitewatt_test_tick"
START = datetime(2026, 3, 17, 12, 0, 7, tzinfo=UTC)


async def test_ticks_are_aligned_and_survive_a_failing_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate closes on the minute, and one failed call must not stop the market's time."""
    times: list[str] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handler(event: dict[str, Any], _context: Any) -> None:
        assert event["zone"] == "zone-1"
        times.append(event["time"])
        if len(times) == 2:
            raise RuntimeError("store away")
        if len(times) >= 4:
            loop.call_soon_threadsafe(enough.set)

    module = ModuleType(MODULE)
    module.handler = handler  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    functions = Functions(Counts())
    functions.load(MODULE)
    schedule = Schedule(name="market-tick", handler=MODULE, every_s=10)
    scheduler = Scheduler(schedule=schedule, every_s=10, target={"zone": "zone-1"}, functions=functions)
    task = asyncio.create_task(scheduler.run(scaled_clock(started_at=START, speed=200)), name="scheduler")
    async with asyncio.timeout(60):
        await enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    functions.close()
    assert times[0] == "2026-03-17T12:00:00Z"
    assert all(time.endswith("0Z") for time in times)
    assert times == sorted(set(times))


async def test_a_tick_that_the_next_makes_good_is_a_warning_and_one_that_stays_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever is woken by errors is not woken by a moment's; a failure that stays is no moment's."""
    answers = iter("xx.xxxx.x")

    class Failing:
        async def call(self, module: str, event: dict[str, object], *, fence: object = None) -> object:
            if (answer := next(answers, "")) == "x":
                raise RuntimeError("store away")
            if not answer:
                raise asyncio.CancelledError
            return None

    schedule = Schedule(name="grid-tick", handler=MODULE, every_s=10)
    scheduler = Scheduler(schedule=schedule, every_s=1, target={"feeder": "f"}, functions=Failing())
    with pytest.raises(asyncio.CancelledError):
        await scheduler.run(scaled_clock(started_at=START, speed=200))
    told = [record.levelname for record in caplog.records if record.message == "scheduled call failed"]
    assert told == ["WARNING", "WARNING", "WARNING", "WARNING", "ERROR", "ERROR", "WARNING"]


def test_every_zone_and_every_feeder_has_its_schedules() -> None:
    """A market without a tick never closes a gate."""
    by_name = {schedule.name: targets(schedule, registry()) for schedule in SCHEDULES}
    assert by_name["market-tick"] == [{"zone": ZONE}]
    assert by_name["grid-tick"] == [{"feeder": FEEDER, "zone": ZONE}]
