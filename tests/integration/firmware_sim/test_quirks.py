"""Every quirk that the simulator knows, met by the gateway's own bus on a real socket."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.clock import Clock, SystemClock
from edge.devices.identify import identify
from edge.devices.scan import scan_bus
from edge.errors import DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.faults import Fault, NoReply
from edge.modbus.point import LinkLimits, Table
from edge.modbus.url import parse_url
from firmware_sim.bank import NoBits
from firmware_sim.bank import Table as SimTable
from firmware_sim.errors import ExceptionCode, ModbusRefused, PlantError
from firmware_sim.faults import FaultyWire
from firmware_sim.quirks import QUIRKS, quirk_rules
from firmware_sim.rtu import RtuTcpServer
from firmware_sim.server import ModbusServer
from sitewatt.commands import sim
from tests.support.manual_clock import ManualClock

REGISTERS = {at: at for at in range(100)}


class Words(NoBits):
    """Holding registers that keep what is written."""

    def __init__(self, registers: Mapping[int, int]) -> None:
        self.registers = dict(registers)

    def read_registers(self, table: SimTable, address: int, count: int) -> bytes:
        """Return registers, or refuse what is not there."""
        if table is not SimTable.HOLDING or any(at not in self.registers for at in range(address, address + count)):
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        return b"".join(self.registers[at].to_bytes(2, "big") for at in range(address, address + count))

    def write_registers(self, address: int, data: bytes) -> None:
        """Keep registers."""
        for number in range(len(data) // 2):
            self.registers[address + number] = int.from_bytes(data[2 * number : 2 * number + 2], "big")

    def reset(self) -> None:
        """Keep everything."""


@asynccontextmanager
async def device(*quirks: str, is_rtu: bool = False, clock: Clock | None = None) -> AsyncIterator[str]:
    """Serve registers with quirks and yield the url of unit 1."""
    wire = FaultyWire(quirk_rules(quirks), seed=1, clock=clock or SystemClock())
    units = {1: Words(REGISTERS)}
    server = RtuTcpServer(units, wire=wire) if is_rtu else ModbusServer(units, wire=wire)
    port = await server.start()
    try:
        yield f"{'rtuovertcp' if is_rtu else 'tcp'}://127.0.0.1:{port}?unit=1"
    finally:
        await server.stop()


async def read(bus: Bus, address: int = 10, count: int = 2, *, unit: int = 1) -> tuple[int, ...]:
    """Read holding registers."""
    return await bus.read(unit, Table.HOLDING, address, count)


@pytest.mark.parametrize(
    "quirk", ["unit_reply=0", "unit_reply=255", "close_each", "exc_first=1:6", "zero_after=0:50-60:99"]
)
async def test_what_the_gateway_bears_is_read_as_if_nothing_was(quirk: str) -> None:
    """A bridge that forgets the unit, a connection for each answer, a device that was busy, zeros elsewhere."""
    async with device(quirk) as url, Bus(url) as bus:
        for _ in range(3):
            assert await read(bus) == (10, 11)


async def test_a_line_that_echoes_is_read() -> None:
    """A half-duplex adapter hears itself."""
    async with device("echo", is_rtu=True) as url, Bus(url) as bus:
        assert await read(bus) == (10, 11)


async def test_any_unit_is_one_device_to_a_scan() -> None:
    """The simulator's own and the tests' agree about the habit."""
    async with device("any_unit") as url:
        found = [one async for one in scan_bus(parse_url(url), units=(1, 2, 3))]
    assert [(one.url, one.ignores_unit) for one in found] == [(url, True)]


async def test_deaf_and_impatient_connections() -> None:
    """The first request of a connection is lost; one on which nothing comes is closed."""
    async with device("deaf_after_connect=0.2") as url, Bus(url) as bus:
        assert await read(bus) == (10, 11), "the repetition is heard"
    async with device("close_unless=0.2") as url, Bus(url) as bus:
        bus.unit(1, limits=LinkLimits(delay_after_connect_s=0.6))
        assert await read(bus) == (10, 11) and bus.connects == 2


@pytest.mark.parametrize(("quirk", "code"), [("exc=4@10-10", 4), ("exc=11", 11), ("max=1", 3), ("exc_first=9:10", 10)])
async def test_refusals_carry_their_code(quirk: str, code: int) -> None:
    """All reads, those of some registers, the first ones, those that are too long."""
    async with device(quirk) as url, Bus(url) as bus:
        with pytest.raises(DeviceRefused) as refused:
            await read(bus)
        assert refused.value.exception_code == code
        if "@" in quirk:
            assert await read(bus, 20) == (20, 21)


@pytest.mark.parametrize(
    ("quirk", "fault"), [("short", Fault.LENGTH), ("silent=11-11", Fault.TIMEOUT), ("unit_reply=9", Fault.MISMATCH)]
)
async def test_what_is_no_answer_is_none(quirk: str, fault: Fault) -> None:
    """A register fewer, silence, another unit's name."""
    async with device(quirk) as url, Bus(url) as bus:
        with pytest.raises(NoReply) as lost:
            await read(bus)
        assert lost.value.fault is fault


