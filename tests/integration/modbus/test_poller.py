"""Pollers that share a bus: pace, holes, silence and return of a device."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.clock import Clock, SystemClock, scaled_clock
from contracts.units import Quality
from edge.errors import DeviceRefused
from edge.modbus import unit as unit_module
from edge.modbus.bus import Bus
from edge.modbus.learned import REFUSED_AGAIN_S, Learned
from edge.modbus.point import DataType, LinkLimits, PollClass, Range, RegisterPoint, Table
from edge.modbus.poller import REPLAN_S_MIN, Poller
from edge.modbus.sunspec import discover, read_model
from edge.modbus.sunspec_models import model_points
from tests.support.modbus.server import Bank, Device, Request, Sending, honest, tcp_device
from tests.support.modbus.simulator import ManualClock
from tests.support.modbus.wait import until

SAFETY_S = 120.0
FAST = 30.0


def fast_clock() -> Clock:
    return scaled_clock(started_at=datetime(2026, 6, 1, tzinfo=UTC), speed=FAST)


def control(addresses: Iterable[int]) -> list[RegisterPoint]:
    return [RegisterPoint(name=f"p{at}", address=at, poll_class=PollClass.CONTROL) for at in addresses]


@asynccontextmanager
async def polling(*pollers: Poller) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(poller.run(), name="poll") for poller in pollers]
    try:
        async with asyncio.timeout(SAFETY_S):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_answer_that_lay_unread_while_the_process_stood_still_is_as_old_as_that() -> None:
    """Stamped with the instant of its taking, what a meter said before a stall would pass for what it says now."""
    timeout_s, clock, loop = 1.0, SystemClock(), asyncio.get_running_loop()
    stands, stood_until_s = threading.Event(), [0.0]

    def stand_still() -> None:
        stands.set()
        time.sleep(timeout_s + 0.2)
        stood_until_s[0] = clock.monotonic()

    def answering(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while request := connection.recv(64):
                loop.call_soon_threadsafe(stand_still)
                stands.wait()
                connection.sendall(request[:4] + bytes([0, 5]) + request[6:8] + bytes([2, 0, 7]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answering, args=(listener,), daemon=True).start()
        async with Bus(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as bus:
            poller = Poller(bus, 1, control([3]), clock=clock, limits=LinkLimits(timeout_s_min=timeout_s))
            taken = (await poller.read(["p3"]))["p3"]
    assert taken.value == 7
    assert taken.monotonic_s <= stood_until_s[0] - timeout_s
    assert bus.unit(1).counts.requests == 1, "it is not asked again for what it did answer"


async def test_a_hole_is_learned_within_two_cycles_and_kept_over_a_restart() -> None:
    """A merged read that hits one illegal address must not cost the other points, nor be tried for ever."""
    device = Device({1: Bank(holding={at: at for at in range(100) if at not in (23, 60)})})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control(range(0, 100, 10 - 1)), clock=fast_clock())
        async with polling(poller):
            await poller.next_cycle()
            await poller.next_cycle()
            await poller.next_cycle()
        assert all(reading.value == int(name[1:]) for name, reading in poller.latest.items())
        assert len(poller.latest) == 12
        assert {(hole.start, hole.end) for hole in poller.learned.holes} == {(19, 27), (55, 63)}
        kept = poller.learned.as_dict()
        before = len(device.requests)
        async with Bus(f"tcp://127.0.0.1:{port}") as later:
            again = Poller(later, 1, control(range(0, 100, 9)), clock=fast_clock(), learned=Learned.from_dict(kept))
            async with polling(again):
                await again.next_cycle()
            assert len(again.latest) == 12
        assert [request.count for request in device.requests[before:]][:4] == [1, 19, 28, 37]


async def test_a_point_that_does_not_exist_is_invalid_and_costs_the_others_nothing() -> None:
    """Firmware versions differ; a missing register is not a reason to lose the rest."""
    device = Device({1: Bank(holding={at: at for at in range(10) if at != 4})})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control(range(10)), clock=fast_clock())
        async with polling(poller):
            for _ in range(3):
                await poller.next_cycle()
            asked = len(device.requests)
            for _ in range(20):
                await poller.next_cycle()
        assert set(poller.learned.missing) == {Range(table=Table.HOLDING, start=4, end=5)}
        looks = [request for request in device.requests[asked:] if request.address == 4 and request.count == 1]
        assert 1 <= len(looks) <= 2 * 20 / REFUSED_AGAIN_S
        assert poller.latest["p4"].quality is Quality.INVALID
        assert {name for name, reading in poller.latest.items() if reading.quality is Quality.GOOD} == {
            f"p{at}" for at in range(10) if at != 4
        }


async def test_a_hole_beside_half_of_a_value_costs_neither() -> None:
    """A Deye's words lie far apart: what is asked with one of them must not be given up, nor the value itself."""
    device = Device({1: Bank(holding={0: 7, 4: 0xFFFE, 300: 0xFFFF})})
    halves = RegisterPoint(
        name="halves", address=4, data_type=DataType.INT16, parts=(300, 4), poll_class=PollClass.CONTROL
    )
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, [*control([0]), halves], clock=fast_clock())
        async with polling(poller):
            for _ in range(3):
                await poller.next_cycle()
        assert (poller.latest["p0"].value, poller.latest["halves"].value) == (7, -2)
        assert poller.learned.holes == [Range(table=Table.HOLDING, start=1, end=4)] and not poller.learned.missing


