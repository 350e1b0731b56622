"""One cycle: snapshot and requests to setpoints."""

from dataclasses import replace

import pytest

from contracts.units import Quality
from edge.control.cycle import decide
from edge.control.model import (
    BATTERIES,
    CONNECTION,
    Capability,
    ControlSettings,
    Measured,
    Memory,
    Outcome,
    Priority,
    Reason,
    lever,
)
from tests.support.rigs.control import SETTINGS, Plant, battery, good, hybrid, load, pv, request, snapshot, value_of

BAT, PV, SW = Capability.BATTERY_POWER, Capability.LIMIT_GENERATION, Capability.SWITCH
IMPORT_LIMIT = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=4_200)


def test_without_orders_a_battery_brings_the_connection_point_to_zero() -> None:
    """A hybrid under our control must do for its owner at least what it did by itself."""
    decision, _ = decide(snapshot(-2_000, hybrid(pv_w=-3_000)), (), SETTINGS, Memory())
    assert value_of(decision, "hybrid", BAT) == 2_000
    assert value_of(decision, "hybrid", PV) is None
    assert decision.expected_w == 0


def test_hold_leaves_batteries_at_rest() -> None:
    """A merchant battery waits for orders instead of following the house."""
    settings = ControlSettings(import_w_max=17_000, export_w_max=15_000, self_consumption=False)
    decision, _ = decide(snapshot(3_000, battery()), (), settings, Memory())
    assert value_of(decision, "bat", BAT) == 0


def test_an_import_limit_discharges_the_battery_against_a_schedule() -> None:
    """The grid operator stands above the market."""
    schedule = request("market", CONNECTION, Priority.MARKET_DR, preferred_w=9_000, reason=Reason.SCHEDULE)
    decision, _ = decide(snapshot(8_000, battery()), (schedule, IMPORT_LIMIT), SETTINGS, Memory())
    assert value_of(decision, "bat", BAT) == -3_800
    assert decision.setpoints[0].requester == "dso"
    assert decision.expected_w == 4_200
    assert decision.import_excess_w == 0


def test_a_wish_on_the_batteries_that_a_limit_elsewhere_stops_is_said_to_be_clipped() -> None:
    """The limit is on the connection point, the wish on the batteries: who asks why must not read that it was held."""
    discharge = request("dso", BATTERIES, Priority.GRID_OPERATOR, min_w=-2_000, max_w=-2_000, preferred_w=-2_000)
    limit = request("dso2", CONNECTION, Priority.GRID_OPERATOR, min_w=-500)
    decision, _ = decide(snapshot(-3_000, battery()), (discharge, limit), SETTINGS, Memory())
    assert value_of(decision, "bat", BAT) == 2_500
    assert {link.requester: (link.outcome, link.clipped_by) for link in decision.chain} == {
        "dso": (Outcome.CLIPPED, "dso2"),
        "dso2": (Outcome.HELD, None),
        "self_consumption": (Outcome.HELD, None),
    }
    full, _ = decide(snapshot(-9_000, battery()), (), SETTINGS, Memory())
    assert (full.chain[0].outcome, full.chain[0].clipped_by) == (Outcome.CLIPPED, "device_protection")
    met, _ = decide(snapshot(-3_000, battery()), (), SETTINGS, Memory())
    assert met.chain[0].outcome is Outcome.HELD


def test_a_battery_whose_memory_wears_follows_the_house_by_itself() -> None:
    """Second by second its registers would be worn in minutes; orders and limits are told all the same."""
    worn = replace(battery(), wear_period_s={BAT: 432.0})
    decision, memory = decide(snapshot(3_000, worn), (), SETTINGS, Memory())
    assert (value_of(decision, "bat", BAT), decision.expected_w) == (None, 0)
    schedule = request("market", BATTERIES, Priority.MARKET_DR, preferred_w=1_000, reason=Reason.SCHEDULE)
    decision, memory = decide(snapshot(3_000, worn, at_s=1), (schedule,), SETTINGS, memory)
    assert value_of(decision, "bat", BAT) == 1_000
    greedy = request("market", CONNECTION, Priority.MARKET_DR, preferred_w=9_000, reason=Reason.SCHEDULE)
    decision, _ = decide(snapshot(8_000, worn, at_s=2), (IMPORT_LIMIT, greedy), SETTINGS, memory)
    assert value_of(decision, "bat", BAT) == -3_800
    both, _ = decide(snapshot(3_000, worn, replace(battery(), id="ram")), (), SETTINGS, Memory())
    assert value_of(both, "bat", BAT) is not None, "two that follow the same meter would fight"


def test_a_limit_out_of_reach_is_followed_as_far_as_possible_and_the_excess_told() -> None:
    """Half a relief is relief; pretending would be worse."""
    decision, _ = decide(snapshot(12_000, battery()), (IMPORT_LIMIT,), SETTINGS, Memory())
    assert value_of(decision, "bat", BAT) == -5_000
    assert decision.import_excess_w == 2_800
    assert decision.setpoints[0].requester == "dso"


