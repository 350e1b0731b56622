"""What the control loop may count on: the device that its tests use keeps the promises of one on a real socket."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from contracts.units import Quality
from edge.control.model import Capability
from edge.devices.opening import open_devices
from edge.devices.recipes import Lever
from edge.devices.site_device import SteeredDevice
from edge.errors import DeviceSilent, ValueRefused
from tests.support.manual_clock import ManualClock
from tests.support.modbus.devices import fast_clock, home, hybrid
from tests.support.modbus.wait import until
from tests.support.rigs.edge_parts import NOON, fake_site

LIMIT, BATTERY = Capability.LIMIT_GENERATION, Capability.BATTERY_POWER


@dataclass(frozen=True, kw_only=True)
class Steered:
    """A hybrid inverter at work, and how to make it fall silent."""

    device: SteeredDevice
    fall_silent: Callable[[], Awaitable[None]]


@asynccontextmanager
async def _fake() -> AsyncIterator[Steered]:
    inverter = fake_site(ManualClock(NOON))["inverter"]

    async def fall_silent() -> None:
        inverter.online = False

    yield Steered(device=inverter, fall_silent=fall_silent)


@asynccontextmanager
async def _real() -> AsyncIterator[Steered]:
    clock = fast_clock()
    async with contextlib.AsyncExitStack() as served:
        _, urls = await served.enter_async_context(home(clock))
        async with open_devices([hybrid(urls["fronius"], profile="fronius_gen24_int")], clock=clock) as devices:
            inverter = devices["inverter"]
            await until(lambda: inverter.health.online and "soc_pct" in inverter.snapshot())

            async def fall_silent() -> None:
                await served.aclose()
                await until(lambda: not inverter.health.online)

            yield Steered(device=inverter, fall_silent=fall_silent)


@pytest.fixture(params=[_fake, _real], ids=["the loop's tests", "a real socket"])
async def steered(request: pytest.FixtureRequest) -> AsyncIterator[Steered]:
    """Return each of the two."""
    async with request.param() as made:
        yield made


async def test_a_lever_is_brought_to_a_value_and_proven(steered: Steered) -> None:
    """The loop counts a setpoint as held once the device says so, under the names of its points."""
    device = steered.device
    assert device.capabilities == {LIMIT, BATTERY}
    applied = await device.apply(BATTERY, 2_000, revert_s=90)
    assert applied.ok and applied.wrote and applied.value_w == applied.held_w == 2_000
    assert applied.readback and all(name.startswith(f"{device.id}/") for name in applied.readback)
    assert not device.drifted(BATTERY)


async def test_what_is_in_place_is_not_written_again(steered: Steered) -> None:
    """A cycle asks the same each second; a write each second would wear a memory out."""
    await steered.device.apply(LIMIT, 2_000, revert_s=90)
    again = await steered.device.apply(LIMIT, 2_000, revert_s=90, refresh=False)
    assert again.ok and not again.wrote and again.held_w == 2_000


async def test_what_was_ours_is_taken_away(steered: Steered) -> None:
    """None is no value to hold: the answer names none."""
    await steered.device.apply(LIMIT, 2_000, revert_s=90)
    freed = await steered.device.apply(LIMIT, None, revert_s=90)
    assert freed.ok and freed.wrote and freed.value_w is None
    assert not steered.device.drifted(LIMIT) and not steered.device.leftovers


async def test_a_lever_that_it_does_not_have_is_refused(steered: Steered) -> None:
    """The loop says which lever cannot be written; an error of another kind would end its task."""
    with pytest.raises(ValueRefused, match="cannot be told switch"):
        await steered.device.apply(Lever.SWITCH, 1, revert_s=90)


async def test_readings_are_numbers_of_good_quality_in_our_names(steered: Steered) -> None:
    """The snapshot is built from these names, each of an instant of the clock that control runs by."""
    readings = steered.device.snapshot()
    assert {"active_power_w", "battery_power_w", "pv_power_w", "soc_pct"} <= readings.keys()
    for name in ("active_power_w", "soc_pct"):
        assert isinstance(readings[name].value, int | float) and readings[name].quality is Quality.GOOD


async def test_volatile_memory_sets_no_pace(steered: Steered) -> None:
    """The hybrid keeps its setpoints in RAM: a cycle may write each."""
    assert steered.device.wear_period_s(BATTERY) == 0.0
    steered.device.attend()


async def test_a_silent_device_says_so(steered: Steered) -> None:
    """What it holds is unknown then, so the loop counts it at its worst."""
    await steered.fall_silent()
    assert not steered.device.health.online
    with pytest.raises(DeviceSilent):
        await steered.device.apply(BATTERY, 1_000, revert_s=90)
