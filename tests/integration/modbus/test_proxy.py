"""The proxy lets others share a device's one connection without disturbing the gateway."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from contracts.clock import SystemClock
from edge.errors import ConfigError
from edge.modbus.bus import Bus
from edge.modbus.point import PollClass, RegisterPoint, Table
from edge.modbus.poller import Poller
from edge.modbus.proxy import CLIENTS_MAX, IDLE_DROP_S, Proxy
from tests.support.modbus.server import Bank, Device, Request, Sending, tcp_device


@asynccontextmanager
async def proxied(
    device: Device, *, writable: bool = False, idle_drop_s: float = IDLE_DROP_S
) -> AsyncIterator[tuple[Bus, int]]:
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        proxy = Proxy(bus, units={1}, writable=writable, idle_drop_s=idle_drop_s)
        task = asyncio.create_task(proxy.run(port=0), name="proxy")
        try:
            yield bus, await proxy.port()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def client(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    foreign = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    assert await foreign.connect()
    try:
        yield foreign
    finally:
        foreign.close()


async def test_a_foreign_client_reads_through_the_one_connection_and_may_not_write() -> None:
    """Home automation wants the same inverter, which takes a single client."""
    device = Device({1: Bank(holding={at: at * 7 for at in range(50)}, coil={0: 1, 1: 0})})
    async with proxied(device) as (bus, port), client(port) as foreign:
        assert await bus.read(1, Table.HOLDING, 1, 1) == (7,)
        assert (await foreign.read_holding_registers(3, count=2, device_id=1)).registers == [21, 28]
        assert (await foreign.read_coils(0, count=2, device_id=1)).bits[:2] == [True, False]
        assert (await foreign.read_holding_registers(49, count=2, device_id=1)).exception_code == 2
        assert (await foreign.read_holding_registers(3, count=2, device_id=9)).exception_code == 10
        assert (await foreign.write_register(3, 5, device_id=1)).exception_code == 1
        assert await bus.read(1, Table.HOLDING, 3, 1) == (21,)
    assert device.connections == 1


async def test_writes_pass_only_where_the_owner_allowed_them() -> None:
    """A vendor's tool may need to write; nobody else."""
    device = Device({1: Bank(holding=dict.fromkeys(range(50), 0), coil=dict.fromkeys(range(9), 0))})
    async with proxied(device, writable=True) as (bus, port), client(port) as foreign:
        assert not (await foreign.write_register(3, 5, device_id=1)).isError()
        assert not (await foreign.write_registers(4, [6, 7], device_id=1)).isError()
        assert not (await foreign.write_coils(1, [True, False, True], device_id=1)).isError()
        assert await bus.read(1, Table.HOLDING, 3, 3) == (5, 6, 7)
        assert await bus.read(1, Table.COIL, 1, 3) == (1, 0, 1)


async def test_control_points_keep_their_pace_while_three_clients_hammer() -> None:
    """The gateway's own reads go first, and foreign ones have a bounded share of the bus."""

    def slow(device: Device, request: Request, payload: bytes | None) -> Sending:
        return [(0.01, device.frame(request, payload or b""))]

    device = Device({1: Bank(holding={at: at for at in range(50)})}, fault=slow)
    async with proxied(device) as (bus, port):
        points = [RegisterPoint(name="p", address=0, poll_class=PollClass.CONTROL)]
        poller = Poller(bus, 1, points, clock=SystemClock(), period_s={PollClass.CONTROL: 0.05})

        async def hammer() -> None:
            async with client(port) as foreign:
                while True:
                    await foreign.read_holding_registers(0, count=40, device_id=1)

        started_s = asyncio.get_running_loop().time()
        tasks = [asyncio.create_task(poller.run(), name="poll")]
        tasks += [asyncio.create_task(hammer(), name="hammer") for _ in range(3)]
        try:
            async with asyncio.timeout(60):
                while poller.cycles < 25:
                    await poller.next_cycle()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        foreign_requests = len([request for request in device.requests if request.count == 40])
        elapsed_s = asyncio.get_running_loop().time() - started_s
        assert foreign_requests > 5
        assert foreign_requests * 0.01 <= elapsed_s * 0.3


