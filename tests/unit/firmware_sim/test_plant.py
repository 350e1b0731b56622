"""The physics of the plant."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.battery import Battery, follow
from firmware_sim.inverter import Orders
from firmware_sim.plant import Plant
from firmware_sim.plant_config import (
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    FeederConfig,
    FrequencyStep,
    LoadConfig,
    LoadStep,
    PlantConfig,
    PlantSite,
    PvConfig,
    Uncommanded,
)
from tests.support.modbus.simulator import BATTERY, NOON, home


def battery(*, stored_wh: float = 5_000, efficiency: float = 0.9, response_s: float = 0.0) -> Battery:
    """Return a battery of 10 kWh and 4 kW, usable from 500 Wh to 9500 Wh."""
    return Battery(
        capacity_wh=10_000,
        charge_w_max=4_000,
        discharge_w_max=4_000,
        stored_wh=stored_wh,
        stored_wh_min=500,
        stored_wh_max=9_500,
        one_way_efficiency=efficiency,
        response_s=response_s,
    )


def test_an_hour_of_charging_stores_what_the_losses_leave() -> None:
    """The plain example beside the law: 2 kW for an hour at 90 % one way."""
    one = battery()
    one.step(setpoint_w=2_000, duration_s=3_600)
    assert one.stored_wh == pytest.approx(6_800)
    one.step(setpoint_w=-1_800, duration_s=3_600)
    assert one.stored_wh == pytest.approx(4_800)


@given(
    steps=st.lists(st.tuples(st.floats(-9_000, 9_000), st.floats(0.01, 2_000)), max_size=30),
    efficiency=st.floats(0.5, 1.0),
    response_s=st.sampled_from([0.0, 0.5, 1.0, 30.0]),
)
def test_a_battery_conserves_energy_within_its_bounds(
    steps: list[tuple[float, float]], efficiency: float, response_s: float
) -> None:
    """Drawn, given back, lost and stored must add up for any orders, or a perpetual motion is settled."""
    one = battery(efficiency=efficiency, response_s=response_s)
    for setpoint_w, duration_s in steps:
        one.step(setpoint_w=setpoint_w, duration_s=duration_s)
        assert 500 - 1e-6 <= one.stored_wh <= 9_500 + 1e-6
        assert abs(one.power_w) <= 4_000 + 1e-9
    stored = 5_000 + one.energy_in_wh * efficiency - one.energy_out_wh / efficiency
    assert one.stored_wh == pytest.approx(stored, abs=1e-3)


@given(setpoint_w=st.floats(-4_000, 4_000), before_w=st.floats(-4_000, 4_000), pieces=st.integers(1, 50))
def test_a_lag_integrates_the_same_in_any_number_of_steps(setpoint_w: float, before_w: float, pieces: int) -> None:
    """Energy must not depend on how often somebody reads the meter."""
    whole, cut = battery(response_s=2.0), battery(response_s=2.0)
    whole.power_w = cut.power_w = before_w
    mean_w = whole.step(setpoint_w=setpoint_w, duration_s=10)
    cut_mean_w = sum(cut.step(setpoint_w=setpoint_w, duration_s=10 / pieces) for _ in range(pieces)) / pieces
    assert cut_mean_w == pytest.approx(mean_w, abs=1e-6)
    assert cut.power_w == pytest.approx(whole.power_w, abs=1e-6)


def test_a_full_battery_stops_at_its_bound() -> None:
    """What does not fit stays at the meter."""
    one = battery(stored_wh=9_499, efficiency=1.0)
    moved = follow(one, setpoint_w=4_000, duration_s=3_600)
    assert moved.mean_w == pytest.approx(1.0)
    assert (moved.end_w, moved.stored_wh) == (0.0, 9_500)


def test_a_reserve_is_kept() -> None:
    """MinRsvPct is the owner's insurance against a blackout."""
    one = battery(stored_wh=5_000)
    assert one.step(setpoint_w=-4_000, duration_s=10, reserve_wh=5_000) == 0.0


