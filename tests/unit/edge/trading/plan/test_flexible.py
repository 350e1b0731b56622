"""Loads that a plan moves: by a time, within a band, in one go; never at a power that they cannot run with."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge.trading.plan.plan import Plan, make_plan
from edge.trading.plan.problem import Band, Connection, FlexibleLoad, Method, Need, Problem, Soft, Store
from tests.unit.edge.trading.plan.test_plan import CONNECTION, STORE, T0, hours

CHARGER_W, LEAST_W = 11_000.0, 4_140.0


def need(energy_wh: float, *, due_h: float, from_h: float = 0.0, in_one_go: bool = False, begun: bool = False) -> Need:
    return Need(
        from_at=T0 + timedelta(hours=from_h),
        due_at=T0 + timedelta(hours=due_h),
        energy_wh=energy_wh,
        in_one_go=in_one_go,
        begun=begun,
    )


def planned(
    net_wh: Sequence[float],
    *loads: FlexibleLoad,
    buy: Sequence[float],
    stores: tuple[Store, ...] = (),
    connection: Connection = CONNECTION,
) -> Plan:
    return make_plan(
        Problem(
            intervals=hours(net_wh, buy=buy), stores=stores, connection=connection, end_mct_per_kwh=0.0, loads=loads
        )
    )


def taken(plan: Plan, load: int = 0) -> list[int]:
    return [round(action.load_wh[load]) for action in plan.actions]


def test_a_car_is_charged_in_the_cheapest_hours_before_its_time() -> None:
    """The cheapest hour of all comes after the car has left."""
    car = FlexibleLoad(id="car", rated_w=CHARGER_W, least_w=LEAST_W, needs=(need(15_000, due_h=4),))
    plan = planned([500.0] * 6, car, buy=[30_000, 10_000, 20_000, 30_000, 1_000, 1_000], connection=_wide())
    assert plan.method is Method.LINEAR
    assert taken(plan) == [0, 11_000, 4_000, 0, 0, 0]
    assert plan.outcome.violations == ()


def test_a_car_waits_for_the_sun_that_would_be_sold_for_less() -> None:
    """Eight kWh of surplus at noon cost what feeding them in would have brought."""
    car = FlexibleLoad(id="car", rated_w=CHARGER_W, least_w=LEAST_W, needs=(need(8_000, due_h=4),))
    plan = planned([500.0, 500.0, -8_000.0, 500.0], car, buy=[20_000] * 4, connection=_wide())
    assert taken(plan) == [0, 0, 8_000, 0]


def test_an_appliance_runs_through_once_in_its_window() -> None:
    """Two cheap hours that are not neighbours are no run; two hours of the middle price are."""
    machine = FlexibleLoad(
        id="machine", rated_w=2_000, least_w=2_000, needs=(need(4_000, from_h=1, due_h=7, in_one_go=True),)
    )
    plan = planned([300.0] * 8, machine, buy=[1_000, 9_000, 30_000, 9_000, 30_000, 15_000, 15_000, 1_000])
    assert taken(plan) == [0, 0, 0, 0, 0, 2_000, 2_000, 0]


def test_an_appliance_that_has_begun_is_not_stopped_for_a_cheaper_hour() -> None:
    """A wash that pauses is a wash that is spoiled."""
    machine = FlexibleLoad(
        id="machine", rated_w=2_000, least_w=2_000, needs=(need(2_000, due_h=6, in_one_go=True, begun=True),)
    )
    assert taken(planned([0.0] * 6, machine, buy=[40_000] + [1_000] * 5)) == [2_000, 0, 0, 0, 0, 0]


def test_a_heat_pump_heats_ahead_before_dear_hours_and_stays_in_its_band() -> None:
    """What the house holds for two hours is bought before them."""
    pump = FlexibleLoad(id="pump", rated_w=3_000, least_w=0.0, band=Band(drain_w=1_000, ahead_wh=0.0, reach_wh=2_000))
    plan = planned([300.0] * 6, pump, buy=[10_000, 10_000, 40_000, 40_000, 10_000, 10_000])
    drawn = taken(plan)
    assert drawn[2:4] == [0, 0], "nothing while it is dear"
    assert plan.outcome.violations == ()
    assert sum(drawn[:2]) >= 2_000


def test_what_cannot_be_had_in_time_is_told_and_the_rest_is_still_charged() -> None:
    """A car that came late gets all that it can, and the plan names what is missing."""
    car = FlexibleLoad(id="car", rated_w=CHARGER_W, least_w=LEAST_W, needs=(need(30_000, due_h=2),))
    plan = planned([0.0] * 4, car, buy=[30_000] * 4, connection=_wide())
    assert taken(plan) == [11_000, 11_000, 0, 0]
    (violation,) = plan.outcome.violations
    assert (violation.limit, violation.device, round(violation.amount)) == (Soft.NEED, "car", 8_000)


def test_the_battery_does_not_pour_itself_into_the_car_where_both_buy_at_night() -> None:
    """The car's cheap hour is the battery's too: what is stored is kept for the dear evening."""
    car = FlexibleLoad(id="car", rated_w=4_000, least_w=1_400, needs=(need(4_000, due_h=2),))
    plan = planned([0.0, 0.0, 3_000.0], car, buy=[10_000, 30_000, 40_000], stores=(_stored(3_000),), connection=_wide())
    assert taken(plan) == [4_000, 0, 0]
    assert [round(action.battery_wh[0]) for action in plan.actions][2] == -3_000


def _wide() -> Connection:
    return Connection(import_w_max=30_000, export_w_max=30_000)


def _stored(stored_wh: float) -> Store:
    return Store(
        id="battery",
        capacity_wh=3_000,
        charge_w_max=4_000,
        discharge_w_max=4_000,
        stored_wh=stored_wh,
        stored_wh_max=3_000,
        charge_efficiency=1.0,
        discharge_efficiency=1.0,
        wear_mct_per_kwh=0,
    )


@given(
    prices=st.lists(st.integers(-5_000, 40_000), min_size=8, max_size=8),
    net=st.lists(st.integers(-9_000, 4_000), min_size=8, max_size=8),
    energy_wh=st.integers(0, 60_000),
    least_w=st.sampled_from([0.0, 4_140.0, 11_000.0]),
    due_h=st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_every_load_gets_what_it_needs_and_never_runs_at_a_power_that_it_cannot(
    prices: list[int], net: list[int], energy_wh: int, least_w: float, due_h: int
) -> None:
    """Whatever prices and sun: in time where that can be, at no power between nothing and its least."""
    car = FlexibleLoad(id="car", rated_w=CHARGER_W, least_w=least_w, needs=(need(energy_wh, due_h=due_h),))
    plan = planned([float(wh) for wh in net], car, buy=[float(price) for price in prices], connection=_wide())
    assert plan.outcome.impossible == ()
    possible_wh = min(energy_wh, CHARGER_W * due_h)
    got_wh = sum(action.load_wh[0] for action in plan.actions)
    event(f"limited by the rating: {energy_wh > CHARGER_W * due_h}")
    assert got_wh >= possible_wh - 2
    assert got_wh <= energy_wh + least_w / 4 + 2
    for action in plan.actions:
        assert action.load_wh[0] == pytest.approx(0) or action.load_wh[0] >= least_w / 4 - 1


def test_self_consumption_has_a_car_charged_in_the_cheapest_hours_without_a_solver() -> None:
    """A board without HiGHS knows the prices all the same."""
    from edge.trading.plan.plan import resting_plan

    car = FlexibleLoad(id="car", rated_w=CHARGER_W, least_w=LEAST_W, needs=(need(15_000, due_h=4),))
    problem = Problem(
        intervals=hours([500.0] * 4, buy=[30_000, 10_000, 20_000, 30_000]),
        stores=(STORE,),
        connection=_wide(),
        end_mct_per_kwh=0.0,
        loads=(car,),
    )
    assert taken(resting_plan(problem, why="")) == [0, 11_000, 4_000, 0]


@pytest.mark.parametrize("ahead_wh", [-4_000.0, 0.0, 2_500.0])
def test_the_solver_that_goes_on_around_the_loads_finds_what_one_that_begins_anew_finds(ahead_wh: float) -> None:
    """Going on saves half the time of a plan, and must cost nothing of its worth."""
    car = FlexibleLoad(id="car", rated_w=4_000, least_w=1_400, needs=(need(6_000, due_h=5),))
    pump = FlexibleLoad(
        id="pump", rated_w=2_000, least_w=2_000, band=Band(drain_w=700, ahead_wh=ahead_wh, reach_wh=3_000)
    )
    net_wh = [500.0, -2_000.0, -3_500.0, 800.0, 2_400.0, 1_700.0]
    prices = [22_000.0, 9_000.0, 14_000.0, 31_000.0, 38_000.0, 27_000.0]
    store = replace(_stored(1_000), charge_efficiency=0.95, discharge_efficiency=0.95, wear_mct_per_kwh=1_000)
    plan = planned(net_wh, car, pump, buy=prices, stores=(store,), connection=_wide())
    assert plan.method is Method.LINEAR
    drawn = [sum(action.load_wh) for action in plan.actions]
    fixed = [replace(each, load_wh=each.load_wh + wh) for each, wh in zip(plan.problem.intervals, drawn, strict=True)]
    anew = make_plan(replace(plan.problem, loads=(), intervals=fixed))
    assert plan.outcome.grid_wh == pytest.approx(anew.outcome.grid_wh, abs=1.0)
