"""What a failed group leaves behind in its task ends with that task."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from contracts.clock import scaled_clock
from edge.process.apart import apart
from edge.process.lifetime import StopRequested, reason_to_stop
from edge.process.supervisor import Supervisor


async def _fails() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())


async def test_no_request_to_cancel_is_left_behind() -> None:
    """With one, a later timeout on Debian 12's Python cancels its task instead of timing out."""
    with contextlib.suppress(ExceptionGroup):
        await apart(_fails())
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_what_is_raised_comes_out() -> None:
    """As if it were done here."""
    with pytest.raises(ExceptionGroup) as caught:
        await apart(_fails())
    assert isinstance(caught.value.exceptions[0], OSError)


async def test_it_ends_with_who_waits() -> None:
    """Nothing goes on behind our back."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(apart(work()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled() and ended.is_set()


async def test_a_part_whose_group_failed_is_started_again_after_a_stranger_cancelled_its_future_too() -> None:
    """A part ends by our own cancellation alone."""
    runs: list[str] = []

    async def part() -> None:
        runs.append("run")
        if len(runs) == 1:
            await _fails()
        if len(runs) == 2:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    await Supervisor(scaled_clock(started_at=datetime(2026, 6, 1, tzinfo=UTC), speed=1_000.0)).run("part", part)
    assert len(runs) == 3


def test_a_reason_to_stop_is_found_however_often_it_was_wrapped() -> None:
    """The log names the signal, not the group that it came in."""
    inner = ExceptionGroup("inner", [StopRequested("signal")])
    assert reason_to_stop(ExceptionGroup("outer", [inner])) == "signal"
    assert reason_to_stop(inner) == "signal"