def test_an_export_limit_charges_first_and_curtails_the_rest() -> None:
    """Stored energy is kept, curtailed energy is lost."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, min_w=0)
    plant = Plant(load_w=500, sun_w=9_000)
    memory = Memory()
    for second in range(40):
        decision, memory = decide(plant.snapshot(second), (limit,), SETTINGS, memory)
        plant.obey(decision)
    assert plant.battery_w == pytest.approx(5_000)
    assert plant.connection_w >= -1e-6
    assert plant.connection_w == pytest.approx(0, abs=50)
    assert plant.pv_w == pytest.approx(-5_500, abs=50)


def test_a_curtailed_generator_is_let_go_as_the_load_rises() -> None:
    """A cap that never rises again loses the sun of the whole day."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, min_w=0)
    plant = Plant(load_w=500, sun_w=9_000, soc_percent=100)
    memory = Memory()
    for second in range(60):
        plant.load_w = 500 if second < 20 else 20_000
        decision, memory = decide(plant.snapshot(second), (limit,), SETTINGS, memory)
        plant.obey(decision)
    assert plant.pv_w == -9_000
    assert min(plant.history) >= -1e-6


def test_a_battery_order_is_split_and_bounded_by_the_fuse() -> None:
    """An aggregator's order to charge must not blow the fuse."""
    order = request("agg", BATTERIES, Priority.MARKET_DR, min_w=8_000, max_w=8_000, preferred_w=8_000)
    decision, _ = decide(snapshot(12_000, battery("a"), battery("b")), (order,), SETTINGS, Memory())
    assert value_of(decision, "a", BAT) == 2_500
    assert value_of(decision, "b", BAT) == 2_500
    assert decision.setpoints[0].reason is Reason.SITE_LIMIT


def test_a_limit_from_above_undoes_an_override_of_one_battery() -> None:
    """An owner who pinned a battery does not take the grid operator's relief away."""
    pin = request("owner", lever("bat", BAT), Priority.OPERATOR_OVERRIDE, min_w=3_000, max_w=3_000, preferred_w=3_000)
    free, _ = decide(snapshot(1_000, battery()), (pin,), SETTINGS, Memory())
    assert value_of(free, "bat", BAT) == 3_000
    limited, _ = decide(snapshot(6_000, battery()), (pin, IMPORT_LIMIT), SETTINGS, Memory())
    assert value_of(limited, "bat", BAT) == -1_800


def test_a_setpoint_never_outlives_the_orders_that_shaped_it() -> None:
    """The device's timer is armed from this instant."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=4_200, expires_s=130.0)
    decision, _ = decide(snapshot(8_000, battery(), at_s=100), (limit,), SETTINGS, Memory())
    assert decision.setpoints[0].expires_s == 130.0
    free, _ = decide(snapshot(8_000, battery(), at_s=100), (), SETTINGS, Memory())
    assert free.setpoints[0].expires_s == 160.0


def test_an_unreachable_battery_counts_at_its_worst() -> None:
    """It may begin to charge at any second; the others leave room for that."""
    lost = battery("lost", online=False, last_power_w=0.0)
    decision, _ = decide(snapshot(3_000, battery("a"), lost), (IMPORT_LIMIT,), SETTINGS, Memory())
    assert value_of(decision, "a", BAT) == -3_800
    assert decision.fresh
    assert decision.alarms == ("an asset cannot be reached and counts at its worst",)


def test_with_a_blind_meter_batteries_rest_and_generation_obeys_the_export_limit() -> None:
    """Not knowing is not zero: nothing may be assumed to be consumed."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, min_w=-3_000)
    decision, _ = decide(snapshot(None, battery(power_w=2_000), pv(power_w=-6_000)), (limit,), SETTINGS, Memory())
    assert value_of(decision, "bat", BAT) == 0
    assert value_of(decision, "pv", PV) == 3_000
    assert not decision.fresh
    assert decision.expected_w is None


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.INVALID])
def test_a_reading_that_is_not_good_drives_nothing(quality: Quality) -> None:
    """A stale value with a number in it is the classic way to be wrong with confidence."""
    seen = snapshot(0, battery())
    stale = type(seen)(taken_s=0, connection_power=Measured(9_000, quality, 0.1), assets=seen.assets)
    assert not decide(stale, (), SETTINGS, Memory())[0].fresh


def test_an_unknown_state_of_charge_leaves_a_battery_at_rest() -> None:
    """A missing limit counts as the most restrictive."""
    asset = battery()
    blind = type(asset)(id="bat", kind=asset.kind, capabilities=asset.capabilities, power=good(0), charge_w_max=5_000)
    decision, _ = decide(snapshot(3_000, blind), (), SETTINGS, Memory())
    assert value_of(decision, "bat", BAT) == 0


def test_the_phase_fuse_bounds_a_battery_on_that_phase() -> None:
    """Three-phase sums hide an overloaded phase."""
    settings = ControlSettings(import_w_max=17_000, export_w_max=15_000, phase_w_max=5_750)
    order = request("agg", BATTERIES, Priority.MARKET_DR, min_w=4_000, max_w=4_000, preferred_w=4_000)
    seen = snapshot(6_000, battery(phases=(1,)))
    phased = type(seen)(
        taken_s=0,
        connection_power=seen.connection_power,
        phase_power=(good(5_000), good(500), good(500)),
        assets=seen.assets,
    )
    decision, _ = decide(phased, (order,), settings, Memory())
    assert value_of(decision, "bat", BAT) == 750


