"""Devices of a site on real sockets: read in our signs, told what to do, let go when nobody asks any more."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.clock import Clock
from contracts.units import Quality
from edge.control.model import Capability
from edge.devices import device as device_module
from edge.devices.catalogue import load_profile
from edge.devices.device import Device
from edge.devices.opening import open_devices
from edge.devices.recipes import Lever
from edge.errors import ConfigError, DeviceError, DeviceSilent, ValueRefused
from edge.modbus.bus import Bus
from edge.modbus.point import Table
from edge.state_store import VolatileStateStore
from firmware_sim.plant_config import DeviceConfig, DeviceKind, Uncommanded
from tests.support.modbus.devices import Section, fast_clock, home, hybrid
from tests.support.modbus.server import Bank, Request, Sending, tcp_device
from tests.support.modbus.server import Device as Server
from tests.support.modbus.wait import until

SAFETY_S = 120.0
LIMIT, BATTERY = Capability.LIMIT_GENERATION, Capability.BATTERY_POWER


def value(device: Device, name: str) -> float:
    """Return a quantity that must be a good number by now."""
    reading = device.snapshot()[name]
    assert isinstance(reading.value, int | float) and reading.quality is Quality.GOOD
    return reading.value


def shows(device: Device, *names: str) -> bool:
    """Return whether quantities have good numbers."""
    seen = device.snapshot()
    return all(name in seen and seen[name].quality is Quality.GOOD for name in names)


@asynccontextmanager
async def site(
    *, memory: VolatileStateStore | None = None, profile: str = "fronius_gen24_int"
) -> AsyncIterator[tuple[Device, Device, Clock]]:
    """Open the hybrid and the meter of a home, once both have shown their powers."""
    clock = fast_clock()
    async with home(clock) as (_, urls):
        sections = [
            hybrid(urls["fronius"], profile=profile),
            Section(id="meter", profile="eastron_sdm630", url=urls["meter"], role="meter"),
        ]
        async with open_devices(sections, clock=clock, outbox=memory) as devices:
            inverter, meter = devices["inverter"], devices["meter"]
            await until(lambda: shows(inverter, "active_power_w", "soc_pct") and shows(meter, "active_power_w"))
            yield inverter, meter, clock


@pytest.mark.parametrize("profile", ["fronius_gen24_int", "sunspec_generic_int"])
async def test_powers_add_up_in_our_signs(profile: str) -> None:
    """Generation is negative, import positive, and the connection point is the sum of the assets."""
    async with site(profile=profile) as (inverter, meter, _):
        await until(lambda: shows(inverter, "pv_power_w"))
        assert value(inverter, "pv_power_w") < -1_000
        assert value(inverter, "active_power_w") < -1_000
        load_w = value(meter, "active_power_w") - value(inverter, "active_power_w")
        assert load_w == pytest.approx(1_000, abs=150)
        assert inverter.capabilities == {LIMIT, BATTERY} and not meter.capabilities
        assert not inverter.health.no_timer and value(meter, "voltage_l1_v") == pytest.approx(230, abs=15)


async def test_a_battery_setpoint_is_written_proven_and_seen() -> None:
    """Charging raises the power into the asset; the register read back says so before we do."""
    async with site() as (inverter, _, _):
        applied = await inverter.apply(BATTERY, 2_000, revert_s=90, refresh=True)
        assert applied.ok and applied.wrote and applied.readback["inverter/m124.OutWRte"] == -50
        await until(lambda: value(inverter, "battery_power_w") == pytest.approx(2_000, abs=30))
        applied = await inverter.apply(BATTERY, -1_500, revert_s=90, refresh=True)
        assert applied.ok
        await until(lambda: value(inverter, "battery_power_w") == pytest.approx(-1_500, abs=30))
        applied = await inverter.apply(BATTERY, None, revert_s=90, refresh=True)
        assert applied.ok and applied.readback["inverter/m124.StorCtl_Mod"] == 0
        await until(lambda: value(inverter, "battery_power_w") == pytest.approx(0, abs=30))


async def test_what_is_in_place_is_not_written_again() -> None:
    """The same setpoint a second time costs no request and no wear."""
    async with site() as (inverter, _, _):
        await inverter.apply(LIMIT, 2_000, revert_s=90, refresh=True)
        again = await inverter.apply(LIMIT, 2_010, revert_s=90, refresh=True)
        assert again.ok and not again.wrote and again.held_w == 2_000


@pytest.mark.parametrize("profile", ["fronius_gen24_int", "sunspec_generic_int"])
async def test_a_limit_that_falls_by_little_is_written(profile: str) -> None:
    """Half a percent of a solar farm is more than a home: a farm fed in 260 W above a limit of 0 W for as long as its
    cap fell by less."""
    async with site(profile=profile) as (inverter, _, _):
        for limit_w in (4_000, 3_990, 3_965, 3_960):
            applied = await inverter.apply(LIMIT, limit_w, revert_s=90, refresh=True)
            assert applied.ok and applied.wrote
            assert applied.held_w is not None and applied.held_w <= limit_w
        assert not (await inverter.apply(LIMIT, 3_970, revert_s=90, refresh=True)).wrote, "a small rise waits"


async def test_a_new_limit_of_a_latching_inverter_takes_effect() -> None:
    """Fronius ignores a new value while the limit is enabled; the driver toggles."""
    async with site() as (inverter, _, _):
        assert (await inverter.apply(LIMIT, 2_000, revert_s=90, refresh=True)).ok
        await until(lambda: value(inverter, "active_power_w") == pytest.approx(-2_000, abs=30))
        assert (await inverter.apply(LIMIT, 500, revert_s=90, refresh=True)).ok
        await until(lambda: value(inverter, "active_power_w") == pytest.approx(-500, abs=30))
        assert (await inverter.apply(LIMIT, None, revert_s=90, refresh=True)).ok
        await until(lambda: value(inverter, "active_power_w") < -2_000)


async def test_the_devices_own_timer_lets_go_when_we_fall_silent() -> None:
    """Nobody calls any more: the inverter lifts the limit by itself after the time that we armed."""
    async with site() as (inverter, _, clock):
        await inverter.apply(LIMIT, 500, revert_s=15, refresh=True)
        started_s = clock.monotonic()
        await until(lambda: value(inverter, "active_power_w") == pytest.approx(-500, abs=30))
        await until(lambda: value(inverter, "active_power_w") < -1_000)
        assert 14 <= clock.monotonic() - started_s <= 30


async def test_the_timer_is_refreshed_only_with_a_token() -> None:
    """A hung loop that repeats its last word keeps no device."""
    async with site() as (inverter, _, clock):
        await inverter.apply(LIMIT, 500, revert_s=30, refresh=True)
        armed_s = clock.monotonic()
        await until(lambda: clock.monotonic() > armed_s + 11)
        assert not (await inverter.apply(LIMIT, 500, revert_s=30, refresh=False)).wrote
        assert (await inverter.apply(LIMIT, 500, revert_s=30, refresh=True)).wrote


async def test_no_timer_outlives_the_order_that_it_serves() -> None:
    """An order that ends sooner than the timer of the one before re-arms it at once."""
    async with site() as (inverter, _, _):
        await inverter.apply(LIMIT, 500, revert_s=90, refresh=True)
        applied = await inverter.apply(LIMIT, 500, revert_s=20, refresh=True)
        assert applied.wrote and applied.readback["inverter/m123.WMaxLimPct_RvrtTms"] == 20


async def test_another_master_is_noticed_and_overruled(caplog: pytest.LogCaptureFixture) -> None:
    """A foreign write is found by the poll, counted, and corrected with the next order."""
    async with site() as (inverter, _, _):
        await inverter.apply(LIMIT, 500, revert_s=90, refresh=True)
        async with Bus(inverter.endpoint) as other:
            await other.write(1, Table.HOLDING, 40236, (0,))
        await until(lambda: inverter.points["m123.WMaxLim_Ena"].raw == 0)
        applied = await inverter.apply(LIMIT, 500, revert_s=90, refresh=True)
        assert applied.ok and applied.wrote
        assert inverter.health.foreign_writes == {Lever.LIMIT_GENERATION: 1}
    (told,) = [record for record in caplog.records if record.message == "another master changed what we had set"]
    assert "after our write, told" in str(vars(told)["found"]), "an installer looks for the one who wrote this"


async def test_a_write_of_our_own_is_no_other_master_while_it_is_under_way() -> None:
    """A poll between a write and its read-back finds the new value; control would leave the lever to nobody."""
    async with site() as (inverter, _, _):
        await inverter.apply(LIMIT, 500, revert_s=90, refresh=True)
        met = False
        for number in range(1, 500):
            before = inverter.points["m123.WMaxLimPct"].raw
            writing = asyncio.create_task(inverter.apply(LIMIT, 500 + 100 * (number % 5), revert_s=90, refresh=True))
            while not writing.done():
                assert not inverter.drifted(LIMIT)
                met = met or inverter.points["m123.WMaxLimPct"].raw != before
                await asyncio.sleep(0)
            assert (await writing).ok
            if met:
                break
        assert met, "no poll fell between a write and its end"
        assert not inverter.health.foreign_writes


async def test_a_device_that_lets_go_by_its_own_timer_was_taken_by_nobody() -> None:
    """A gateway that stood still for a moment sets its limit again, and counts no other master against it."""
    async with site() as (inverter, _, _):
        await inverter.apply(LIMIT, 500, revert_s=20, refresh=True)
        await until(lambda: inverter.points["m123.WMaxLim_Ena"].raw == 0)
        assert not inverter.drifted(LIMIT)
        applied = await inverter.apply(LIMIT, 500, revert_s=20, refresh=True)
        assert applied.ok and applied.wrote and not inverter.health.foreign_writes


async def test_a_restart_takes_away_what_the_process_before_left() -> None:
    """After a crash the next process knows what was touched, and releases it when nobody asks for it."""
    memory = VolatileStateStore()
    clock = fast_clock()
    async with home(clock) as (_, urls):
        sections = [hybrid(urls["fronius"])]
        async with open_devices(sections, clock=clock, outbox=memory) as devices:
            await until(lambda: shows(devices["inverter"], "active_power_w"))
            await devices["inverter"].apply(LIMIT, 500, revert_s=3_000, refresh=True)
        assert memory.recall("device/inverter/touched") == ["limit_generation"]
        async with open_devices(sections, clock=clock, outbox=memory) as devices:
            await until(lambda: shows(devices["inverter"], "active_power_w"))
            applied = await devices["inverter"].apply(LIMIT, None, revert_s=90, refresh=True)
            assert applied.ok and applied.readback["inverter/m123.WMaxLim_Ena"] == 0
        assert memory.recall("device/inverter/touched") == []


async def test_what_we_never_touched_is_never_taken_away() -> None:
    """A limit that the installer set in the inverter is not ours to lift."""
    async with site() as (inverter, _, _):
        applied = await inverter.apply(LIMIT, None, revert_s=90, refresh=True)
        assert applied.ok and not applied.wrote and applied.readback == {}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
async def test_a_value_that_makes_no_sense_is_refused(bad: float) -> None:
    """Nothing is written that is no number, or a negative magnitude."""
    async with site() as (inverter, _, _):
        with pytest.raises(ValueRefused):
            await inverter.apply(LIMIT, bad, revert_s=90, refresh=True)
        with pytest.raises(ValueRefused, match="cannot be told"):
            await inverter.apply(Capability.SWITCH, 1, revert_s=90, refresh=True)


async def test_a_device_that_is_not_there_stops_nobody() -> None:
    """The site starts; the dead one is offline, says why, and comes when it comes."""
    clock = fast_clock()
    async with home(clock) as (_, urls):
        sections = [
            Section(id="dead", profile="sunspec_generic_int", url="tcp://127.0.0.1:9", role="meter"),
            Section(id="meter", profile="eastron_sdm630", url=urls["meter"], role="meter"),
        ]
        async with open_devices(sections, clock=clock) as devices:
            await until(lambda: shows(devices["meter"], "active_power_w"))
            await until(lambda: devices["dead"].health.last_error is not None)
            assert not devices["dead"].health.online and devices["dead"].snapshot() == {}
            with pytest.raises(DeviceSilent):
                await devices["dead"].apply(LIMIT, 1, revert_s=1)


async def test_a_device_that_goes_away_ages_and_comes_back() -> None:
    """Old values are stale, not fresh, and good ones follow as soon as it answers again."""
    silent = False
    words = dict.fromkeys(range(400), 0) | {0: 0x4366, 70: 0x4248, 52: 0x447A}  # 230 V, 50 Hz, 1000 W

    def fault(device: Server, request: Request, payload: bytes | None) -> Sending:
        return [] if silent or payload is None else [(0.0, device.frame(request, payload))]

    server = Server({1: Bank(input=words, holding={64512: 0, 64513: 7})}, fault=fault)
    async with tcp_device(server) as port:
        section = Section(id="meter", profile="eastron_sdm630", url=f"tcp://127.0.0.1:{port}", role="meter")
        async with open_devices([section], clock=fast_clock()) as devices:
            meter = devices["meter"]
            await until(lambda: shows(meter, "active_power_w"))
            silent = True
            await until(lambda: meter.snapshot()["active_power_w"].quality is Quality.STALE)
            await until(lambda: not meter.health.online)
            silent = False
            await until(lambda: shows(meter, "active_power_w") and meter.health.online)
            assert value(meter, "active_power_w") == 1_000


async def test_a_watched_contact_is_seen_with_the_next_cycle_and_not_with_the_next_counter() -> None:
    """A receiver's contact is an order; others of its kind are read each ten seconds."""
    bank = Bank(coil=dict.fromkeys(range(4), 0), holding={64512: 0, 64513: 7})
    clock = fast_clock()
    async with tcp_device(Server({1: bank})) as port:
        box = Section(id="box", profile="kmtronic_relay", url=f"tcp://127.0.0.1:{port}", role="relay")
        async with open_devices([box], clock=clock, watched={"box": frozenset({"relay3"})}) as devices:
            device = devices["box"]
            await until(lambda: "relay4" in device.snapshot() and device.snapshot()["relay4"].value is not None)
            begun_s = clock.monotonic()
            await until(lambda: device.snapshot()["relay3"].monotonic_s > begun_s + 4)
            assert device.snapshot()["relay4"].monotonic_s < device.snapshot()["relay3"].monotonic_s - 1


