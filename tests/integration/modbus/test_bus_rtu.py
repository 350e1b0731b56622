"""The bus on a line without transaction ids: a pseudo-terminal, and the same frames through a network gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.clock import SystemClock
from edge.errors import DeviceRefused
from edge.modbus import bus as bus_module
from edge.modbus import unit as unit_module
from edge.modbus.bus import Bus
from edge.modbus.faults import Fault, NoReply
from edge.modbus.point import PollClass, RegisterPoint, Table
from edge.modbus.poller import Poller
from tests.support.modbus.faults import KINDS, Storm
from tests.support.modbus.server import Bank, Device, Request, Sending, honest, pty_device, tcp_device
from tests.support.modbus.wait import until


def numbered(offset: int = 0) -> Bank:
    """Return a bank whose values say their address and, by the offset, their unit."""
    return Bank(holding={at: (at * 7 + offset) & 0xFFFF for at in range(300)}, coil={at: at % 2 for at in range(64)})


@asynccontextmanager
async def line(device: Device, kind: str) -> AsyncIterator[Bus]:
    """Open a bus to a device on a pseudo-terminal or behind a gateway that passes RTU frames on."""
    if kind == "pty":
        async with pty_device(device) as path, Bus(f"rtu://{path}?baud=115200") as bus:
            yield bus
    else:
        device.is_rtu = True
        async with tcp_device(device) as port, Bus(f"rtuovertcp://127.0.0.1:{port}") as bus:
            yield bus


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floors of time-out and quiet are what most of these tests wait for."""
    monkeypatch.setattr(unit_module, "TIMEOUT_S_MIN", 0.03)
    monkeypatch.setattr(bus_module, "QUIET_S_MIN", 0.02)
    monkeypatch.setattr(bus_module, "RTU_EXTRA_SILENCE_S", 0.001)


@pytest.mark.parametrize("kind", ["pty", "rtuovertcp"])
async def test_a_line_is_read_and_written(kind: str) -> None:
    """RTU frames are the same on a line and through a transparent gateway."""
    async with line(Device({1: numbered(), 2: numbered(5)}), kind) as bus:
        assert await bus.read(1, Table.HOLDING, 10, 3) == (70, 77, 84)
        assert await bus.read(2, Table.HOLDING, 10, 1) == (75,)
        assert await bus.read(1, Table.HOLDING, 0, 120) == tuple(at * 7 for at in range(120))
        await bus.write(1, Table.HOLDING, 5, (1, 2, 3))
        await bus.write(1, Table.COIL, 2, (1,))
        assert await bus.read(1, Table.HOLDING, 5, 3) == (1, 2, 3)
        with pytest.raises(DeviceRefused):
            await bus.read(1, Table.HOLDING, 299, 2)


async def test_a_late_reply_is_never_the_answer_to_the_next_request() -> None:
    """Nothing in an RTU reply says which request it answers."""
    late = {"left": 1}

    def once(device: Device, request: Request, payload: bytes | None) -> Sending:
        if late["left"] and payload is not None:
            late["left"] -= 1
            return [(0.1, device.frame(request, payload))]
        return honest(device, request, payload)

    device = Device({1: numbered()}, fault=once)
    async with line(device, "pty") as bus:
        bus.unit(1).latency_s = 0.01
        with pytest.raises(NoReply) as lost:
            await bus.write(1, Table.HOLDING, 99, (1,))
        assert lost.value.fault is Fault.TIMEOUT
        late["left"] = 1
        bus.unit(1).failures = 0
        assert await bus.read(1, Table.HOLDING, 1, 2) == (7, 14)
        for at in range(20):
            assert await bus.read(1, Table.HOLDING, at, 2) == (at * 7, at * 7 + 7)


async def test_a_request_after_a_lost_one_is_told_apart_by_its_length() -> None:
    """One register more, and the lost answer is too short to pass for this one."""
    lost = {"left": 1}

    def drop(device: Device, request: Request, payload: bytes | None) -> Sending:
        if lost["left"]:
            lost["left"] -= 1
            return []
        return honest(device, request, payload)

    device = Device({1: numbered()}, fault=drop)
    async with line(device, "pty") as bus:
        bus.unit(1).latency_s = 0.01
        assert await bus.read(1, Table.HOLDING, 4, 2) == (28, 35)
        assert [request.count for request in device.requests] == [2, 3]


async def test_where_no_neighbour_may_be_read_the_lost_answer_is_waited_out() -> None:
    """Registers between holes leave nothing that would make the answer longer; the values are late, never wrong."""
    late = {"left": 1}

    def once(device: Device, request: Request, payload: bytes | None) -> Sending:
        if late["left"] and payload is not None:
            late["left"] -= 1
            return [(0.2, device.frame(request, payload))]
        return honest(device, request, payload)

    device = Device({1: Bank(holding={4: 28, 5: 35, 20: 1, 21: 2})}, fault=once)
    async with line(device, "pty") as bus:
        bus.unit(1).latency_s = 0.01
        assert await bus.read(1, Table.HOLDING, 4, 2) == (28, 35)
        assert [(request.address, request.count) for request in device.requests] == [(4, 2), (4, 3), (3, 3), (4, 2)]
        assert await bus.read(1, Table.HOLDING, 20, 2) == (1, 2)