@pytest.mark.parametrize("asleep", [range(20), range(10, 14)], ids=["all of it", "a part"])
async def test_what_is_refused_while_a_device_sleeps_is_read_again_when_it_wakes(asleep: range) -> None:
    """A logger answers "illegal address" while its inverter boots; that must not lose the inverter for ever."""
    sleeping = asyncio.Event()

    def sleepy(device: Device, request: Request, payload: bytes | None) -> Sending:
        asked = range(request.address, request.address + request.count)
        if sleeping.is_set() and not set(asked).isdisjoint(asleep):
            return [(0.0, device.frame(request, bytes((request.pdu[0] | 0x80, 2))))]
        return honest(device, request, payload)

    device = Device({1: Bank(holding={at: at for at in range(20) if at != 5})}, fault=sleepy)
    kept: list[int] = []
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control(range(20)), clock=fast_clock(), on_learned=lambda: kept.append(1))

        def good() -> int:
            return sum(reading.quality is Quality.GOOD for reading in poller.latest.values())

        async with polling(poller):
            await until(lambda: good() == 19 and len(poller.latest) == 20)
            sleeping.set()
            await until(lambda: good() == 19 - len(set(asleep) - {5}))
            sleeping.clear()
            await until(lambda: good() == 19)
        assert set(poller.learned.missing) <= {Range(table=Table.HOLDING, start=5, end=6)}
        assert kept, "a power cut would lose what was learned"


async def test_a_hole_that_an_older_version_kept_is_looked_at_again() -> None:
    """What was given up for ever before is there for who wants it."""
    learned = Learned()
    learned.add_hole(Range(table=Table.HOLDING, start=2, end=4))
    learned.add_hole(Range(table=Table.HOLDING, start=50, end=54))
    device = Device({1: Bank(holding={at: at for at in range(10)})})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        kept = Learned.from_dict(learned.as_dict())
        poller = Poller(bus, 1, control(range(10)), clock=fast_clock(), learned=kept)
        async with polling(poller):
            await until(lambda: "p3" in poller.latest and poller.latest["p3"].value == 3)
        assert kept.holes == [Range(table=Table.HOLDING, start=50, end=54)]
        assert not kept.missing


async def test_a_border_that_no_request_may_cross_is_learned() -> None:
    """Some devices refuse a read over the end of one of their internal blocks, though every address exists."""

    def border(device: Device, request: Request, payload: bytes | None) -> Sending:
        if request.address < 8 < request.address + request.count:
            return [(0.0, device.frame(request, bytes((request.pdu[0] | 0x80, 2))))]
        return honest(device, request, payload)

    device = Device({1: Bank(holding={at: at for at in range(16)})}, fault=border)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control(range(16)), clock=fast_clock())
        async with polling(poller):
            for _ in range(3):
                await poller.next_cycle()
        assert poller.learned.barriers == {Table.HOLDING: {8}}
        assert not poller.learned.holes
        assert [(block.address, block.count) for block in poller.plan().blocks] == [(0, 8), (8, 8)]