async def test_devices_on_one_port_share_one_connection() -> None:
    """Inverters take one client; the inverter and the meter behind it are two units of it."""
    clock = fast_clock()
    async with home(clock) as (_, urls):
        sections = [
            hybrid(urls["fronius"]),
            Section(id="grid", profile="sunspec_generic_int", url=urls["grid"], role="meter"),
        ]
        async with open_devices(sections, clock=clock) as devices:
            await until(lambda: all(shows(device, "active_power_w") for device in devices.values()))
            assert devices["inverter"]._bus is devices["grid"]._bus
            load_w = value(devices["grid"], "active_power_w") - value(devices["inverter"], "active_power_w")
            assert load_w == pytest.approx(1_000, abs=150)


async def test_an_inverter_that_refuses_control_says_so() -> None:
    """Until the installer allows it in the vendor's page, every write is refused; we do not pretend."""
    clock = fast_clock()
    locked = DeviceConfig(
        id="fronius", kind=DeviceKind.SUNSPEC_HYBRID, control_allowed=False, uncommanded=Uncommanded.HOLD
    )
    async with home(clock, locked) as (_, urls), open_devices([hybrid(urls["fronius"])], clock=clock) as devices:
        await until(lambda: shows(devices["inverter"], "active_power_w"))
        with pytest.raises(DeviceError):
            await devices["inverter"].apply(LIMIT, 500, revert_s=90, refresh=True)


