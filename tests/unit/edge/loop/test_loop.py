"""Cycles stand on their grid, refresh nothing without fresh inputs, and leave no write behind."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from edge.control.bridge import BRIDGE_S
from edge.control.lease import LEASE_S, REVERT_S
from edge.control.model import BATTERIES, CONNECTION, Capability, Priority, Reason, Request
from edge.devices.recipes import Direction, Fallback
from edge.devices.recipes import Lever as DeviceLever
from edge.errors import ValueRefused
from edge.loop import loop as control_loop
from edge.loop.cycle import Cycle
from edge.loop.loop import QUIET_S, UNREAD_S, ControlLoop
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON, FakeDevice, fake_site, loop_of


class Bench:
    """A loop that a test moves second by second."""

    def __init__(self, *, requests: list[Request] | None = None, **sections: Any) -> None:
        self.clock = ManualClock(NOON)
        self.fakes = fake_site(self.clock)
        self.loop, self.cycles = loop_of(self.fakes, self.clock, asked=requests, **sections)

    @property
    def inverter(self) -> FakeDevice:
        """Return the device that is told things."""
        return self.fakes["inverter"]

    async def seconds(self, count: int, *, each: float = 1.0, before: Callable[[], None] = lambda: None) -> None:
        """Let cycles run."""
        for _ in range(count):
            before()
            await settle()
            self.clock.advance(each)
        await settle()

    def told(self, capability: Capability = Capability.BATTERY_POWER) -> list[float | None]:
        """Return what the inverter was told of one capability."""
        return [value_w for name, value_w, _ in self.inverter.told if name == capability.value]

    def urgent(self) -> bool:
        """Say whether the last that the battery was told might use all that its memory bears."""
        told = zip(self.inverter.told, self.inverter.urgent, strict=True)
        return [urgent for (name, _, _), urgent in told if name == Capability.BATTERY_POWER.value][-1]


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(loop: ControlLoop) -> AsyncIterator[None]:
    """Run a loop beside a block."""
    task = asyncio.create_task(loop.run(), name="control")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _schedule(power_w: float) -> Request:
    return Request(
        requester="plan",
        resource=BATTERIES,
        priority=Priority.OPTIMISER,
        reason=Reason.SCHEDULE,
        expires_s=float("inf"),
        min_w=power_w,
        max_w=power_w,
        preferred_w=power_w,
    )


async def test_a_late_cycle_is_skipped_counted_and_the_next_is_on_the_grid() -> None:
    """Catching up would make a burst of writes of what is past."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(3)
        bench.clock.advance(4.6)
        await settle()
        before = len(bench.cycles)
        bench.clock.advance(0.4)
        await settle()
    taken = [cycle.snapshot.taken_s for cycle in bench.cycles]
    assert len(bench.cycles) == before + 1
    assert taken[-1] == 8.0
    assert bench.loop.stats.late == 3


async def test_an_order_is_acted_on_at_once_and_the_grid_of_cycles_stays() -> None:
    """Half a second of waiting is half a second of overload; a flood of orders must not become a flood of cycles."""
    bench = Bench()
    bench.loop.act_now()
    assert not bench.cycles, "nothing is done before the loop runs"
    async with running(bench.loop):
        await bench.seconds(3)
        bench.clock.advance(0.3)
        before = len(bench.cycles)
        for _ in range(5):
            bench.loop.act_now()
        assert len(bench.cycles) == before + 1
        bench.clock.advance(0.7)
        await settle()
        bench.clock.advance(1.0)
        await settle()
    taken = [cycle.snapshot.taken_s for cycle in bench.cycles[before:]]
    assert taken == [3.3, 4.0, 5.0]
    assert bench.loop.stats.late == 0
    bench.loop.act_now()
    assert len(bench.cycles) == before + 3, "nor after it ended"


async def test_a_loop_that_hangs_is_not_driven_by_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends orders to a hung gateway must not keep its devices' timers alive."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(3)
        before = len(bench.cycles)

        async def for_ever(_: float) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(bench.clock, "sleep", for_ever)
        bench.clock.advance(1.0)
        await settle()
        bench.clock.advance(1.5)
        for _ in range(3):
            bench.loop.act_now()
        assert len(bench.cycles) == before + 1, "the one that was due"


async def test_a_sample_without_a_value_moves_no_battery_and_is_told_as_missing() -> None:
    """To rest and back within two seconds is wear, and nothing changed at the site."""
    bench = Bench()

    def gaps() -> None:
        bench.fakes["meter"].values["active_power_w"] = None if bench.clock.monotonic() in (5, 6) else 1_000.0  # type: ignore[assignment]

    async with running(bench.loop):
        await bench.seconds(12, before=gaps)
        assert set(bench.told()) == {-1_000.0}
        told = {cycle.snapshot.taken_s: cycle.snapshot.connection_power.usable() for cycle in bench.cycles}
        assert {at_s for at_s, power_w in told.items() if power_w is None} == {5.0, 6.0}
        bench.fakes["meter"].values["active_power_w"] = None  # type: ignore[assignment]
        await bench.seconds(int(BRIDGE_S) + 2)
        assert bench.told()[-1] == 0.0, "what stays away is missing"


