"""A part that fails is started again, ends nothing else, and is switched off when it keeps failing."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from contracts.topics import Up
from edge.config import SiteConfig
from edge.process.lifetime import StopRequested
from edge.process.supervisor import FAILURES_MAX, OFF_S, PAUSE_S_MAX, SETTLED_S, PartState, Supervisor
from edge.web.notes import notes
from sitewatt.edge_status import lines
from tests.support.brokers.link_parts import until
from tests.support.manual_clock import ManualClock
from tests.support.rigs.both_processes import Gateway, opened, running
from tests.support.rigs.edge_parts import config

PARTS = ("outbox", "link", "uplink", "hear", "trade", "control", "control store", "border", "proxy meter")


def _supervisor() -> tuple[Supervisor, ManualClock]:
    clock = ManualClock()
    return Supervisor(clock, generator=random.Random(1)), clock


@contextlib.asynccontextmanager
async def _supervised(
    start: Callable[[], Coroutine[Any, Any, None]],
) -> AsyncIterator[tuple[Supervisor, ManualClock, "asyncio.Task[None]"]]:
    supervisor, clock = _supervisor()
    task = asyncio.create_task(supervisor.run("part", start), name="part")
    try:
        yield supervisor, clock, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _raises() -> None:
    raise RecursionError


async def _cancels_itself() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


@pytest.mark.parametrize("start", [_raises, _cancels_itself])
async def test_a_failing_part_is_restarted_with_pauses_switched_off_and_tried_again_each_hour(
    start: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """The pauses are bounded, and a part that is off does not wait for a visit."""
    async with _supervised(start) as (supervisor, clock, task):
        await _settle()
        (part,) = supervisor.parts
        for failures in range(1, FAILURES_MAX):
            assert (part.failures, part.state) == (failures, PartState.WAITING)
            clock.advance(PAUSE_S_MAX)
            await _settle()
        assert (part.failures, part.state) == (FAILURES_MAX, PartState.OFF)
        assert supervisor.failing() == ("part",)
        clock.advance(OFF_S - 1)
        await _settle()
        assert part.restarts == FAILURES_MAX - 1
        clock.advance(OFF_S * 0.1 + 1)
        await _settle()
        assert part.restarts == FAILURES_MAX and not task.done()


async def test_a_part_that_ran_long_begins_a_new_row() -> None:
    """One failure a day is not a part that keeps failing."""
    clock = ManualClock()

    async def start() -> None:
        await clock.sleep(SETTLED_S)
        raise OSError("once in a while")

    supervisor = Supervisor(clock)
    task = asyncio.create_task(supervisor.run("part", start), name="part")
    for _ in range(FAILURES_MAX + 2):
        await _settle()
        clock.advance(SETTLED_S)
        await _settle()
        clock.advance(PAUSE_S_MAX)
    (part,) = supervisor.parts
    assert part.failures > FAILURES_MAX and part.failures_in_a_row == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_request_to_stop_and_an_end_in_order_are_no_failures() -> None:
    """Only a fault is started again."""
    supervisor, _ = _supervisor()

    async def stop() -> None:
        raise StopRequested("a new version")

    async def end() -> None:
        return

    with pytest.raises(StopRequested):
        await supervisor.run("fleet", stop)
    await supervisor.run("status", end)
    assert [part.failures for part in supervisor.parts] == [0, 0]
    assert supervisor.parts[1].state is PartState.ENDED


def test_work_in_a_cycle_that_raises_is_left_out_counted_and_logged_seldom(caplog: pytest.LogCaptureFixture) -> None:
    """A cycle comes every second: a fault that stays must not fill the log."""
    supervisor, _ = _supervisor()

    def work() -> int:
        raise ZeroDivisionError

    assert [supervisor.call("recorder", work, otherwise=7) for _ in range(100)] == [7] * 100
    assert len(caplog.records) == 7
    assert supervisor.parts[0].failures == 100 and supervisor.failing() == ("recorder",)
    assert supervisor.call("recorder", lambda: 3, otherwise=7) == 3
    assert supervisor.failing() == ()


class _Quick:
    """The machine's clock, made so fast that all pauses of a row pass in a second."""

    speed = 400.0

    def __init__(self) -> None:
        self._manual = ManualClock()
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()

    def now(self) -> Any:
        """Return the wall clock's instant."""
        return self._manual.now()

    def monotonic(self) -> float:
        """Return the seconds since it began."""
        return (self._loop.time() - self._began_s) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds / self.speed)