def neighbourhood() -> PlantConfig:
    """Return three sites of every kind on a feeder without losses."""
    hybrid = DeviceConfig(id="inverter", kind=DeviceKind.SUNSPEC_HYBRID)
    return PlantConfig(
        seed=7,
        feeder=FeederConfig(limit_w=100_000),
        sites=(
            PlantSite(
                id="farm",
                pv=PvConfig(peak_w=60_000, variation_percent=5),
                battery=BatteryConfig(capacity_wh=50_000, charge_w_max=20_000, discharge_w_max=20_000),
                devices=(hybrid,),
            ),
            PlantSite(id="factory", load=LoadConfig(series="factory", scale=0.1)),
            PlantSite(
                id="home",
                load=LoadConfig(series="home01", variation_percent=10),
                pv=PvConfig(series="home01_pv"),
                battery=BATTERY,
                devices=(hybrid,),
            ),
        ),
    )


def test_the_meter_is_the_sum_of_the_assets_and_the_feeder_of_its_meters() -> None:
    """The sign convention in one line; every settlement rests on it."""
    plant = Plant(neighbourhood(), started_at=NOON, now_s=0.0)
    for minute in range(0, 8 * 60, 7):
        plant.advance(minute * 60.0)
        for site in plant.sites.values():
            assert site.connection_w == pytest.approx(site.load_w + site.pv_w + site.battery_w)
            assert site.load_w >= 0 >= site.pv_w
        assert plant.feeder.power_w == pytest.approx(sum(site.connection_w for site in plant.sites.values()))


def test_energy_balances_over_an_afternoon() -> None:
    """What the feeder counts is what the sites count, though none of them reads the other."""
    plant = Plant(neighbourhood(), started_at=NOON, now_s=0.0)
    start = net_wh(plant)
    plant.advance(6 * 3_600.0)
    feeder_wh, sites_wh = (after - before for after, before in zip(net_wh(plant), start, strict=True))
    assert feeder_wh == pytest.approx(sites_wh, abs=0.01)
    assert abs(feeder_wh) > 1_000


def net_wh(plant: Plant) -> tuple[float, float]:
    """Return import minus export at the feeder and summed over the sites."""
    sites = sum(site.meter.import_wh - site.meter.export_wh for site in plant.sites.values())
    return plant.feeder.meter.import_wh - plant.feeder.meter.export_wh, sites


@settings(max_examples=30)
@given(pauses=st.lists(st.floats(0.0, 600.0), max_size=20))
def test_counters_never_fall(pauses: list[float]) -> None:
    """A falling counter is what a gateway quarantines; the simulator must not provoke it by itself."""
    plant = Plant(neighbourhood(), started_at=NOON, now_s=0.0)
    now_s, before = 0.0, counters(plant)
    for pause_s in pauses:
        now_s += pause_s
        plant.advance(now_s)
        after = counters(plant)
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after


def counters(plant: Plant) -> list[float]:
    """Return every energy counter of a plant."""
    found = [plant.feeder.meter.import_wh, plant.feeder.meter.export_wh]
    for site in plant.sites.values():
        found += [site.meter.import_wh, site.meter.export_wh]
        for inverter in site.inverters:
            found += [inverter.energy_out_wh, inverter.pv_energy_wh]
        if site.battery:
            found += [site.battery.energy_in_wh, site.battery.energy_out_wh]
    return found


def test_time_that_has_passed_changes_nothing() -> None:
    """Two devices may ask for the same instant."""
    plant = Plant(neighbourhood(), started_at=NOON, now_s=5.0)
    plant.advance(65.0)
    before, version = counters(plant), plant.version
    plant.advance(65.0)
    plant.advance(10.0)
    assert counters(plant) == before
    assert plant.version == version


def test_an_inverter_counts_what_its_meter_counts() -> None:
    """With no load and no grid charging, export at the meter is the inverter's yield."""
    config = home(load_w=0)
    plant = Plant(config, started_at=NOON, now_s=0.0)
    site = plant.sites["home"]
    export_wh, yield_wh = site.meter.export_wh, site.inverters[0].energy_out_wh
    plant.advance(6 * 3_600.0)
    assert site.inverters[0].energy_out_wh - yield_wh == pytest.approx(site.meter.export_wh - export_wh, abs=0.1)


def test_uncommanded_a_hybrid_covers_the_home() -> None:
    """Self-consumption is what a home's inverter does without us, and what it must fall back to."""
    plant = Plant(home(pv_peak_w=None, load_w=1_500), started_at=NOON, now_s=0.0)
    site = plant.sites["home"]
    site.inverters[0].uncommanded = Uncommanded.SELF_CONSUMPTION
    plant.advance(10.0)
    assert site.battery_w == pytest.approx(-1_500)
    assert site.connection_w == pytest.approx(0.0, abs=1e-6)


