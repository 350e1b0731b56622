"""Modbus ASCII, as the ABL wallbox speaks it, and a device whose first frame only wakes it."""

import asyncio

import pytest

from contracts.clock import SystemClock
from edge.devices.catalogue import load_profile
from edge.devices.device import Device as ProfiledDevice
from edge.errors import DeviceRefused
from edge.modbus import bus as bus_module
from edge.modbus import unit as unit_module
from edge.modbus.bus import Bus
from edge.modbus.point import LinkLimits, Table
from tests.support.modbus.ascii import ascii_device
from tests.support.modbus.server import Bank, Device
from tests.support.modbus.wait import until

SLEEPS_AFTER_S = 0.15


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is slower than the shortest time-out."""
    monkeypatch.setattr(unit_module, "TIMEOUT_S_MIN", 0.1)
    monkeypatch.setattr(bus_module, "WAKE_S", 0.03)


def bank() -> Bank:
    """Return the registers of a box that is plugged in and may charge."""
    return Bank(holding={1: 0x0123, 4: 0xB1B1, 5: 0xA1A1, 20: 266, **{at: at for at in range(100, 230)}})


async def test_ascii_frames_are_read_written_and_refused() -> None:
    """Two characters a byte, a checksum of another kind, and the longest read still fits."""
    async with ascii_device(Device({1: bank()})) as path, Bus(f"ascii://{path}?baud=38400&parity=N") as bus:
        assert await bus.read(1, Table.HOLDING, 4, 1) == (0xB1B1,)
        assert await bus.read(1, Table.HOLDING, 100, 120) == tuple(range(100, 220))
        await bus.write(1, Table.HOLDING, 20, (133,), function=16)
        assert await bus.read(1, Table.HOLDING, 20, 1) == (133,)
        with pytest.raises(DeviceRefused):
            await bus.read(1, Table.HOLDING, 2, 1)


async def test_a_device_that_sleeps_answers_because_every_request_is_sent_twice() -> None:
    """The first frame after idle is lost by design, which is no reason to call the box silent."""
    device = Device({1: bank()})
    async with (
        ascii_device(device, sleeps_after_s=SLEEPS_AFTER_S) as path,
        Bus(f"ascii://{path}?baud=38400&parity=N") as bus,
    ):
        bus.unit(1, limits=LinkLimits(wake_up=True))
        for current in (133, 266):
            await asyncio.sleep(2 * SLEEPS_AFTER_S)
            await bus.write(1, Table.HOLDING, 20, (current,))
            assert await bus.read(1, Table.HOLDING, 20, 1) == (current,)
        assert bus.unit(1).counts.faults == {}


async def test_the_profile_of_the_abl_box_reads_one_that_sleeps() -> None:
    """What the profile says of framing and sleep is enough to read it without a loss."""
    device = Device({1: bank()})
    async with (
        ascii_device(device, sleeps_after_s=SLEEPS_AFTER_S) as path,
        Bus(f"ascii://{path}?baud=38400&parity=N") as bus,
    ):
        box = ProfiledDevice(id="box", profile=load_profile("abl_emh1"), bus=bus, unit=1, clock=SystemClock())
        task = asyncio.create_task(box.run(), name="read box")
        try:
            await until(lambda: {"ev_state", "ev_max_current_duty"} <= box.snapshot().keys())
            assert box.snapshot()["ev_state"].value == 0xB1B1
            assert box.health.online
            assert not bus.unit(1).counts.faults
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
