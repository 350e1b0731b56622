"""The bus against a device on a real TCP socket, with what goes wrong there."""

import asyncio
import contextlib

import pytest

from edge.errors import DeviceRefused, DeviceSilent
from edge.modbus import unit as unit_module
from edge.modbus.bus import Bus
from edge.modbus.faults import Fault, NoReply
from edge.modbus.point import Priority, Table
from tests.support.modbus.faults import Storm
from tests.support.modbus.server import Bank, Device, Request, Sending, honest, tcp_device

SAFETY_S = 120.0

LANES = 3  # Connections of a storm, so that one lost answer does not hold up all.


def numbered(offset: int = 0) -> Bank:
    """Return a bank whose values say their address and, by the offset, their unit."""
    return Bank(
        holding={at: (at * 7 + offset) & 0xFFFF for at in range(300)},
        input={at: (at * 11 + offset) & 0xFFFF for at in range(300)},
        coil={at: at % 3 == 0 for at in range(64)},
        discrete={at: at % 2 for at in range(64)},
    )


async def test_every_table_is_read_and_written() -> None:
    """The four tables and the four ways to write are what every device is made of."""
    device = Device({1: numbered()})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        assert await bus.read(1, Table.HOLDING, 10, 3) == (70, 77, 84)
        assert await bus.read(1, Table.INPUT, 10, 2) == (110, 121)
        assert await bus.read(1, Table.COIL, 0, 10) == (1, 0, 0, 1, 0, 0, 1, 0, 0, 1)
        assert await bus.read(1, Table.DISCRETE, 1, 1) == (1,)
        await bus.write(1, Table.HOLDING, 5, (1234,))
        await bus.write(1, Table.HOLDING, 6, (1, 2))
        await bus.write(1, Table.HOLDING, 8, (9,), function=16)
        await bus.write(1, Table.COIL, 1, (1,))
        await bus.write(1, Table.COIL, 8, (1, 0, 1))
        assert await bus.read(1, Table.HOLDING, 5, 4) == (1234, 1, 2, 9)
        assert await bus.read(1, Table.COIL, 1, 1) == (1,)
        assert await bus.read(1, Table.COIL, 8, 3) == (1, 0, 1)
        assert [request.pdu[0] for request in device.requests[4:9]] == [6, 16, 16, 5, 15]
    assert device.connections == 1


async def test_an_exception_never_closes_the_connection() -> None:
    """Two well known gateways reconnect on each exception and lose the device's only slot."""
    device = Device({1: numbered()})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        for _ in range(5):
            with pytest.raises(DeviceRefused) as refusal:
                await bus.read(1, Table.HOLDING, 299, 2)
            assert refusal.value.exception_code == 2
        assert await bus.read(1, Table.HOLDING, 0, 1) == (0,)
    assert device.connections == 1


async def test_busy_is_repeated_and_a_write_that_is_acknowledged_is_not() -> None:
    """Exception 5 says that the write is being done; sending it again would do it twice."""
    refusals = {"left": 2, "code": 6}

    def busy(device: Device, request: Request, payload: bytes | None) -> Sending:
        if refusals["left"]:
            refusals["left"] -= 1
            return [(0.0, device.frame(request, bytes((request.pdu[0] | 0x80, refusals["code"]))))]
        return honest(device, request, payload)

    device = Device({1: numbered()}, fault=busy)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        assert await bus.read(1, Table.HOLDING, 1, 1) == (7,)
        refusals.update(left=1, code=5)
        with pytest.raises(DeviceRefused):
            await bus.write(1, Table.HOLDING, 1, (8,))
        assert len([request for request in device.requests if request.pdu[0] == 6]) == 1


async def test_a_lost_write_is_not_repeated_and_a_lost_read_is() -> None:
    """A write whose confirmation was lost may have been done; only a read-back tells."""
    lost = {"left": 1}

    def drop(device: Device, request: Request, payload: bytes | None) -> Sending:
        if lost["left"]:
            lost["left"] -= 1
            return []
        return honest(device, request, payload)

    device = Device({1: numbered()}, fault=drop)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        bus.unit(1).latency_s = 0.01
        with pytest.raises(NoReply) as silence:
            await bus.write(1, Table.HOLDING, 1, (8,))
        assert silence.value.fault is Fault.TIMEOUT
        assert len(device.requests) == 1
        lost["left"] = 1
        bus.unit(1).failures = 0
        assert await bus.read(1, Table.HOLDING, 1, 1) == (8,)
        assert len(device.requests) == 3


