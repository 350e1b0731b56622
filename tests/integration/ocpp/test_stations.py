"""A station that speaks OCPP is a device like the others: it measures, is limited, and lets go by itself.

Time stands while a test looks, and goes on only while it waits.
"""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.units import Quality
from edge.control.model import Capability
from edge.devices.charging_station import ENERGY, POWER, SESSION, STATE
from edge.errors import DeviceRefused, DeviceSilent, ValueRefused
from edge.ocpp.settings import Version
from edge.state_store import VolatileStateStore
from firmware_sim.station import ChargingStation, StationConfig
from tests.support.manual_clock import ManualClock
from tests.support.rigs.stations import PASSWORD, Bench, bench, calling, section, until

LIMIT = Capability.LIMIT_CONSUMPTION
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
AT_6_A = 6 * 3 * 230.0


def _station(place: Bench, version: str, **about: Any) -> StationConfig:
    return StationConfig(url=place.url, name="CP1", password=PASSWORD, version=version, **about)


def _holds(station: ChargingStation, current_a: float, of: str) -> bool:
    """Say whether a station holds a limit, and of which profile it is."""
    limit_a, said = station.limit()
    return abs(limit_a - current_a) < 0.01 and said == of


def _good(place: Bench, name: str) -> Any:
    reading = place.devices["wallbox"].snapshot().get(name)
    return reading.value if reading is not None and reading.quality is Quality.GOOD else None


@BOTH
async def test_a_limit_reaches_the_car_ends_by_itself_and_a_new_gateway_goes_on(version: str, tmp_path: Path) -> None:
    """The whole way of a limit, over the death of the gateway that gave it."""
    clock, memory = ManualClock(), VolatileStateStore()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(bench([section(tmp_path)], clock, memory=memory))
        device = first.devices["wallbox"]
        station = await stack.enter_async_context(calling(_station(first, version), clock))
        await until(lambda: device.health.online, "the station is ready", clock=clock)
        await until(lambda: station.transaction is not None, "a transaction runs", clock=clock)
        assert station.limit() == (6.0, "TxDefaultProfile level 0")
        await until(lambda: _good(first, POWER) == AT_6_A, "the power at the fallback is read", clock=clock)
        await until(lambda: _good(first, STATE) == "C", "it is seen to charge", clock=clock)
        assert _good(first, ENERGY) >= 1_000 and _good(first, "voltage_l1_v") in (None, 230.0)

        applied = await device.apply(LIMIT, 7_000.0, revert_s=90.0)
        assert applied.ok and applied.wrote and applied.held_w == pytest.approx(10.1 * 690)
        assert applied.readback == {"wallbox/charging_profile_a": pytest.approx(10.1)}
        assert _holds(station, 10.1, "TxProfile level 1")
        again = await device.apply(LIMIT, 7_000.0, revert_s=90.0)
        assert again.ok and not again.wrote and again.detail == "in place"
        await until(lambda: _good(first, POWER) == pytest.approx(10.1 * 690, abs=1), "it is seen", clock=clock)

        # The gateway dies: its socket is closed, nothing is taken back.
        await first.die()
        await until(lambda: not station.state()["connected"], "the station is alone")
        assert _holds(station, 10.1, "TxProfile level 1")
        await until(lambda: station.limit() == (6.0, "TxDefaultProfile level 0"), "the lease ends", clock=clock)
        assert station.transaction is not None

        second = await stack.enter_async_context(bench([section(tmp_path)], clock, memory=memory, port=first.port))
        device = second.devices["wallbox"]
        assert device.health.stage == "waiting"
        await until(lambda: device.health.online, "the station has called again", clock=clock)
        assert (await device.apply(LIMIT, 5_000.0, revert_s=90.0)).ok
        assert _holds(station, 7.2, "TxProfile level 1"), "its transaction is known"
        await until(lambda: _good(second, SESSION) is not None, "the car's energy is known", clock=clock)


@BOTH
async def test_a_car_that_comes_begins_with_the_limit(version: str, tmp_path: Path) -> None:
    """A lease that is given while no car is there holds for the one that plugs in."""
    clock = ManualClock()
    async with bench([section(tmp_path)], clock) as place:
        config = _station(place, version, plugged=False)
        async with calling(config, clock) as station:
            device = place.devices["wallbox"]
            await until(lambda: _good(place, STATE) == "A", "no car is seen", clock=clock)
            assert device.snapshot()[POWER].value == 0.0
            assert (await device.apply(LIMIT, 0.0, revert_s=3_600.0)).ok
            assert station.limit() == (0.0, "TxDefaultProfile level 1")
            station.plugged = True
            await until(lambda: _good(place, STATE) == "B" and station.transaction is not None, "it waits", clock=clock)
            assert station.current_a == 0.0
            assert (await device.apply(LIMIT, None, revert_s=3_600.0)).ok
            await until(lambda: station.current_a == 16.0, "it may have all", clock=clock)
            station.plugged = False
            await until(lambda: _good(place, STATE) == "A" and station.transaction is None, "it has gone", clock=clock)
            assert SESSION not in device.snapshot()