class Unread:
    """The devices of a bench as they were read at an instant; after a stall, none is read before the test says so."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._read = {name: fake.snapshot() for name, fake in bench.fakes.items()}
        for name, fake in bench.fakes.items():
            fake.snapshot = lambda name=name: self._read[name]  # type: ignore[method-assign, misc]

    def read(self) -> None:
        """Let the devices be read now."""
        for name, fake in self._bench.fakes.items():
            self._read[name] = FakeDevice.snapshot(fake)


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_gateway_that_stood_still_reads_before_it_acts(is_read: bool) -> None:
    """Its readings are as old as its stall; devices that then say nothing are not waited for longer than a bridge."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(3)
        unread = Unread(bench)
        before = len(bench.cycles)
        bench.clock.advance(12.0)
        await settle()
        assert len(bench.cycles) == before, "nothing is decided on what is older than the stall"
        if is_read:
            bench.clock.advance(0.2)
            unread.read()
        await bench.seconds(70, each=0.05)
        first = bench.cycles[before]
    assert first.decision.fresh is is_read
    assert first.snapshot.taken_s - 15.0 <= (0.3 if is_read else BRIDGE_S + 0.05)
    assert bench.told()[-1] == (-1_000.0 if is_read else 0.0)
    assert set(bench.told()[:-1]) == {-1_000.0}


async def test_a_gateway_whose_meter_was_blind_before_it_stood_still_does_not_wait() -> None:
    """What no stall of ours hid does not come back because of one."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(2)
        Unread(bench)
        await bench.seconds(14)
        before = len(bench.cycles)
        bench.clock.advance(6.0)
        await settle()
        assert len(bench.cycles) == before + 1


async def test_timers_are_refreshed_only_while_the_inputs_are_fresh() -> None:
    """A blind gateway lets go of every device by doing nothing."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(3)
        assert bench.inverter.told[-1][2]
        stale = bench.fakes["meter"].snapshot()
        bench.fakes["meter"].snapshot = lambda: stale  # type: ignore[method-assign]
        await bench.seconds(20)
        assert not bench.inverter.told[-1][2]


async def test_a_bound_that_a_device_would_lift_is_refreshed_blind_too() -> None:
    """A silent meter is no leave to feed in: the limit is set for the worst case, and only the battery lets go."""
    limit = Request(
        requester="grid operator",
        resource=CONNECTION,
        priority=Priority.GRID_OPERATOR,
        reason=Reason.GRID_LIMIT,
        expires_s=3_600.0,
        min_w=0.0,
    )
    bench = Bench(requests=[limit])
    bench.inverter.fallbacks = {
        DeviceLever.LIMIT_GENERATION: Fallback(direction=Direction.RELEASED),
        DeviceLever.BATTERY_POWER: Fallback(direction=Direction.SELF_CONSUMPTION),
    }
    async with running(bench.loop):
        await bench.seconds(3)
        bench.fakes["meter"].online = False
        stale = bench.fakes["meter"].snapshot()
        bench.fakes["meter"].snapshot = lambda: stale  # type: ignore[method-assign]
        await bench.seconds(20)
    last = {name: (value_w, refreshed) for name, value_w, refreshed in bench.inverter.told}
    value_w, refreshed = last[Capability.LIMIT_GENERATION.value]
    assert value_w is not None
    assert refreshed
    assert not last[Capability.BATTERY_POWER.value][1]


async def test_a_setpoint_is_never_armed_beyond_its_order() -> None:
    """The device's timer is the last to fall, and must not fall after the order's own end."""
    request = _schedule(2_000.0)
    bench = Bench(requests=[Request(**{**_fields(request), "expires_s": 10.0})])
    async with running(bench.loop):
        await bench.seconds(8)
    armed = [
        revert_s
        for (name, value_w, _), revert_s in zip(bench.inverter.told, bench.inverter.revert_s, strict=True)
        if name == "battery_power" and value_w == 2_000.0
    ]
    assert armed
    assert max(armed) <= 10.0


async def test_a_device_is_armed_longer_than_the_lease_so_that_a_living_gateway_falls_first() -> None:
    """What a requester that fell silent leaves behind is put away in order, not by each device as it likes."""
    bench = Bench(requests=[_schedule(2_000.0)])
    async with running(bench.loop):
        await bench.seconds(3)
    assert set(bench.inverter.revert_s) == {REVERT_S}
    assert LEASE_S < REVERT_S


async def test_only_limits_of_grid_and_site_may_use_all_that_a_memory_bears() -> None:
    """What a schedule has worn must not be missing when the grid operator calls."""
    asked = [_schedule(1_000.0)]
    bench = Bench(requests=asked)
    async with running(bench.loop):
        await bench.seconds(2)
        assert not bench.urgent()
        asked[:] = [replace(_schedule(0.0), priority=Priority.GRID_OPERATOR, reason=Reason.GRID_LIMIT)]
        await bench.seconds(2)
        assert bench.urgent()