async def test_each_class_is_read_at_its_own_pace_of_the_sites_clock() -> None:
    """Counters every second would cost the control points their bus."""
    device = Device({1: Bank(holding={at: at for at in range(3)})})
    points = [
        RegisterPoint(name="power", address=0, poll_class=PollClass.CONTROL),
        RegisterPoint(name="voltage", address=1, poll_class=PollClass.LIVE),
        RegisterPoint(name="energy", address=2, poll_class=PollClass.COUNTER),
    ]
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, points, clock=fast_clock())
        async with polling(poller):
            while poller.cycles < 21:
                await poller.next_cycle()
    counts = [request.count for request in device.requests[1:]]
    assert counts.count(3) in (2, 3)
    assert 1 <= counts.count(2) <= 3
    assert counts.count(1) >= 14


async def test_devices_of_one_phase_are_read_at_the_same_instant() -> None:
    """A site's meter and its inverter must show the same second, and a process should wake once for all of them."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        pollers = []
        for _ in range(2):
            device = Device({1: Bank(holding={0: 1})})
            port = await stack.enter_async_context(tcp_device(device))
            bus = await stack.enter_async_context(Bus(f"tcp://127.0.0.1:{port}"))
            period_s = {PollClass.CONTROL: 0.2}
            pollers.append(Poller(bus, 1, control([0]), clock=clock, period_s=period_s, phase_s=0.05))
        first = asyncio.create_task(pollers[0].run(), name="poll")
        await pollers[0].next_cycle()
        async with polling(pollers[1]):
            seen: list[set[int]] = [set(), set()]
            while min(map(len, seen)) < 5:
                await pollers[0].next_cycle()
                for instants, poller in zip(seen, pollers, strict=True):
                    if "p0" in poller.latest:
                        instants.add(int((poller.latest["p0"].monotonic_s - 0.05) / 0.2))
            assert seen[0] >= set(sorted(seen[1])[1:-1])  # Each whole period that the second was read in.
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_plan_outlives_a_turnaround_that_jumps_about() -> None:
    """Planning costs more than a request; below a millisecond the turnaround is mostly the machine's own noise."""
    device = Device({1: Bank(holding=dict.fromkeys(range(200), 1))})
    clock = ManualClock()
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}?line_baud=115200") as bus:
        poller = Poller(bus, 1, control(range(0, 200, 9)), clock=clock)
        bus.unit(1).learned.turnaround_s = 0.0005
        plan = poller.plan()
        for turnaround_s in (0.02, 0.0005, 0.03, 0.0007):
            bus.unit(1).learned.turnaround_s = turnaround_s
            assert poller.plan() is plan
        clock.move(REPLAN_S_MIN)
        bus.unit(1).learned.turnaround_s = 0.02
        assert poller.plan() is not plan, "a device that has become slow is worth a new plan in the end"


async def test_a_dead_unit_does_not_slow_the_others_and_comes_back_by_itself() -> None:
    """One of ten devices silent: the other nine must not notice."""
    silent = {3}

    def mute(device: Device, request: Request, payload: bytes | None) -> Sending:
        return [] if request.unit in silent else honest(device, request, payload)

    device = Device({unit: Bank(holding={0: unit}) for unit in range(1, 11)}, fault=mute)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        bus.unit(3).latency_s = 0.05  # It was there before.
        clock = SystemClock()
        period_s = {PollClass.CONTROL: 0.1}
        pollers = [Poller(bus, unit, control([0]), clock=clock, period_s=period_s) for unit in range(1, 11)]
        async with polling(*pollers):
            while not all(poller.health.online for poller in pollers if poller.points and poller is not pollers[2]):
                await pollers[0].next_cycle()
            while pollers[2].health.last_error is None:
                await pollers[0].next_cycle()
            started = [poller.cycles for poller in pollers]
            for _ in range(15):
                await pollers[0].next_cycle()
            done = [poller.cycles - before for poller, before in zip(pollers, started, strict=True)]
            assert not pollers[2].health.online
            assert min(done[:2] + done[3:]) >= 13
            silent.clear()
            await until(lambda: pollers[2].health.online)
            await pollers[2].next_cycle()
            assert pollers[2].latest["p0"].value == 3