def test_pure_storage_holds_until_it_is_commanded() -> None:
    """A battery of a factory has no meter to follow."""
    plant = Plant(home(pv_peak_w=None, load_w=1_500), started_at=NOON, now_s=0.0)
    plant.advance(10.0)
    assert plant.sites["home"].battery_w == 0.0


def test_a_hybrid_stores_what_it_may_not_feed_out() -> None:
    """A curtailed hybrid that throws sun away while its battery is empty would be a poor witness."""
    plant = Plant(home(load_w=0), started_at=NOON, now_s=0.0)
    site = plant.sites["home"]
    site.inverters[0].orders = Orders(output_w_max=0.0)
    plant.advance(10.0)
    assert site.battery_w == pytest.approx(min(4_000, site.available_w))
    assert site.connection_w == pytest.approx(0.0, abs=1e-6)


def test_without_grid_charge_a_battery_takes_only_sun() -> None:
    """ChaGriSet is a matter of subsidy rules."""
    plant = Plant(home(load_w=0, pv_peak_w=2_000), started_at=NOON, now_s=0.0)
    site = plant.sites["home"]
    site.inverters[0].orders = Orders(battery_w_min=4_000.0, grid_charge=False)
    plant.advance(10.0)
    assert site.battery_w == pytest.approx(site.available_w, rel=1e-3)


def test_a_load_step_comes_and_goes() -> None:
    """The demand-response event of a demo is made of this."""
    step = LoadStep(at_s=100, extra_load_w=2_000, for_s=50, ramp_s=10)
    site = PlantSite(id="home", load=LoadConfig(base_w=500), steps=(step,))
    plant = Plant(PlantConfig(sites=(site,)), started_at=NOON, now_s=0.0)
    seen = []
    for at_s in (99, 105, 120, 145, 151):
        plant.advance(at_s)
        seen.append(plant.sites["home"].load_w)
    assert seen == pytest.approx([500, 1_500, 2_500, 1_500, 500])


def test_steps_count_from_the_plants_own_start() -> None:
    """A process that starts a few seconds late must not shift the event."""
    step = LoadStep(at_s=100, extra_load_w=2_000, for_s=50)
    site = PlantSite(id="home", steps=(step,))
    config = PlantConfig(started_at=NOON, sites=(site,))
    plant = Plant(config, started_at=NOON + timedelta(seconds=90), now_s=1_000.0)
    plant.advance(1_009.0)
    assert plant.sites["home"].load_w == 0
    plant.advance(1_010.0)
    assert plant.sites["home"].load_w == 2_000
    assert plant.now_at == NOON + timedelta(seconds=100)


def test_voltage_falls_with_the_feeders_load_and_frequency_follows_its_steps() -> None:
    """The grid agent watches both."""
    feeder = FeederConfig(
        limit_w=10_000, voltage_drop_percent=3, frequency_steps=(FrequencyStep(at_s=10, change_hz=-0.4, for_s=10),)
    )
    sites = (PlantSite(id="home", load=LoadConfig(base_w=10_000)),)
    plant = Plant(PlantConfig(feeder=feeder, sites=sites), started_at=NOON, now_s=0.0)
    assert plant.feeder.voltage_v == pytest.approx(230 * 0.97)
    assert plant.feeder.frequency_hz == pytest.approx(50, abs=0.021)
    plant.advance(15.0)
    assert plant.feeder.frequency_hz == pytest.approx(49.6, abs=0.021)


@pytest.mark.parametrize("load_w", [pytest.param(8_000.0, id="drawing"), pytest.param(0.0, id="feeding")])
def test_line_losses_are_metered_at_the_transformer(load_w: float) -> None:
    """A feeder reads more than its sites when it draws, and less fed back when it feeds."""
    config = home(load_w=load_w, battery=None).model_copy(update={"feeder": FeederConfig(loss_percent=5)})
    plant = Plant(config, started_at=NOON, now_s=0.0)
    site_w = plant.sites["home"].connection_w
    assert plant.feeder.power_w == pytest.approx(site_w + 0.05 * abs(site_w))


def test_the_same_seed_gives_the_same_plant() -> None:
    """A failing run must be repeatable."""
    one, two = (Plant(neighbourhood(), started_at=NOON, now_s=0.0) for _ in range(2))
    one.advance(500.0)
    two.advance(500.0)
    assert [site.load_w for site in one.sites.values()] == [site.load_w for site in two.sites.values()]