async def test_three_clients_cost_control_points_less_than_a_tenth_of_their_reads() -> None:
    """Beside an equal device that nobody shares, over the same time: a dashboard must not slow a limit."""

    def slow(device: Device, request: Request, payload: bytes | None) -> Sending:
        return [(0.005, device.frame(request, payload or b""))]

    bank = Bank(holding={at: at for at in range(120)})
    shared, alone = Device({1: bank}, fault=slow), Device({1: bank}, fault=slow)
    async with proxied(shared) as (bus, port), tcp_device(alone) as other, Bus(f"tcp://127.0.0.1:{other}") as unshared:
        points = [RegisterPoint(name="p", address=0, poll_class=PollClass.CONTROL)]
        pollers = [
            Poller(one, 1, points, clock=SystemClock(), period_s={PollClass.CONTROL: 0.06}) for one in (bus, unshared)
        ]

        enough = asyncio.Event()  # Instead of a cancellation, which pymodbus may swallow.

        async def hammer() -> None:
            async with client(port) as foreign:
                while not enough.is_set():
                    await foreign.read_holding_registers(0, count=100, device_id=1)

        tasks = [asyncio.create_task(poller.run(), name="poll") for poller in pollers]
        hammers = [asyncio.create_task(hammer(), name="hammer") for _ in range(3)]
        try:
            async with asyncio.timeout(60):
                for poller in pollers:
                    await poller.next_cycle()
                before = [poller.cycles for poller in pollers]
                while pollers[1].cycles < before[1] + 21:
                    await pollers[1].next_cycle()
                done = [poller.cycles - start for poller, start in zip(pollers, before, strict=True)]
        finally:
            enough.set()
            await asyncio.gather(*hammers)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert len([request for request in shared.requests if request.count == 100]) > 10
    assert done[0] > 0.9 * done[1]


async def test_a_port_that_is_taken_is_named() -> None:
    """The installer reads one sentence, not a stack of calls."""
    device = Device({1: Bank(holding={0: 5})})
    async with proxied(device) as (bus, port):
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            await Proxy(bus, units={1}).run(port=port)


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x00\x00\xff\xff\x01\x03", b"\x00\x01\x00\x00\x00\x01\x01"]
)
async def test_bytes_that_are_no_modbus_close_that_client_only(junk: bytes) -> None:
    """A port scanner must not take the gateway's bus."""
    device = Device({1: Bank(holding={0: 5})})
    async with proxied(device) as (bus, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(junk)
        assert await reader.read() == b""
        writer.close()
        assert await bus.read(1, Table.HOLDING, 0, 1) == (5,)


@pytest.mark.parametrize("idle_drop_s", [0.0, 3600.0], ids=["idle", "all-are-young"])
async def test_a_full_proxy_lets_go_of_the_client_that_is_idle_longest(idle_drop_s: float) -> None:
    """Connections that somebody left open lock no program of the house out, and nobody who just asked is let go."""
    device = Device({1: Bank(holding={0: 5})})
    async with proxied(device, idle_drop_s=idle_drop_s) as (_, port), AsyncExitStack() as others:
        there = [await others.enter_async_context(client(port)) for _ in range(CLIENTS_MAX)]
        for one in there:
            assert (await one.read_holding_registers(0, count=1, device_id=1)).registers == [5]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes.fromhex("000100000006010300000001"))
        answer = b""
        with contextlib.suppress(ConnectionError):  # Turned away.
            async with asyncio.timeout(60):
                answer = await reader.read(260)
        writer.close()
        assert (answer[-2:] == bytes((0, 5))) is (idle_drop_s == 0.0)
        still = [
            one for one in there[1:] if (await one.read_holding_registers(0, count=1, device_id=1)).registers == [5]
        ]
        assert len(still) == CLIENTS_MAX - 1, "the others stay"