def test_a_load_is_shed_only_when_batteries_do_not_suffice_and_comes_back_with_room() -> None:
    """The household notices a load; it should not notice a battery."""
    memory = Memory()
    shed, memory = decide(snapshot(7_000, load(power_w=2_000)), (IMPORT_LIMIT,), SETTINGS, memory)
    assert value_of(shed, "boiler", SW) == 0
    still, memory = decide(snapshot(3_000, load(on=False), at_s=100), (IMPORT_LIMIT,), SETTINGS, memory)
    assert value_of(still, "boiler", SW) == 0
    back, memory = decide(snapshot(1_000, load(on=False), at_s=200), (IMPORT_LIMIT,), SETTINGS, memory)
    assert value_of(back, "boiler", SW) == 2_000


def test_a_shed_load_keeps_its_shortest_time_off() -> None:
    """A compressor dies of being switched every few seconds."""
    memory = Memory()
    _, memory = decide(snapshot(7_000, load(power_w=2_000)), (IMPORT_LIMIT,), SETTINGS, memory)
    early, _ = decide(snapshot(1_000, load(on=False), at_s=30), (IMPORT_LIMIT,), SETTINGS, memory)
    assert value_of(early, "boiler", SW) == 0


def test_the_maintenance_lock_leaves_only_the_grid_operator() -> None:
    """Someone has a hand in the cabinet: batteries rest, whatever the market wants."""
    settings = ControlSettings(import_w_max=17_000, export_w_max=15_000, maintenance_lock=True)
    order = request("agg", BATTERIES, Priority.MARKET_DR, min_w=4_000, max_w=4_000, preferred_w=4_000)
    decision, _ = decide(snapshot(1_000, battery()), (order,), settings, Memory())
    assert value_of(decision, "bat", BAT) == 0
    assert decision.setpoints[0].requester == "maintenance_lock"


def test_small_changes_are_not_written() -> None:
    """Every write wears something; a dead band of 20 W or 0.5 % costs nobody anything."""
    first, memory = decide(snapshot(1_000, battery()), (), SETTINGS, Memory())
    moved, memory = decide(snapshot(15, battery(power_w=-1_000), at_s=1), (), SETTINGS, memory)
    assert value_of(moved, "bat", BAT) == value_of(first, "bat", BAT) == -1_000


def test_a_ramp_holds_for_wishes_and_not_for_bounds() -> None:
    """A battery may rise gently to a schedule, and must drop at once for a limit."""
    slow = battery(ramp_w_per_s=100)
    _, memory = decide(snapshot(0, slow), (), SETTINGS, Memory())
    gentle, _ = decide(snapshot(2_000, slow, at_s=1), (), SETTINGS, memory)
    assert value_of(gentle, "bat", BAT) == -100
    forced, _ = decide(snapshot(9_000, slow, at_s=1), (IMPORT_LIMIT,), SETTINGS, memory)
    assert value_of(forced, "bat", BAT) == -4_800


def test_two_loops_working_against_each_other_come_to_rest() -> None:
    """A second controller on the same meter must not turn the battery into a pendulum."""
    memory = Memory()
    power_w, seen = 0.0, []
    for second in range(60):
        disturbance_w = 2_000 if second % 2 else -2_000
        decision, memory = decide(
            snapshot(disturbance_w + power_w, battery(power_w=power_w), at_s=second), (), SETTINGS, memory
        )
        power_w = value_of(decision, "bat", BAT) or 0.0
        seen.append(power_w)
    swing_early = max(seen[:5]) - min(seen[:5])
    swing_late = max(seen[-10:]) - min(seen[-10:])
    assert swing_late < swing_early / 2


def test_the_noise_of_a_house_does_not_slow_the_battery() -> None:
    """Kettles come and go by the second; the next real step must still be answered at once."""
    plant, memory = Plant(load_w=1_000, sun_w=0), Memory()
    for second in range(60):
        plant.load_w = (5_000 if second >= 50 else 1_000) + (100 if second % 2 else -100)
        decision, memory = decide(plant.snapshot(second), (), SETTINGS, memory)
        plant.obey(decision)
    assert plant.history[51] == pytest.approx(0, abs=250)


@pytest.mark.parametrize("lag", [1.0, 0.5, 0.2])
def test_self_consumption_settles_with_a_slow_battery(lag: float) -> None:
    """Real inverters take seconds; the loop must not oscillate with them."""
    plant = Plant(load_w=3_000, sun_w=1_000, lag=lag)
    memory = Memory()
    for second in range(60):
        decision, memory = decide(plant.snapshot(second), (), SETTINGS, memory)
        plant.obey(decision)
    assert plant.connection_w == pytest.approx(0, abs=30)
    assert min(plant.history) > -30
