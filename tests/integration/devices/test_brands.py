"""Recipes of devices that nobody simulates, against registers on a real socket: what is written, in which order."""

import pytest

from contracts.units import Quality
from edge.devices.catalogue import load_profile
from edge.devices.device import DeviceOptions
from edge.devices.identify import identify
from edge.devices.opening import open_devices
from edge.devices.points import Kind
from edge.devices.recipes import Lever
from edge.errors import ValueRefused
from edge.state_store import VolatileStateStore
from tests.support.modbus.devices import Section, fast_clock
from tests.support.modbus.maps import empty
from tests.support.modbus.one import device
from tests.support.modbus.server import Device as Server
from tests.support.modbus.server import tcp_device
from tests.support.modbus.wait import until

WRITES = (5, 6, 15, 16)


def writes(server: Server) -> list[tuple[int, int]]:
    """Return function and address of every write, in order."""
    return [(one.pdu[0], one.address) for one in server.requests if one.pdu[0] in WRITES]


def signed(word: int) -> int:
    """Return the two's complement value of a register."""
    return word - 0x1_0000 if word & 0x8000 else word


async def test_a_limit_that_needs_its_enable_first() -> None:
    """Sungrow accepts and echoes a limit that it ignores while the enable is not set."""
    bank = empty("sungrow_sg")
    bank.input[5000] = 100  # 10 kW
    async with device("sungrow_sg", bank) as (one, server):
        applied = await one.apply(Lever.LIMIT_GENERATION, 4_000, revert_s=90)
        assert applied.ok and writes(server) == [(6, 5006), (6, 5007)]
        assert (bank.holding[5006], bank.holding[5007]) == (0xAA, 400)
        assert one.health.no_timer == (Lever.LIMIT_GENERATION,)


async def test_a_setpoint_that_counts_discharging_positive() -> None:
    """Kostal's setpoint is negative for charging; our positive is turned once."""
    bank = empty("kostal_plenticore")
    bank.holding[1080] = 2
    async with device("kostal_plenticore", bank) as (one, _):
        assert (await one.apply(Lever.BATTERY_POWER, 2_000, revert_s=90)).ok
        assert (bank.holding[1034], bank.holding[1035]) == (0x0000, 0xC4FA)  # -2000.0, low word first


async def test_a_lever_waits_for_the_installer() -> None:
    """Without external control in the vendor's page nothing is written, and the sentence says why."""
    bank = empty("kostal_plenticore")
    async with device("kostal_plenticore", bank) as (one, server):
        with pytest.raises(ValueRefused, match="needs battery_management_mode = 2"):
            await one.apply(Lever.BATTERY_POWER, 2_000, revert_s=90)
        assert writes(server) == []


async def test_a_block_goes_out_as_one_request() -> None:
    """SolaX takes its remote control only as one function 16 from 0x7C to 0x8A."""
    bank = empty("solax_x_hybrid_g4")
    bank.holding.update(dict.fromkeys(range(124, 139), 9))
    async with device("solax_x_hybrid_g4", bank) as (one, server):
        applied = await one.apply(Lever.BATTERY_POWER, -1_500, revert_s=60)
        assert applied.ok and writes(server) == [(16, 124)]
        assert [bank.holding[at] for at in range(124, 139)] == [1, 1, 0xFA24, 0xFFFF, 0, 0, 60, *[0] * 8]


async def test_a_timer_in_minutes_is_rounded_up() -> None:
    """Huawei counts whole minutes: 90 s are two of them, never one."""
    bank = empty("huawei_luna2000")
    bank.holding[37047] = 5_000
    async with device("huawei_luna2000", bank) as (one, _):
        assert (await one.apply(Lever.BATTERY_POWER, 3_000, revert_s=90)).ok
        assert (bank.holding[47083], bank.holding[47248], bank.holding[47100]) == (2, 3_000, 1)
        assert (await one.apply(Lever.BATTERY_POWER, None, revert_s=90)).ok
        assert bank.holding[47100] == 0