@BOTH
async def test_a_refused_limit_is_tried_three_times_and_said(version: str, tmp_path: Path) -> None:
    """A station that takes no profiles must be told of, not hammered."""
    clock = ManualClock()
    async with bench([section(tmp_path)], clock) as place, calling(_station(place, version), clock) as station:
        device = place.devices["wallbox"]
        await until(lambda: device.health.online, "the station is ready", clock=clock)
        station.config = replace(station.config, refuses_profiles=True)
        for _ in range(3):
            with pytest.raises(DeviceRefused, match="SetChargingProfile was answered Rejected"):
                await device.apply(LIMIT, 5_000.0, revert_s=90.0)
        with pytest.raises(ValueRefused, match="tried 3 times") as refusal:
            await device.apply(LIMIT, 5_000.0, revert_s=90.0)
        assert refusal.value.code == "refused"


@BOTH
async def test_a_limit_that_cannot_be_read_back_is_still_a_limit(version: str, tmp_path: Path) -> None:
    """Many stations do not know GetCompositeSchedule."""
    clock = ManualClock()
    async with bench([section(tmp_path)], clock) as place:
        config = _station(place, version, no_composite=True)
        async with calling(config, clock) as station:
            device = place.devices["wallbox"]
            await until(lambda: device.health.online, "the station is ready", clock=clock)
            applied = await device.apply(LIMIT, 4_140.0, revert_s=90.0)
            assert applied.ok and applied.detail == "cannot be read back" and station.limit()[0] == 6.0
            assert (await device.apply(LIMIT, 4_000.0, revert_s=90.0)).held_w == 0.0, "below 6 A a car is paused"
            assert station.limit()[0] == 0.0


async def test_a_lease_is_renewed_only_behind_a_fresh_cycle(tmp_path: Path) -> None:
    """A control loop that hangs, or sees nothing, lets go of the station by doing nothing."""
    clock = ManualClock()
    async with bench([section(tmp_path)], clock) as place, calling(_station(place, "1.6"), clock) as station:
        device = place.devices["wallbox"]
        await until(lambda: device.health.online and station.transaction is not None, "it charges", clock=clock)
        await until(lambda: device.snapshot()[STATE].value == "C", "its transaction is known", clock=clock)
        assert (await device.apply(LIMIT, 7_000.0, revert_s=90.0)).wrote
        clock.advance(31.0)
        assert not (await device.apply(LIMIT, 7_000.0, revert_s=90.0, refresh=False)).wrote
        assert (await device.apply(LIMIT, 7_000.0, revert_s=90.0, refresh=True)).wrote
        assert (await device.apply(LIMIT, 7_000.0, revert_s=20.0)).wrote, "the order ends before the lease"


async def test_a_voltage_that_moves_does_not_move_the_limit(tmp_path: Path) -> None:
    """A station that is told anew each second keeps nothing else to do, and some write what they are told to flash."""
    clock = ManualClock()
    async with bench([section(tmp_path)], clock) as place, calling(_station(place, "1.6"), clock) as station:
        device = place.devices["wallbox"]
        await until(lambda: _good(place, "voltage_l1_v") == 230.0, "the voltage is read", clock=clock)
        await until(lambda: _good(place, STATE) == "C", "it charges", clock=clock)
        assert (await device.apply(LIMIT, 7_000.0, revert_s=90.0)).wrote
        for volts, wrote in ((231.0, False), (228.0, False), (207.0, True)):
            station.voltage_v = volts
            clock.advance(10.0)
            await until(lambda told=volts: _good(place, "voltage_l1_v") == told, "it is read", clock=clock)  # type: ignore[misc]
            assert (await device.apply(LIMIT, 7_000.0, revert_s=90.0, refresh=False)).wrote is wrote, volts


async def test_a_station_that_is_not_there_is_silent(tmp_path: Path) -> None:
    """What a device holds that does not answer is unknown."""
    async with bench([section(tmp_path, version=Version.V16)], ManualClock()) as place:
        device = place.devices["wallbox"]
        assert not device.health.online and device.snapshot() == {}
        with pytest.raises(DeviceSilent, match="not connected"):
            await device.apply(LIMIT, 5_000.0, revert_s=90.0)