async def test_a_wrong_profile_or_url_is_named_before_anything_opens() -> None:
    """The configuration is wrong, not the device: the gateway says which device and which key."""
    for wrong in (
        Section(id="one", profile="no_such", url="tcp://127.0.0.1:9", role="meter"),
        Section(id="one", profile="eastron_sdm630", url="http://127.0.0.1", role="meter"),
    ):
        with pytest.raises(ConfigError, match="device one: "):
            async with open_devices([wrong], clock=fast_clock()):
                raise AssertionError("opened")


async def test_the_site_says_which_way_round_a_meter_counts() -> None:
    """A current transformer on its head is a line in the configuration, not a visit."""
    clock = fast_clock()
    async with home(clock) as (_, urls):
        sections = [
            Section(id="meter", profile="eastron_sdm630", url=urls["meter"], role="meter"),
            Section(id="turned", profile="eastron_sdm630", url=urls["meter"], role="meter", turned=("active_power_w",)),
        ]
        async with open_devices(sections, clock=clock) as devices:
            await until(lambda: all(shows(device, "active_power_w") for device in devices.values()))
            assert value(devices["turned"], "active_power_w") * value(devices["meter"], "active_power_w") < 0


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"turned": ("active_power",)}, "active_power is no quantity of profile eastron_sdm630"),
        ({"use": {"active_power_w": "nonsense"}}, "use.active_power_w is 'nonsense'"),
    ],
)
async def test_a_name_that_a_profile_has_not_is_refused(names: dict[str, Any], said: str) -> None:
    """A slip of the pen must not silently leave a quantity unread."""
    section = Section(id="meter", profile="eastron_sdm630", url="tcp://127.0.0.1:1", role="meter", **names)
    with pytest.raises(ConfigError, match=said):
        async with open_devices([section], clock=fast_clock()):
            pass