async def test_a_setpoint_beyond_the_rating_is_the_rating() -> None:
    """The device can do no more; what it was told is said."""
    bank = empty("huawei_luna2000")
    bank.holding[37047] = 5_000
    async with device("huawei_luna2000", bank) as (one, _):
        applied = await one.apply(Lever.BATTERY_POWER, 9_000, revert_s=90)
        assert applied.ok and applied.held_w == 5_000 and bank.holding[47248] == 5_000


async def test_memory_that_wears_out_has_a_daily_budget() -> None:
    """An EEPROM that bears so many writes is not worn out by a busy day, also over restarts."""
    bank, memory = empty("growatt_min_tlxh"), VolatileStateStore()
    budget = load_profile("growatt_min_tlxh").writes["active_power_rate"].daily_budget
    assert budget is not None
    options = DeviceOptions(generation_w=10_000, levers=frozenset({Lever.LIMIT_GENERATION}))
    async with device("growatt_min_tlxh", bank, options=options, memory=memory) as (one, _):
        for number in range(budget):
            assert (await one.apply(Lever.LIMIT_GENERATION, 2_000 + 200 * (number % 2), revert_s=90)).ok
    async with device("growatt_min_tlxh", bank, options=options, memory=memory) as (one, _):
        assert one.health.writes_today == {"active_power_rate": budget}
        with pytest.raises(ValueRefused, match="its memory bears"):
            await one.apply(Lever.LIMIT_GENERATION, 5_000, revert_s=90)
        assert (await one.apply(Lever.LIMIT_GENERATION, None, revert_s=90)).ok
        assert bank.holding[3] == 100


async def test_relay_contacts_follow_the_truth_table() -> None:
    """SG Ready: state 4 closes both contacts, state 1 the first alone."""
    bank = empty("kmtronic_relay")
    async with device("kmtronic_relay", bank) as (one, _):
        for state, contacts in ((4, (1, 1)), (1, (1, 0)), (3, (0, 1)), (2, (0, 0))):
            assert (await one.apply(Lever.SG_READY, state, revert_s=90)).ok
            assert (bank.coil[0], bank.coil[1]) == contacts
        assert (await one.apply(Lever.SWITCH, 1, revert_s=90)).ok and bank.coil[0] == 1


async def test_a_charger_is_limited_in_amperes() -> None:
    """Heidelberg takes 6 to 16 A; 6.9 kW on three phases are 10 A."""
    bank = empty("heidelberg_ec")
    bank.input[100] = 16
    async with device("heidelberg_ec", bank) as (one, _):
        assert (await one.apply(Lever.LIMIT_CONSUMPTION, 6_900, revert_s=90)).ok
        assert bank.holding[261] == 100
        assert (await one.apply(Lever.LIMIT_CONSUMPTION, 99_000, revert_s=90)).ok
        assert bank.holding[261] == 160
        with pytest.raises(ValueRefused):
            await one.apply(Lever.LIMIT_CONSUMPTION, 690, revert_s=90)


async def test_a_hybrids_meter_can_be_the_sites() -> None:
    """Where the only meter hangs on the inverter, it is read as one: its names, and import positive."""
    bank = empty("huawei_sun2000")
    bank.holding.update({37113: 0xFFFF, 37114: 0xFC18, 32080: 0, 32081: 3_000})  # 1000 W import, export positive there
    options = DeviceOptions(kinds=frozenset({Kind.METER}))
    async with device("huawei_sun2000", bank, options=options) as (one, _):
        await until(lambda: "active_power_w" in one.snapshot())
        assert one.snapshot()["active_power_w"].value == 1_000
        assert "grid_power_w" not in one.snapshot()