async def test_a_late_answer_does_not_fail_whoever_is_asked_meanwhile() -> None:
    """It is known from its length; before, one slow device made its neighbour's reading fail as well."""
    late = {"left": 1}

    def once(device: Device, request: Request, payload: bytes | None) -> Sending:
        if request.unit == 1 and late["left"] and payload is not None:
            late["left"] -= 1
            return [(0.12, device.frame(request, payload))]
        return [(0.02, device.frame(request, payload or b""))]

    device = Device({1: numbered(), 2: numbered(5)}, fault=once)
    async with line(device, "pty") as bus:
        for unit in (1, 2):
            bus.unit(unit).latency_s = 0.01
        lost = asyncio.create_task(bus.read(1, Table.HOLDING, 1, 2), name="the slow one")
        await until(lambda: bus.unit(1).failures > 0)
        words = [await bus.read(2, Table.HOLDING, at, 2) for at in range(8)]
        assert words == [(at * 7 + 5, at * 7 + 12) for at in range(8)]
        assert await lost == (7, 14)
        assert bus.unit(2).failures == 0
        assert not bus.unit(2).counts.faults


@pytest.mark.parametrize("kind", ["pty", "rtuovertcp"])
async def test_nothing_wrong_is_accepted_in_a_storm_of_faults(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late by one to six time-outs, twice, cut, flipped, or from another unit: none is taken for a value."""
    monkeypatch.setattr(unit_module, "TIMEOUT_S_MAX", 0.03)
    seed = 7
    kinds = tuple(kind for kind in KINDS if kind != "wrong_transaction")
    storm = Storm(seed=seed, share=0.3, late_s=(0.0, 0.18), kinds=kinds)
    device = Device({unit: numbered(unit * 1000) for unit in (1, 2, 3)}, fault=storm)
    async with line(device, kind) as bus:
        good = 0
        async with asyncio.timeout(120):
            for at in range(100):
                unit, address, count = 1 + at % 3, (at * 13) % 250, 2 + at % 2
                try:
                    words = await bus.read(unit, Table.HOLDING, address, count)
                except (NoReply, DeviceRefused):
                    bus.unit(unit).retry_at_s = 0.0
                    bus._connect_at_s = 0.0
                else:
                    good += 1
                    wanted = tuple((at * 7 + unit * 1000) & 0xFFFF for at in range(address, address + count))
                    assert words == wanted, f"seed {seed}"
        assert good > 50
        assert set(storm.counts) == set(kinds)


async def test_one_silent_device_of_ten_leaves_the_others_their_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a line every wait is everybody's; the silent one's are short, rare and never in a row."""
    monkeypatch.setattr(unit_module, "SHARED_BACKOFF_S_START", 0.25)
    device = Device({unit: Bank(holding={0: unit}) for unit in range(1, 10)})  # Unit 10 does not exist.
    async with line(device, "pty") as bus:
        bus.unit(10).latency_s = 0.01  # It was there before.
        periods = {PollClass.CONTROL: 0.1}
        points = [RegisterPoint(name="p", address=0, poll_class=PollClass.CONTROL)]
        pollers = [Poller(bus, unit, points, clock=SystemClock(), period_s=periods) for unit in range(1, 11)]
        tasks = [asyncio.create_task(poller.run(), name="poll") for poller in pollers]
        try:
            async with asyncio.timeout(60):
                while bus.unit(10).failures < 3:
                    await pollers[0].next_cycle()
                before = [poller.cycles for poller in pollers]
                while pollers[0].cycles < before[0] + 10:
                    await pollers[0].next_cycle()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert not pollers[9].health.online
        assert all(poller.latest["p"].value == unit for unit, poller in enumerate(pollers[:9], start=1))
        done = [poller.cycles - start for poller, start in zip(pollers, before, strict=True)]
        assert min(done[:9]) >= 0.9 * done[0]
        asked = len([request for request in device.requests if request.unit == 10])
        assert 0 < asked <= 12


async def test_an_adapter_that_is_plugged_in_again_is_found_under_its_name(tmp_path: Path) -> None:
    """USB serial adapters come back as another device behind the same by-id link."""
    link = tmp_path / "usb-adapter"
    async with Bus(f"rtu://{link}?baud=115200") as bus:
        points = [RegisterPoint(name="p", address=0)]
        poller = Poller(bus, 1, points, clock=SystemClock(), period_s={PollClass.LIVE: 0.1})
        task = asyncio.create_task(poller.run(), name="poll")
        try:
            for value in (5, 6):
                async with pty_device(Device({1: Bank(holding={0: value})})) as path:
                    link.symlink_to(path)
                    await until(lambda value=value: "p" in poller.latest and poller.latest["p"].value == value)  # type: ignore[misc]
                    link.unlink()
                with pytest.raises(NoReply) as lost:
                    await bus.read(1, Table.HOLDING, 0, 1)
                assert lost.value.fault in (Fault.LOST, Fault.UNCONNECTED)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