async def test_a_restarted_device_is_read_again_on_its_name() -> None:
    """A reboot, a cable: nobody drives out to restart a gateway."""
    device = Device({1: Bank(holding={0: 5})})
    clock = SystemClock()
    async with tcp_device(device) as port:
        bus = Bus(f"tcp://localhost:{port}")
        poller = Poller(bus, 1, control([0]), clock=clock, period_s={PollClass.CONTROL: 0.05})
        task = asyncio.create_task(poller.run(), name="poll")
        async with asyncio.timeout(SAFETY_S):
            await poller.next_cycle()
    try:
        async with asyncio.timeout(SAFETY_S):
            await until(lambda: not poller.health.online)
            async with tcp_device(device, port=port):
                await until(lambda: poller.health.online)
                await poller.next_cycle()
                assert poller.reading("p0") is not None
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                bus.close()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bus.close()


async def test_a_device_is_followed_to_its_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The router gave it another address; its name stayed."""
    address = "127.0.0.1"
    resolve = socket.getaddrinfo

    def by_name(host: str, *arguments: Any, **named: Any) -> Any:
        return resolve(address if host == "inverter.example" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", by_name)
    async with tcp_device(Device({1: Bank(holding={0: 5})})) as port:
        bus = Bus(f"tcp://inverter.example:{port}")
        assert await bus.read(1, Table.HOLDING, 0, 1) == (5,)
    address = "127.0.0.2"
    poller = Poller(bus, 1, control([0]), clock=SystemClock(), period_s={PollClass.CONTROL: 0.05})
    async with tcp_device(Device({1: Bank(holding={0: 6})}), host=address, port=port), polling(poller):
        await until(lambda: "p0" in poller.latest)
        assert poller.latest["p0"].value == 6
        bus.close()


async def test_values_age_on_the_sites_clock() -> None:
    """A stale value with a fresh time stamp has raised false alarms; here age is a quality."""
    silent: set[int] = set()

    def mute(device: Device, request: Request, payload: bytes | None) -> Sending:
        return [] if request.unit in silent else honest(device, request, payload)

    device = Device({1: Bank(holding={0: 5})}, fault=mute)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control([0]), clock=fast_clock())
        async with polling(poller):
            await poller.next_cycle()
            first = poller.reading("p0")
            assert first is not None
            assert first.quality is Quality.GOOD
            silent.add(1)
            await until(lambda: poller.snapshot()["p0"].quality is not Quality.GOOD)
            aged = poller.reading("p0")
            assert aged is not None
            assert (aged.quality, aged.value) == (Quality.STALE, 5)
            assert aged.source_at == poller.latest["p0"].source_at


async def test_a_scale_factor_that_flips_each_read_never_gives_a_wrong_value() -> None:
    """Value and factor come in one reply, or the value is invalid."""

    def flip(device: Device, request: Request, payload: bytes | None) -> Sending:
        bank = device.units[1].holding
        factor = request.number % 3
        bank[20], bank[120] = 1200 // 10**factor, factor
        return honest(device, request, device.answer(request))

    device = Device({1: Bank(holding=dict.fromkeys(range(200), 0))}, fault=flip)
    points = [
        RegisterPoint(name="w", address=20, data_type=DataType.INT16, scale_register=120, poll_class=PollClass.CONTROL),
        *control([150]),
    ]
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, points, clock=fast_clock())
        async with polling(poller):
            for _ in range(20):
                await poller.next_cycle()
                assert poller.latest["w"].value == 1200


async def test_points_are_read_at_once_when_asked() -> None:
    """A read-back after a write cannot wait for its class."""
    device = Device({1: Bank(holding={0: 5, 1: 6})})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control([0, 1]), clock=SystemClock())
        await bus.write(1, Table.HOLDING, 1, (77,))
        assert (await poller.read(["p1"]))["p1"].value == 77


async def test_sunspec_models_of_a_live_device_are_found_and_read() -> None:
    """The chain is walked at the addresses that the device reports."""
    words = {50000: 0x5375, 50001: 0x6E53, 50002: 1, 50003: 66, 50070: 103, 50071: 50, 50122: 0xFFFF, 50123: 0}
    bank = Bank(holding=dict.fromkeys(range(50000, 50124), 0) | words | {50084: 0xFF38, 50085: 1})
    device = Device({1: bank})
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        found = await discover(bus, 1)
        assert found is not None
        assert (found.base, [model.model_id for model in found.models]) == (50000, [1, 103])
        inverter = found.find(103)
        assert inverter is not None
        points = {point.name: point for point in model_points(inverter, await read_model(bus, 1, inverter))}
        poller = Poller(bus, 1, points.values(), clock=SystemClock())
        assert (await poller.read(["W"]))["W"].value == -2000


async def test_a_device_that_keeps_silent_at_a_hole_is_read_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some devices do not refuse an illegal address but say nothing; that must not look like a dead device for ever."""
    monkeypatch.setattr(unit_module, "TIMEOUT_S_MIN", 0.03)
    monkeypatch.setattr(unit_module, "BACKOFF_S_START", 0.05)

    def mute(device: Device, request: Request, payload: bytes | None) -> Sending:
        if request.address <= 50 < request.address + request.count:
            return []
        return honest(device, request, payload)

    device = Device({1: Bank(holding={at: at for at in range(100)})}, fault=mute)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        bus.unit(1).latency_s = 0.005
        poller = Poller(bus, 1, control(range(0, 100, 9)), clock=fast_clock())
        async with polling(poller):
            await until(lambda: len(poller.latest) == 12)
            await until(lambda: poller.health.online)
            cycles = poller.cycles
            await until(lambda: poller.cycles > cycles + 5)
        assert [(hole.start, hole.end) for hole in poller.learned.holes] == [(46, 54)]
        assert poller.health.online