async def test_what_a_device_does_not_take_is_said_with_its_reason_until_it_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads that a setpoint does not hold must read why; that it is over is no warning."""
    caplog.set_level(logging.INFO, logger="edge.loop.loop")
    monkeypatch.setattr(control_loop, "QUIET_S", 0.0)
    bench = Bench(requests=[_schedule(1_000.0)])

    async def refuses(*_: object, **__: object) -> None:
        raise ValueRefused("ems_power was written 150 times today", code="wear_pace")

    async with running(bench.loop):
        await bench.seconds(2)
        assert not bench.loop.stats.alarms
        with monkeypatch.context() as patch:
            patch.setattr(bench.inverter, "apply", refuses)
            await bench.seconds(2)
            assert "inverter battery_power cannot be written now: wear_pace" in bench.loop.stats.alarms
        await bench.seconds(2)
        assert not bench.loop.stats.alarms
    told = [record.levelname for record in caplog.records if record.message == "control alarms changed"]
    assert told[-2:] == ["WARNING", "INFO"]


@pytest.mark.parametrize("answers_after_s", [0, 8, 20])
async def test_a_start_warns_of_a_device_only_once_it_has_had_time_to_answer(
    answers_after_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is read before the first cycle, so each start would warn; the status tells it at once all the same."""
    caplog.set_level(logging.INFO, logger="edge.loop.loop")
    bench = Bench()
    bench.inverter.online = False
    async with running(bench.loop):
        await bench.seconds(3)
        bench.inverter.online = not answers_after_s
        await bench.seconds(2)
        assert bool(bench.loop.stats.alarms) == bool(answers_after_s)
        await bench.seconds(max(0, answers_after_s - 5))
        bench.inverter.online = True
        await bench.seconds(30)
        assert not bench.loop.stats.alarms
    told = [record.levelname for record in caplog.records if record.message == "control alarms changed"]
    assert told == (["WARNING", "INFO"] if answers_after_s > QUIET_S else [])


async def test_an_offline_device_stops_nobody_else_and_is_taken_up_again() -> None:
    """One dead inverter is not a dead site."""
    bench = Bench()
    bench.inverter.online = False
    async with running(bench.loop):
        await bench.seconds(3)
        assert bench.loop.last is not None
        assert not bench.loop.last.decision.setpoints
        bench.inverter.online = True
        await bench.seconds(3)
        assert bench.told()


async def test_what_an_earlier_configuration_moved_is_given_back() -> None:
    """Nobody would ever ask for that lever again."""
    bench = Bench()
    bench.inverter.leftovers = frozenset({DeviceLever.EXPORT_LIMIT})
    bench.inverter.online = False
    async with running(bench.loop):
        await bench.seconds(2)
        assert not bench.inverter.told
        bench.inverter.online = True
        await bench.seconds(2)
    assert bench.inverter.told[0][:2] == ("export_limit", None)
    assert not bench.inverter.leftovers


async def test_a_disputed_lever_is_left_after_the_budget_and_said() -> None:
    """The alarm names it; the rest of the device is still ours."""
    bench = Bench(requests=[_schedule(2_000.0)])
    async with running(bench.loop):
        await bench.seconds(2)
        bench.inverter.drifts = True
        await bench.seconds(15)
        count = len(bench.told())
        await bench.seconds(20)
        assert len(bench.told()) == count
        assert bench.loop.stats.alarms == ("inverter battery_power is left to another master",)
        bench.inverter.drifts = False
        await bench.seconds(2)
        assert not bench.loop.stats.alarms


async def test_cycles_are_told_in_order_with_what_is_proven() -> None:
    """The executor and the recorder see each cycle once."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(5)
    assert [cycle.number for cycle in bench.cycles] == list(range(1, len(bench.cycles) + 1))
    last: Cycle = bench.cycles[-1]
    assert last.applied["inverter", Capability.BATTERY_POWER].ok
    assert bench.loop.stats.longest_cycle_ms >= bench.loop.stats.last_cycle_ms >= 0


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in Request.__slots__}


async def test_a_cycle_is_no_sign_of_life_while_a_device_that_answers_goes_unread() -> None:
    """A silent meter is no reason to start again; a gateway that stopped to read is."""
    bench = Bench()
    async with running(bench.loop):
        await bench.seconds(3)
        stale = bench.fakes["meter"].snapshot()
        bench.fakes["meter"].snapshot = lambda: stale  # type: ignore[method-assign]
        await bench.seconds(int(UNREAD_S) + 5)
        assert bench.loop.last is not None
        assert not bench.loop.last.sound
        bench.fakes["meter"].online = False
        await bench.seconds(2)
        assert not bench.loop.last.decision.fresh
        assert bench.loop.last.sound
