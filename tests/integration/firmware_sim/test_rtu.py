"""Serial lines: foreign clients on a pseudo-terminal, and what a line does to frames."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceRTU

from firmware_sim.bank import Bank
from firmware_sim.driver import Driver
from firmware_sim.fault_rules import FaultKind, FaultRule
from firmware_sim.faults import FaultyWire
from firmware_sim.installation import device_banks
from firmware_sim.plant import Plant
from firmware_sim.plant_config import DeviceConfig, DeviceKind, LoadConfig, PlantConfig, PlantSite
from firmware_sim.rtu import Pace, PtyServer, RtuLine, RtuTcpServer, crc16
from tests.support.modbus.simulator import SAFETY_S, ManualClock, read_request

PLANT = PlantConfig(
    sites=(
        PlantSite(
            id="home",
            load=LoadConfig(base_w=1_234),
            devices=(
                DeviceConfig(id="one", kind=DeviceKind.SDM630, unit=1),
                DeviceConfig(id="two", kind=DeviceKind.SUNSPEC_METER, unit=2),
            ),
        ),
    )
)


def units() -> dict[int, Bank]:
    """Return two meters by unit id."""
    clock = ManualClock()
    plant = Plant(PLANT, started_at=clock.now(), now_s=clock.monotonic())
    return {device.unit: bank for _, device, bank in device_banks(plant, Driver(plant, clock))}


@pytest.fixture
async def pty_path() -> AsyncIterator[str]:
    """Serve both meters on a line of 115200 baud."""
    server = PtyServer(units(), pace=Pace(baud=115_200, turnaround_s=0.001))
    try:
        yield await server.start()
    finally:
        await server.stop()


async def test_pymodbus_reads_two_units_of_one_line(pty_path: str) -> None:
    """The gateway's own library, on what looks like a USB adapter."""
    client = AsyncModbusSerialClient(pty_path, baudrate=115_200, retries=0, timeout=SAFETY_S)
    assert await client.connect()
    try:
        answer = await client.read_input_registers(52, count=2, device_id=1)
        assert client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32) == pytest.approx(1_234)
        answer = await client.read_holding_registers(40_000, count=2, device_id=2)
        assert answer.registers == [0x5375, 0x6E53]
    finally:
        client.close()


async def test_mbpoll_reads_the_line(pty_path: str) -> None:
    """libmodbus checks our checksum."""
    process = await asyncio.create_subprocess_exec(
        *("mbpoll", "-m", "rtu", "-b", "115200", "-P", "none", "-a", "1", "-t", "3:float", "-B"),
        *("-r", "53", "-c", "1", "-1", pty_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SAFETY_S):
        out, _ = await process.communicate()
    value = re.search(rb"\[53\]:\s+([\d.]+)", out)
    assert value is not None, out.decode()
    assert float(value[1]) == pytest.approx(1_234)


def walk(path: str) -> list[int]:
    """Return the SunSpec models that pysunspec2 finds on a line."""
    device = SunSpecModbusClientDeviceRTU(slave_id=2, name=path, baudrate=115_200, parity="N", timeout=60)
    try:
        device.scan()
        return [model for model in device.models if isinstance(model, int)]
    finally:
        device.close()


async def test_pysunspec2_walks_the_line(pty_path: str) -> None:
    """The reference client of SunSpec is content over serial lines too."""
    async with asyncio.timeout(SAFETY_S):
        assert await asyncio.to_thread(walk, pty_path) == [1, 203]


async def test_serial_frames_travel_over_tcp_too() -> None:
    """Transparent serial servers are common where the inverter hangs far from the gateway."""
    server = RtuTcpServer(units())
    port = await server.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=FramerType.RTU, retries=0, timeout=SAFETY_S)
    try:
        assert await client.connect()
        answer = await client.read_holding_registers(40_000, count=2, device_id=2)
        assert answer.registers == [0x5375, 0x6E53]
    finally:
        client.close()
        await server.stop()


def request(unit: int, pdu: bytes) -> bytes:
    """Return a serial frame."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def line(wire: FaultyWire | None = None) -> tuple[RtuLine, list[bytes]]:
    """Return an unpaced line and what it answers."""
    sent: list[bytes] = []
    return RtuLine(units(), write=sent.append, pace=None, wire=wire), sent


async def test_noise_costs_a_frame_and_no_more() -> None:
    """A line must find its step again by itself."""
    rtu, sent = line()
    good = request(2, read_request(40_000, 2))
    rtu.feed(b"\x00\xff\x17" + good)
    assert sent == [request(2, b"\x03\x04SunS")]
    rtu.feed(good[:-1] + b"\x00")
    rtu.feed(good)
    assert sent == [request(2, b"\x03\x04SunS")] * 2


async def test_a_frame_may_come_byte_by_byte() -> None:
    """Adapters deliver as they like."""
    rtu, sent = line()
    for byte in request(2, read_request(40_000, 2)):
        rtu.feed(bytes((byte,)))
    assert sent == [request(2, b"\x03\x04SunS")]


async def test_other_units_and_broadcasts_are_not_answered() -> None:
    """Two devices that answer at once are a collision."""
    rtu, sent = line()
    rtu.feed(request(9, read_request(40_000, 2)))
    rtu.feed(request(0, read_request(40_000, 2)))
    assert sent == []
    assert rtu.requests == 2


async def test_faults_reach_serial_lines_too() -> None:
    """Quarantine on a line without transaction ids is what they are for."""
    wire = FaultyWire((FaultRule(kind=FaultKind.WRONG_UNIT, count_max=1),), seed=1, clock=ManualClock())
    rtu, sent = line(wire=wire)
    good = request(2, read_request(40_000, 2))
    rtu.feed(good)
    rtu.feed(good)
    assert sent == [request(3, b"\x03\x04SunS"), request(2, b"\x03\x04SunS")]


async def test_an_answer_never_comes_before_the_line_could_have_brought_it() -> None:
    """A pseudo-terminal is infinitely fast; a poller tuned on it would miss every deadline on copper."""
    pace = Pace(baud=2_400, bits_per_character=11, turnaround_s=0.01)
    loop = asyncio.get_running_loop()
    came_at: asyncio.Future[float] = loop.create_future()
    rtu = RtuLine(units(), write=lambda _: came_at.set_result(loop.time()), pace=pace)
    asked_at = loop.time()
    rtu.feed(request(2, read_request(40_000, 2)))
    async with asyncio.timeout(SAFETY_S):
        took_s = await came_at - asked_at
    assert took_s >= pace.line_s(8) + pace.silent_s + pace.turnaround_s + pace.line_s(9) - 0.001


def test_the_checksum_is_the_standards() -> None:
    """Source: MODBUS over Serial Line 1.02, appendix B: 02 07 gives 41 12."""
    assert crc16(b"\x02\x07").to_bytes(2, "little") == b"\x41\x12"
    assert crc16(b"\x02\x07\x41\x12") == 0


def test_line_times_follow_the_standard() -> None:
    """3.5 characters below 19200 baud, 1.75 ms above."""
    assert Pace(baud=9_600).silent_s == pytest.approx(3.5 * 10 / 9_600)
    assert Pace(baud=115_200).silent_s == 0.00175
    assert Pace(baud=9_600, bits_per_character=11).line_s(8) == pytest.approx(88 / 9_600)