@pytest.mark.parametrize("code", [4, 5, 6])
async def test_a_register_at_which_a_device_fails_does_not_cost_the_others(code: int) -> None:
    """Some devices call a register that they do not have a failure of the device, or are busy with it for ever."""

    def failing(device: Device, request: Request, payload: bytes | None) -> Sending:
        has_it = request.address <= 45 < request.address + request.count
        return honest(device, request, bytes((request.pdu[0] | 0x80, code)) if has_it else payload)

    device = Device({1: Bank(holding={at: at for at in range(100)})}, fault=failing)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control(range(0, 100, 9)), clock=fast_clock())
        async with polling(poller):
            await until(lambda: len(poller.latest) == 12)
        values = {name: reading.value for name, reading in poller.latest.items()}
    assert values == {f"p{at}": None if at == 45 else at for at in range(0, 100, 9)}
    assert [(one.start, one.end) for one in poller.learned.missing] == [(45, 46)]


@pytest.mark.parametrize("code", [4, 6])
async def test_nothing_is_learned_of_a_device_that_fails_at_everything(code: int) -> None:
    """It boots: its map would fall to pieces, and every later cycle would cost a request for each point."""
    boots = True

    def failing(device: Device, request: Request, payload: bytes | None) -> Sending:
        return honest(device, request, bytes((request.pdu[0] | 0x80, code)) if boots else payload)

    device = Device({1: Bank(holding={at: at for at in range(100)})}, fault=failing)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, control(range(0, 100, 9)), clock=fast_clock())
        async with polling(poller):
            await until(lambda: poller.cycles > 8)
            assert not poller.learned.missing and not poller.learned.holes
            boots = False
            await until(lambda: len(poller.latest) == 12)
        assert len(poller.plan().blocks) == 1


@pytest.mark.parametrize("code", [2, 4, 6, 11])
async def test_a_chain_ends_where_there_are_no_registers_not_where_a_device_is_busy(code: int) -> None:
    """A device that boots would lose its battery until the next walk; one that fails for ever keeps what is before."""

    def refusing(device: Device, request: Request, payload: bytes | None) -> Sending:
        refused = bytes((request.pdu[0] | 0x80, code)) if request.address == 40070 else payload
        return honest(device, request, refused)

    words = {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 66}
    device = Device({1: Bank(holding=dict.fromkeys(range(40000, 40070), 0) | words)}, fault=refusing)
    async with tcp_device(device) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        if code == 11:
            with pytest.raises(DeviceRefused, match="gateway target"):
                await discover(bus, 1)
            return
        found = await discover(bus, 1)
    assert found is not None and [model.model_id for model in found.models] == [1]
    if code == 2:
        assert found.unread is None, "there the chain ends"
    else:
        assert found.unread is not None
        assert (found.unread.address, found.unread.exception_code) == (40070, code)