@BOTH
async def test_a_car_that_waits_is_started_once_under_the_installers_name(version: str, tmp_path: Path) -> None:
    """A station that asks for a card charges by plan all the same."""
    clock = ManualClock()
    about = section(tmp_path, start_as="GATEWAY")
    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench([about], clock, id_tags=("04A1",)))
        station = await stack.enter_async_context(calling(_station(place, version, waits=True), clock))
        await until(lambda: station.transaction is not None, "its charge is started", clock=clock)
        await until(lambda: _good(place, STATE) == "C", "it is seen to charge", clock=clock)
        assert station.start_as == "GATEWAY" and place.devices["wallbox"].health.last_error is None
        assert len([action for action, _ in station.asked if action.endswith("StartTransaction")]) == 1


@BOTH
async def test_a_car_that_waits_is_left_to_its_owner_without_a_name(version: str, tmp_path: Path) -> None:
    """Who does not say as whom wants nobody's charge started."""
    clock = ManualClock()
    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench([section(tmp_path)], clock))
        station = await stack.enter_async_context(calling(_station(place, version, waits=True), clock))
        await until(lambda: _good(place, STATE) == "B", "the car is seen", clock=clock)
        assert (await place.devices["wallbox"].apply(LIMIT, 7_000.0, revert_s=90.0)).ok
        assert station.transaction is None
        assert not [action for action, _ in station.asked if action.endswith("StartTransaction")]


@BOTH
@pytest.mark.parametrize("can", [True, False])
async def test_a_power_too_small_for_three_phases_is_drawn_over_one(version: str, can: bool, tmp_path: Path) -> None:
    """A car charges with 2 kW of sun where its station can switch, and is paused where it says that it cannot."""
    clock, limit_a = ManualClock(), 8.6 if can else 0.0
    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench([section(tmp_path, switches_phases=True)], clock))
        config = _station(place, version, switches_phases=can)
        station = await stack.enter_async_context(calling(config, clock))
        device = place.devices["wallbox"]
        await until(lambda: _good(place, STATE) == "C", "it charges", clock=clock)
        applied = await device.apply(LIMIT, 2_000.0, revert_s=90.0)
        assert station.limit()[0] == 0.0 and station.phases == 3, "first a pause, then another number of phases"
        for _ in range(30):
            if applied.held_w == pytest.approx(limit_a * 230):
                break
            clock.advance(5.0)
            applied = await device.apply(LIMIT, 2_000.0, revert_s=90.0)
            assert station.limit()[0] * station.phases * 230 <= 2_000.0
        assert station.limit()[0] == pytest.approx(limit_a)
        assert applied.held_w == pytest.approx(limit_a * 230)
        assert station.phases == (1 if can else 3)
        if not can:
            return
        clock.advance(10.0)
        # Back to three only once the last change is long ago: each stops the car and wears a contactor.
        assert (await device.apply(LIMIT, 9_000.0, revert_s=90.0)).held_w == pytest.approx(16 * 230)
        clock.advance(301.0)
        applied = await device.apply(LIMIT, 9_000.0, revert_s=90.0)
        assert station.phases == 1 and station.limit()[0] == pytest.approx(13.0)
        for _ in range(30):
            if station.phases == 3:
                break
            clock.advance(5.0)
            applied = await device.apply(LIMIT, 9_000.0, revert_s=90.0)
        assert applied.held_w == pytest.approx(13.0 * 690)


@BOTH
async def test_a_surplus_that_changes_each_second_is_few_profiles(version: str, tmp_path: Path) -> None:
    """A station may keep each in flash: one rise in ten seconds, falls in whole amperes, and never more than asked."""
    clock = ManualClock()
    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench([section(tmp_path)], clock))
        station = await stack.enter_async_context(calling(_station(place, version), clock))
        device = place.devices["wallbox"]
        await until(lambda: _good(place, STATE) == "C", "it charges", clock=clock)
        wrote = 0
        for second in range(60):
            asked_w = 8_000.0 + 900.0 * ((second * 7) % 5 - 2)
            wrote += (await device.apply(LIMIT, asked_w, revert_s=90.0)).wrote
            assert station.limit()[0] * 690 <= asked_w + 1
            clock.advance(1.0)
        assert 6 <= wrote <= 30
        assert device.health.writes_today == {"SetChargingProfile": wrote}