@pytest.mark.parametrize("kind", ["wrong_unit", "wrong_function", "wrong_length", "wrong_transaction"])
async def test_a_reply_to_something_else_is_never_data(kind: str) -> None:
    """Off-by-one replies after a timeout have been taken for values by five libraries."""
    storm = Storm(seed=1, share=1.0, late_s=(0, 0), kinds=(kind,))
    device = Device({1: numbered()}, fault=storm)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        with pytest.raises(NoReply) as mismatch:
            await bus.read(1, Table.HOLDING, 1, 4)
        assert mismatch.value.fault is (Fault.LENGTH if kind == "wrong_length" else Fault.MISMATCH)
        device.fault = None
        bus.unit(1).retry_at_s = 0.0
        assert await bus.read(1, Table.HOLDING, 1, 2) == (7, 14)
    assert device.connections > 1


async def test_a_slow_device_is_learned_from_its_late_replies() -> None:
    """A device that answers after 0.2 s must not be given up because it once was fast."""

    def slow(device: Device, request: Request, payload: bytes | None) -> Sending:
        return [(0.2, device.frame(request, payload or b""))]

    device = Device({1: numbered()}, fault=slow)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        bus.unit(1).latency_s = 0.03
        async with asyncio.timeout(SAFETY_S):
            while True:
                try:
                    assert await bus.read(1, Table.HOLDING, 1, 1) == (7,)
                except DeviceSilent:
                    await asyncio.sleep(bus.retry_in_s(1))
                else:
                    break
        assert await bus.read(1, Table.HOLDING, 2, 1) == (14,)


async def test_nothing_wrong_is_accepted_in_a_storm_of_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value that is returned is the value of that address and that unit, whatever the wire does."""
    seed = 20
    monkeypatch.setattr(unit_module, "TIMEOUT_S_MAX", 0.06)
    storm = Storm(seed=seed, share=0.3, late_s=(0.0, 0.06))
    device = Device({unit: numbered(unit * 1000) for unit in (1, 2, 3)}, fault=storm)
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(tcp_device(device))
        counts = {"good": 0, "failed": 0}

        async def hammer(bus: Bus, unit: int, first: int) -> None:
            for at in range(first, 250, LANES):
                address, count = (at * 13) % 250, 1 + at % 5
                table = Table.HOLDING if at % 2 else Table.INPUT
                factor = 7 if at % 2 else 11
                try:
                    words = await bus.read(unit, table, address, count, priority=Priority(1 + at % 3))
                except (NoReply, DeviceRefused):
                    counts["failed"] += 1
                    bus.unit(unit).retry_at_s = 0.0
                    bus._connect_at_s = 0.0
                else:
                    counts["good"] += 1
                    wanted = tuple((at * factor + unit * 1000) & 0xFFFF for at in range(address, address + count))
                    assert words == wanted, f"seed {seed}"

        hammers = []
        for first in range(LANES):
            bus = await stack.enter_async_context(Bus(f"tcp://127.0.0.1:{port}"))
            for unit in (1, 2, 3):
                bus.unit(unit).latency_s = 0.001
                hammers.append(hammer(bus, unit, first))
        async with asyncio.timeout(120):
            await asyncio.gather(*hammers)
        assert counts["good"] > 500
        assert sum(storm.counts.values()) > 150
        assert min(storm.counts.values()) > 3


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor of the timeout is what most of these tests wait for."""
    monkeypatch.setattr(unit_module, "TIMEOUT_S_MIN", 0.03)


async def test_a_device_that_drops_requests_that_follow_too_soon_gets_its_silence() -> None:
    """Such a device is not broken; it needs a pause that no manual mentions."""
    last = {"at_s": 0.0}

    def deaf(device: Device, request: Request, payload: bytes | None) -> Sending:
        now_s = asyncio.get_running_loop().time()
        if now_s - last["at_s"] < 0.04:
            return []
        last["at_s"] = now_s
        return honest(device, request, payload)

    device = Device({1: numbered()}, fault=deaf)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        bus.unit(1).latency_s = 0.01
        for _ in range(60):
            with contextlib.suppress(NoReply):
                await bus.read(1, Table.HOLDING, 1, 1)
            bus.unit(1).retry_at_s = 0.0
            if bus.unit(1).learned.gap_s >= 0.05:
                break
        lost = bus.unit(1).counts.faults.get(Fault.TIMEOUT, 0)
        for _ in range(10):
            await bus.read(1, Table.HOLDING, 1, 1)
        assert bus.unit(1).learned.gap_s >= 0.05
        assert bus.unit(1).counts.faults.get(Fault.TIMEOUT, 0) == lost