async def test_no_power_at_night_is_put_in_and_said_so() -> None:
    """SMA answers with its sentinel in the dark; that is no production, not an unknown one."""
    bank = empty("sma_tripower")
    bank.holding.update({30775: 0x8000, 30776: 0})
    async with device("sma_tripower", bank) as (one, _):
        await until(lambda: "active_power_w" in one.snapshot())
        reading = one.snapshot()["active_power_w"]
        assert (reading.value, reading.quality) == (0, Quality.SUBSTITUTED)


async def test_a_counter_that_jumps_never_reaches_the_site() -> None:
    """The wrong reading is discarded and counted, the right one after it is taken."""
    bank = empty("cg_em112")
    bank.input.update({0: 2_300, 15: 500, 16: 1_000})
    async with device("cg_em112", bank, options=DeviceOptions(counted_w=10_000)) as (one, _):
        await until(lambda: "energy_import_wh" in one.snapshot())
        assert one.snapshot()["energy_import_wh"].value == 100_000
        bank.input[17] = 1
        await until(lambda: one.snapshot()["energy_import_wh"].quality is Quality.INVALID)
        assert one.health.quarantined["energy_import_wh"] >= 1
        bank.input[17] = 0
        await until(lambda: one.snapshot()["energy_import_wh"].value == 100_000)


async def test_a_layout_that_moves_is_found_again() -> None:
    """The installer switches the inverter from integer to float registers; nothing is read beside its place."""
    from firmware_sim.plant_config import DeviceConfig, DeviceKind
    from tests.support.modbus.devices import home, hybrid

    clock = fast_clock()
    before = DeviceConfig(id="fronius", kind=DeviceKind.SUNSPEC_HYBRID)
    async with home(clock, before) as (_, urls):
        port = int(urls["fronius"].rpartition(":")[2].partition("?")[0])
        section = hybrid(urls["fronius"], profile="sunspec_generic_int")
    after = before.model_copy(update={"port": port, "model_802": True, "base": 50000})
    async with open_devices([section], clock=clock) as devices:
        one = devices["inverter"]
        async with home(clock, before.model_copy(update={"port": port})):
            await until(lambda: "active_power_w" in one.snapshot())
            assert one.points.keys() and "m802.SoC" not in one.points
        await until(lambda: not one.health.online)
        async with home(clock, after):
            await until(lambda: "m802.SoC" in one.points)
            await until(lambda: one.snapshot()["active_power_w"].quality is Quality.GOOD)


def test_sections_are_what_the_configuration_gives() -> None:
    """The fields that a section needs are those of the site's configuration."""
    from edge.config import DeviceSection

    section = Section(id="a", profile="b", url="c", role="meter")
    assert set(DeviceSection.model_fields) >= set(vars(section))


async def test_what_control_does_not_steer_by_is_read_no_more_often_than_the_profile_bears() -> None:
    """A Deye is asked for its voltages every ten seconds; what it draws is known every second all the same."""
    async with device("deye_sg0x_lp3", empty("deye_sg0x_lp3")) as (one, _):
        seen: dict[str, set[float]] = {"voltage_l1": set(), "battery_power": set()}

        def watched() -> bool:
            for name, at_s in seen.items():
                if name in one.points:
                    at_s.add(one.points[name].monotonic_s)
            return len(seen["voltage_l1"]) == 6

        await until(watched)
        first_s, *_, last_s = sorted(seen["voltage_l1"])
        assert last_s - first_s > 32, "five periods, the first one cut short; of the usual pace they would be 25 s"
        assert len(seen["battery_power"]) > 12


async def test_a_device_without_grid_voltages_is_named_by_what_else_it_shows() -> None:
    """A battery has no frequency; its state of charge is little evidence, and better than none."""
    bank = empty("victron_gx_system")
    bank.holding[load_profile("victron_gx_system").points["soc"].address or 0] = 55
    async with tcp_device(Server({100: bank})) as port:
        url = f"tcp://127.0.0.1:{port}?unit=100"
        (match,) = await identify(url, ("eastron_sdm630", "victron_gx_system", "sunspec_generic_int"))
    assert match.profile == "victron_gx_system" and match.evidence == ("soc reads 55 %",)