async def test_closing_leaves_no_task_behind() -> None:
    """Every task ends before the block that started it."""
    before = asyncio.all_tasks()
    async with site():
        pass
    assert asyncio.all_tasks() == before


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    """Whoever opens devices handles errors, not groups of them."""
    with pytest.raises(ZeroDivisionError):
        async with site():
            raise ZeroDivisionError


async def test_a_port_that_is_taken_does_not_end_a_shared_device(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway controls a site; whoever wants to look at its inverter as well can wait."""
    monkeypatch.setattr(device_module, "SHARE_AGAIN_S", 0.05)
    served = Server({1: Bank(holding={0: 7})})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with tcp_device(served) as device_port, Bus(f"tcp://127.0.0.1:{device_port}") as bus:
            shared = Device(id="meter", profile=load_profile("eastron_sdm630"), bus=bus, unit=1, clock=fast_clock())
            task = asyncio.create_task(shared.share(host="127.0.0.1", port=port), name="share")
            try:
                await until(lambda: any("not shared" in record.message for record in caplog.records))
                taken.close()
                async with Bus(f"tcp://127.0.0.1:{port}") as foreign:
                    async with asyncio.timeout(SAFETY_S):
                        while True:
                            with contextlib.suppress(DeviceSilent):
                                assert await foreign.read(1, Table.HOLDING, 0, 1) == (7,)
                                break
                            await asyncio.sleep(0.05)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def test_a_refused_write_is_not_hammered_and_says_what_to_switch_on() -> None:
    """Thirty-one cycles once meant thirty-one refused writes; the alarm names register, exception and cause."""
    clock = fast_clock()
    locked = DeviceConfig(
        id="fronius", kind=DeviceKind.SUNSPEC_HYBRID, control_allowed=False, uncommanded=Uncommanded.HOLD
    )
    said: list[str] = []
    async with home(clock, locked) as (_, urls), open_devices([hybrid(urls["fronius"])], clock=clock) as devices:
        inverter = devices["inverter"]
        await until(lambda: shows(inverter, "active_power_w"))
        for _ in range(31):
            with pytest.raises((DeviceError, ValueRefused)) as caught:
                await inverter.apply(BATTERY, -1_000, revert_s=90, refresh=True)
            said.append(str(caught.value))
    assert 3 <= sum("nothing was written" not in one for one in said) <= 5
    assert "tried 3 times" in said[3] and "switch on" in said[3] and "exception" in said[3] and "register" in said[3]