async def test_an_answer_with_the_id_before_is_not_taken() -> None:
    """It could be the answer to anything."""
    async with device("tid_before") as url, Bus(url) as bus:
        with pytest.raises(NoReply):
            await read(bus)


async def test_registers_that_change_by_the_clock_change_and_come_back() -> None:
    """A word order that is told wrong at first, a counter that is zero while it wakes up."""
    clock = ManualClock()
    async with device("set_at=5:10=7:10", "zero_after=5:20-21:10", clock=clock) as url, Bus(url) as bus:
        for seconds, changed in ((4.0, False), (2.0, True), (10.0, False)):
            clock.advance(seconds)
            assert await read(bus) == ((7, 11) if changed else (10, 11))
            assert await read(bus, 20) == ((0, 0) if changed else (20, 21))


async def test_writes_that_are_refused_or_not_kept() -> None:
    """Neither touches another register."""
    async with device("wexc=4@10-12", "sticky=20-21") as url, Bus(url) as bus:
        with pytest.raises(DeviceRefused, match="exception 4"):
            await bus.write(1, Table.HOLDING, 10, (1,))
        await bus.write(1, Table.HOLDING, 20, (1, 2))
        await bus.write(1, Table.HOLDING, 30, (1,))
        assert (await read(bus), await read(bus, 20), await read(bus, 30)) == ((10, 11), (20, 21), (1, 31))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deaf", "no quirk is called 'deaf'; there are unit_reply, any_unit"),
        ("any_unit=3", "'any_unit=3' is written any_unit"),
        ("exc", "'exc' is written exc=CODE"),
        ("exc=77", "'exc=77' is written exc=CODE"),
        ("unit_reply=256", "less than or equal to 255"),
        ("set_at=5", "is written set_at=S:ADDRESS=VALUE:L"),
    ],
)
def test_a_quirk_that_cannot_be_is_refused_with_its_form(text: str, said: str) -> None:
    """A slip of the pen must not serve a healthy device."""
    with pytest.raises(PlantError, match=said):
        quirk_rules([text])


def test_the_command_names_them_all() -> None:
    """Whoever tries a gateway against habits looks here first."""
    told = CliRunner().invoke(sim.app, ["device", "--quirk", "list"])
    assert told.exit_code == 0 and all(quirk.form in told.output for quirk in QUIRKS.values())
    refused = CliRunner().invoke(sim.app, ["replay", "nothing.json", "--quirk", "odd"])
    assert refused.exit_code == 2 and "no quirk is called 'odd'" in refused.stderr


async def test_a_dump_is_replayed_with_a_habit(tmp_path: Path) -> None:
    """What was read from a device on a roof misbehaves on the bench as it did there."""
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"holding": {str(at): 0 for at in range(10)}}))
    command = ("-m", "sitewatt", "sim", "replay", str(dump), "--quirk", "exc=11", "--json")
    child = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout is not None
        said = json.loads(await asyncio.wait_for(child.stdout.readline(), 60))
        with pytest.raises(DeviceRefused, match="gateway target does not answer"):
            await identify(said["url"], ("eastron_sdm630",))
    finally:
        child.terminate()
        await child.wait()
