"""A tool's conversation with a device that does not do what it was told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.devices import scan, session
from edge.devices.catalogue import load_profile
from edge.devices.session import Session, open_session
from edge.errors import ConfigError, ValueRefused
from edge.modbus import bus as bus_module
from edge.modbus.url import parse_url
from tests.support.modbus.server import WRITES, Bank, Device, Fault, Request, Sending, honest, pty_device, tcp_device

PROFILE = "victron_gx_system"
POINT, ADDRESS = "ess_setpoint", 2700


@asynccontextmanager
async def device(*, holds: int = 100, fault: Fault | None = None) -> AsyncIterator[tuple[Session, dict[int, int]]]:
    """Serve a setpoint's register and yield a session with it, and the registers."""
    profile = load_profile(PROFILE)
    assert profile.points[POINT].address == ADDRESS
    bank = Bank(holding={ADDRESS: holds, ADDRESS + 1: 0})
    async with (
        tcp_device(Device({100: bank}, fault=fault)) as port,
        open_session(profile, f"tcp://127.0.0.1:{port}?unit=100") as opened,
    ):
        yield opened, bank.holding


def writes_lost(device: Device, request: Request, payload: bytes | None) -> Sending:
    """Do what is written and say nothing."""
    return [] if request.pdu[0] in WRITES else honest(device, request, payload)


def stopped() -> asyncio.Event:
    """Return what ends a lease at once."""
    event = asyncio.Event()
    event.set()
    return event


async def test_a_write_whose_answer_is_lost_is_read_back() -> None:
    """The lost answer says nothing; what the device holds says that it was done."""
    async with device(fault=writes_lost) as (opened, registers):
        written = await opened.write(POINT, -500)
        assert written.equal and registers[ADDRESS] == 0x10000 - 500


async def test_the_old_words_go_back_when_a_lease_is_stopped() -> None:
    """An installer who is called away leaves the device as he found it."""
    seen: list[int] = []
    async with device(holds=0x10000 - 40) as (opened, registers):
        lent = await opened.lend(
            POINT, 800, lease_s=60, stopped=stopped(), on_written=lambda _: seen.append(registers[ADDRESS])
        )
        assert lent.written.equal and lent.restored
        assert seen == [800] and registers[ADDRESS] == 0x10000 - 40


async def test_what_cannot_be_put_back_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that takes a value once and never again keeps it: he must know."""
    monkeypatch.setattr(session, "PUT_BACK_TRIES", 2)
    monkeypatch.setattr(session, "PUT_BACK_WAIT_S", 0.0)
    monkeypatch.setattr(session, "READ_BACK_WAIT_S", 0.0)

    def once(device: Device, request: Request, payload: bytes | None) -> Sending:
        if request.pdu[0] in WRITES and device.units[100].holding[ADDRESS] != 800:
            device.units[100].holding[ADDRESS] = 800
        return honest(device, request, payload)

    async with device(fault=once) as (opened, registers):
        lent = await opened.lend(POINT, 800, lease_s=60, stopped=stopped())
        assert lent.written.equal and not lent.restored and registers[ADDRESS] == 800


async def test_what_does_not_fit_is_refused_before_a_lease_begins() -> None:
    """Nothing is written, so nothing needs to be put back."""
    async with device() as (opened, registers):
        with pytest.raises(ValueRefused):
            await opened.lend(POINT, 40_000, lease_s=60, stopped=stopped())
        with pytest.raises(ConfigError, match="no point"):
            await opened.lend("nothing", 1, lease_s=60, stopped=stopped())
        assert registers[ADDRESS] == 100


async def test_a_device_that_takes_no_single_registers_is_written_to() -> None:
    """Deye's inverters take function 16 only; the profile says so."""
    functions: list[int] = []

    def no_single(device: Device, request: Request, payload: bytes | None) -> Sending:
        functions.append(request.pdu[0])
        refused = bytes((request.pdu[0] | 0x80, 1)) if request.pdu[0] == 6 else payload
        return honest(device, request, refused)

    profile = load_profile("deye_sg0x_lp3")
    bank = Bank(holding=dict.fromkeys(range(800), 0))
    async with (
        tcp_device(Device({1: bank}, fault=no_single)) as port,
        open_session(profile, f"tcp://127.0.0.1:{port}?unit=1") as opened,
    ):
        written = await opened.write("max_charge_current", 25)
        assert written.equal and bank.holding[profile.points["max_charge_current"].address or 0] == 25
    assert 16 in functions and 6 not in functions


async def test_a_scan_of_a_line_asks_every_unit_however_many_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is opened anew after many losses is not a port that is gone."""
    monkeypatch.setattr(bus_module, "SERIAL_TIMEOUTS_UNTIL_CLOSE", 1)
    asked: list[int] = []
    async with pty_device(Device({9: Bank(holding={0: 1})})) as path:
        endpoint = parse_url(f"rtu://{path}?baud=19200")
        found = [
            one.url async for one in scan.scan_bus(endpoint, units=(8, 9), on_unit=lambda _, unit: asked.append(unit))
        ]
    assert found == [f"rtu://{path}?baud=19200&parity=N&unit=9"] and asked == [8, 9]