def _config(folder: Path) -> SiteConfig:
    return config(
        link={"url": "mqtt://127.0.0.1:9"},
        trading={"enabled": True},
        proxy=[{"device": "meter", "listen": "127.0.0.1:15021"}],
        state_dir=str(folder),
    )


def _break(gateway: Gateway, name: str) -> None:
    """Make one part of a gateway fail whenever it is started."""

    def fails(*_: object, **__: object) -> Any:
        raise RuntimeError(f"{name} is broken")

    control, site = gateway.control, gateway.site
    owner, attribute = {
        "outbox": (site.outbox, "run"),
        "link": (site.link, "run"),
        "uplink": (site.uplink, "run"),
        "hear": (site.link, "messages"),
        "trade": (site.trader, "run"),
        "control": (site.end, "run"),
        "control store": (control.outbox, "run"),
        "border": (control.end, "run"),
        "proxy meter": (control.devices["meter"], "share"),
    }[name]
    setattr(owner, attribute, fails)


@pytest.mark.parametrize("name", PARTS)
async def test_each_part_may_fail_for_good_and_control_goes_on(name: str, tmp_path: Path) -> None:
    """Everything that is not control: restarted, then off, and both the terminal and the page say so."""
    async with opened(_config(tmp_path), clock=_Quick()) as gateway:
        _break(gateway, name)
        loop = gateway.control.loop
        async with running(gateway):
            await until(lambda: any(part["state"] == PartState.OFF for part in gateway.status()["parts"]))
            cycles = loop.stats.cycles
            await until(lambda: loop.stats.cycles > cycles + 2)
            status = gateway.status()
    failed = [part for part in status["parts"] if part["failures"]]
    assert [(part["name"], part["failures"]) for part in failed] == [(name, FAILURES_MAX)]
    says = f"{name} SWITCHED OFF, {FAILURES_MAX} failures, {FAILURES_MAX - 1} restarts: RuntimeError: {name} is broken"
    assert f"part     {says}" in list(lines(status))
    assert says in notes(status)


async def test_what_is_told_of_a_cycle_may_fail_and_control_goes_on(tmp_path: Path) -> None:
    """The observers and requesters of a cycle on both sides of the border, all of them at once."""
    async with opened(_config(tmp_path), clock=_Quick()) as gateway:
        control, site = gateway.control, gateway.site

        def fails(*_: object, **__: object) -> Any:
            raise RuntimeError("broken")

        assert site.trader is not None
        for owner, attribute in (
            (site.trader, "requests"),
            (site.trader, "finished"),
            (site.recorder, "finished"),
            (control.executor, "finished"),
            (control.clocks, "look"),
            (control.relays, "look"),
        ):
            setattr(owner, attribute, fails)
        async with running(gateway):
            await until(lambda: control.loop.stats.cycles > 5 and len(site.supervisor.failing()) == 3)
            assert set(site.supervisor.failing()) == {"schedule", "trader", "recorder"}
            assert set(control.supervisor.failing()) == {"command executor", "device clocks", "wired inputs"}


async def test_what_was_kept_and_cannot_be_read_ends_trading_alone(tmp_path: Path) -> None:
    """A gateway goes back to an older version, which cannot read what the newer one kept."""
    async with opened(_config(tmp_path), clock=_Quick()) as gateway:
        gateway.site.outbox.remember("trading.orders", {"of": "a newer version"})
    async with opened(_config(tmp_path), clock=_Quick()) as gateway, running(gateway):
        assert gateway.site.trader is None
        assert gateway.site.supervisor.failing() == ("trade",)
        await until(lambda: gateway.control.loop.stats.cycles > 2)
        assert not gateway.site.outbox.read(Up.ORDERS)
