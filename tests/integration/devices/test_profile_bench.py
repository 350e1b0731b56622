"""Any profile plays over a plant: the gateway's own engine reads it whole, and its levers move the plant."""

import pytest

from edge.control.model import Capability
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.offline import Registers, decode_registers
from edge.devices.opening import open_devices
from edge.devices.points import Kind
from firmware_sim.server import ModbusServer
from sitewatt.bench.bank import ProfileBank
from sitewatt.bench.plant import Bench, open_bench
from tests.support.modbus.devices import Battery, Section, fast_clock
from tests.support.modbus.wait import until

POWERS = {"active_power_w", "grid_power_w", "battery_power_w"}


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_plays_what_its_plant_does(name: str) -> None:
    """A site is tried before its devices hang on the wall, whatever they are."""
    profile = load_profile(name)
    bench = open_bench(profile, fast_clock(), seed=7)
    values = decode_registers(profile, Registers(tables=ProfileBank(profile, bench).words()))
    told = {one.canonical: one.canonical_value for one in values.values()}
    expected = {"grid_power_w": bench.site.connection_w, "battery_power_w": bench.site.battery_w}
    expected |= {"active_power_w": bench.site.connection_w} if set(profile.kinds) == {Kind.METER} else {}
    for canonical in POWERS & told.keys() & expected.keys():
        assert told[canonical] == pytest.approx(expected[canonical], abs=110), canonical  # Steps of 100 W exist.


async def on_a_bench(name: str, role: str, capability: Capability, value_w: float) -> Bench:
    """Return the plant after a lever of a profile was moved over a real socket."""
    clock = fast_clock()
    profile = load_profile(name)
    bench = open_bench(profile, clock, seed=7)
    server = ModbusServer({1: ProfileBank(profile, bench)})
    port = await server.start()
    battery = Battery(charge_limit_w=5_000, discharge_limit_w=5_000) if role in ("hybrid", "battery") else None
    section = Section(
        id="one",
        profile=name,
        url=f"tcp://127.0.0.1:{port}?unit=1",
        role=role,
        pv_peak_w=8_000 if role in ("pv", "hybrid") else 0,
        battery=battery,
    )
    try:
        async with open_devices([section], clock=clock) as devices:
            device = devices["one"]
            await until(lambda: bool(device.snapshot()) and device.health.online)
            applied = await device.apply(capability, value_w, revert_s=60)
            assert applied.ok, applied.detail
            bench.driver.now_s()
            return bench
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "name",
    ["solaredge", "fronius_gen24_int", "growatt_min_tlxh", "huawei_sun2000", "sma_tripower", "victron_pvinverter"],
)
async def test_a_limit_of_generation_is_obeyed_by_the_plant(name: str) -> None:
    """Percentages, watts, enables, orders of writing: each maker's way ends in less generation."""
    bench = await on_a_bench(name, "pv", Capability.LIMIT_GENERATION, 2_000.0)
    assert bench.inverter is not None and bench.inverter.orders.output_w_max == pytest.approx(2_000, abs=50)


@pytest.mark.parametrize("name", ["kostal_plenticore", "goodwe_et", "sma_hybrid"])
@pytest.mark.parametrize("power_w", [1_500.0, -1_500.0])
async def test_a_battery_charges_and_discharges_as_it_is_told(name: str, power_w: float) -> None:
    """The sign of a setpoint is the first thing that a new map has wrong."""
    bench = await on_a_bench(name, "hybrid", Capability.BATTERY_POWER, power_w)
    assert bench.inverter is not None and bench.inverter.orders.battery_w_min == pytest.approx(power_w, abs=50)
