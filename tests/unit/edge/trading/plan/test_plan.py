"""Plans whose best answer can be worked out by hand, and the laws that hold for every plan."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge.trading.plan.plan import Plan, end_value, make_plan
from edge.trading.plan.problem import Action, Connection, Method, PlanInterval, Problem, Soft, Store
from edge.trading.plan.rule import self_consumption
from edge.trading.plan.simulate import simulate

T0 = datetime(2026, 6, 1, tzinfo=UTC)
CONNECTION = Connection(import_w_max=10_000, export_w_max=10_000)
# Without losses and wear, so that sums can be done in the head.
STORE = Store(
    id="battery",
    capacity_wh=10_000,
    charge_w_max=4_000,
    discharge_w_max=4_000,
    stored_wh=0,
    stored_wh_max=10_000,
    charge_efficiency=1.0,
    discharge_efficiency=1.0,
    wear_mct_per_kwh=0,
)


def hours(
    net_wh: Sequence[float], *, buy: Sequence[float] | float = 30_000, sell: Sequence[float] | float = 8_000
) -> list[PlanInterval]:
    """Return one interval of an hour for each net energy; a surplus is generation."""
    buys = [buy] * len(net_wh) if isinstance(buy, int | float) else list(buy)
    sells = [sell] * len(net_wh) if isinstance(sell, int | float) else list(sell)
    return [
        PlanInterval(
            start=T0 + timedelta(hours=index),
            hours=1.0,
            load_wh=max(0.0, net),
            pv_wh=min(0.0, net),
            buy_mct_per_kwh=buys[index],
            sell_mct_per_kwh=sells[index],
        )
        for index, net in enumerate(net_wh)
    ]


def planned(
    intervals: list[PlanInterval], *stores: Store, connection: Connection = CONNECTION, end: float = 0.0
) -> Plan:
    return make_plan(Problem(intervals=intervals, stores=stores, connection=connection, end_mct_per_kwh=end))


def battery(plan: Plan, index: int = 0) -> list[int]:
    return [round(action.battery_wh[index]) for action in plan.actions]


def test_need_is_met_exactly_and_nothing_is_bought_or_exported() -> None:
    """A planner with levels moves 200 Wh where 75 Wh are needed, and buys the rest of what it has stored."""
    plan = planned(hours([75, 125, 40, 210]), replace(STORE, stored_wh=8_000), end=10_000)
    assert battery(plan) == [-75, -125, -40, -210]
    assert [round(grid) for grid in plan.outcome.grid_wh] == [0, 0, 0, 0]


def test_negative_price_charges_the_battery_and_leaves_generation_unused() -> None:
    """Clipped into the tariffs, a price of -10 ct is planned as +8 ct, and the site pays to feed in."""
    prices = [-10_000.0, -10_000.0, 28_000.0]
    plan = planned(hours([500, -3_000, 1_000], buy=prices, sell=prices), STORE)
    assert plan.method is Method.LINEAR
    # 4 kWh in each hour is the battery's most, and what the sun gives is replaced by what the grid pays for.
    assert battery(plan) == [4_000, 4_000, -4_000]
    assert [round(action.curtailed_wh) for action in plan.actions] == [0, 3_000, 0]
    assert plan.outcome.cost_mct == pytest.approx((4.5 + 4.0) * -10_000 - 3 * 28_000)


def test_buying_below_the_feed_in_tariff_does_not_take_and_give_at_one_meter() -> None:
    """A paid import beside a fixed feed-in tariff would make a plain linear programme infinitely rich."""
    plan = planned(hours([-2_000, 1_000], buy=[-5_000, 30_000], sell=8_000), STORE)
    assert plan.method is Method.LINEAR
    assert plan.outcome.grid_wh[0] == pytest.approx(4_000)
    assert simulate(plan.problem, plan.actions).score_mct == plan.outcome.score_mct


def test_feed_in_cap_keeps_room_for_noon() -> None:
    """A battery that is full before noon loses the noon; the best plan lets the morning out and cuts nothing."""
    plan = planned(
        hours([-2_000, -5_000, -5_000, -2_000, 3_000, 3_000]),
        replace(STORE, capacity_wh=6_000, stored_wh_max=6_000),
        connection=replace(CONNECTION, feed_in_w_max=2_000),
    )
    assert battery(plan) == [0, 3_000, 3_000, 0, -3_000, -3_000]
    assert sum(action.curtailed_wh for action in plan.actions) == pytest.approx(0, abs=1)
    ruled = simulate(plan.problem, self_consumption(plan.problem))
    assert ruled.cost_mct - plan.outcome.cost_mct == pytest.approx(8_000 * 3, abs=10)


def test_peak_price_is_paid_down_to_the_months_peak_so_far_and_no_further() -> None:
    """What was paid already costs nothing: the battery serves the part above it, and is spared below."""
    dear = replace(CONNECTION, peak_mct_per_kw=5_000_000, peak_w=3_000)
    plan = planned(
        hours([3_000, 5_000, 4_000], buy=20_000), replace(STORE, stored_wh=3_000), connection=dear, end=25_000
    )
    assert battery(plan) == [0, -2_000, -1_000]
    assert max(plan.outcome.grid_wh) == pytest.approx(3_000, abs=1)


def test_target_state_of_charge_is_reached_in_the_cheapest_hours() -> None:
    """By 04:00 there are 6 kWh, bought in the two cheap hours; an unreachable target is named, not infeasible."""
    target = replace(STORE, target_wh=6_000, target_at=T0 + timedelta(hours=4))
    plan = planned(hours([0] * 5, buy=[30_000, 12_000, 10_000, 30_000, 30_000]), target)
    assert battery(plan)[:4] == [0, 2_000, 4_000, 0]
    assert plan.outcome.violations == ()
    late = planned(hours([0]), replace(target, target_at=T0 + timedelta(hours=1)))
    assert [(each.limit, round(each.amount), each.device) for each in late.outcome.violations] == [
        (Soft.TARGET, 2_000, "battery")
    ]


def test_of_two_batteries_the_one_with_less_loss_works_first() -> None:
    """Both hold 3 kWh; of the 4 kWh needed, the one without loss and wear gives its all first."""
    lossy = replace(STORE, id="old", wear_mct_per_kwh=2_000, discharge_efficiency=0.8, stored_wh=3_000)
    plan = planned(hours([2_000, 2_000]), lossy, replace(STORE, stored_wh=3_000), end=10_000)
    assert sum(battery(plan, 1)) == -3_000
    assert sum(battery(plan, 0)) == -1_000


def test_limits_that_cannot_be_kept_are_passed_and_named() -> None:
    """A load above the connection, and a demand response commitment of one interval, do not end the plan."""
    intervals = hours([12_000, 1_000, 1_000])
    intervals[1] = replace(intervals[1], import_w_max=0.0)
    plan = planned(intervals, replace(STORE, stored_wh=1_000))
    assert plan.method is Method.LINEAR
    assert sum(each.amount for each in plan.outcome.violations if each.limit is Soft.IMPORT) == pytest.approx(2_000)


def test_grid_energy_stays_out_of_the_battery_where_rules_say_so() -> None:
    """With cheap nights and dear evenings only the surplus is stored, and the battery gives no more than the need."""
    strict = replace(CONNECTION, grid_charging=False, grid_discharging=False)
    plan = planned(
        hours([1_000, -2_000, 1_500], buy=[1_000, 1_000, 40_000], sell=[0, 0, 39_000]), STORE, connection=strict
    )
    assert battery(plan) == [0, 1_500, -1_500]


def test_reserve_ramp_and_standby_are_kept() -> None:
    """The reserve stays, the power moves by at most 1 kW from hour to hour, the stand-by drains what is stored."""
    slow = replace(STORE, stored_wh=5_000, reserve_wh=2_000, ramp_w_max=1_000, standby_w=50)
    plan = planned(hours([3_000, 3_000, 3_000]), slow)
    assert battery(plan) == pytest.approx([-1_000, -1_000, -850], abs=501)
    assert plan.outcome.stored_wh[-1][0] == pytest.approx(2_000, abs=1)
    assert plan.outcome.violations == ()


def test_a_board_without_the_solver_falls_back_to_self_consumption_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 32-bit board has no highspy."""
    monkeypatch.setitem(sys.modules, "highspy", None)
    monkeypatch.delitem(sys.modules, "edge.trading.plan.highs", raising=False)
    plan = planned(hours([-1_000, 2_000]), STORE)
    assert (plan.method, plan.why) == (Method.RULE, "highspy is not installed")
    assert battery(plan) == [1_000, -1_000]


def test_a_solver_without_time_falls_back_to_self_consumption_and_says_so() -> None:
    """A late plan is worse than none."""
    problem = Problem(intervals=hours([-1_000, 2_000]), stores=(STORE,), connection=CONNECTION, end_mct_per_kwh=0)
    plan = make_plan(problem, time_limit_s=0.0)
    assert plan.method is Method.RULE
    assert "Time limit" in plan.why


def test_the_simulator_refuses_what_no_device_can_do() -> None:
    """The witness knows the ratings, not the planner's model."""
    problem = Problem(intervals=hours([0.0]), stores=(STORE,), connection=CONNECTION, end_mct_per_kwh=0)
    action = Action(battery_wh=(9_000.0,), curtailed_wh=1.0, stored_mct_per_kwh=(0.0,))
    outcome = simulate(problem, [action])
    assert len(outcome.impossible) == 2
    assert "above 4000 W" in outcome.impossible[0]
    (drained,) = simulate(problem, [replace(action, battery_wh=(-1_000.0,), curtailed_wh=0.0)]).impossible
    assert "below its window" in drained
    assert simulate(problem, [replace(action, battery_wh=(float("nan"),))]).impossible


def test_energy_left_is_worth_less_than_what_it_saves_in_the_cheapest_quarter_of_the_last_day() -> None:
    """Six of 24 hours cost 10 ct: 8 ct. Under a flat tariff nothing is kept from a need for the end."""
    day = hours([100] * 24, buy=[10_000.0] * 6 + [30_000.0] * 18)
    assert end_value(day) == pytest.approx(8_000)
    assert end_value([]) == 0
    flat = hours([100] * 4)
    full = replace(STORE, stored_wh=10_000, charge_efficiency=0.95, discharge_efficiency=0.95, wear_mct_per_kwh=1_000)
    assert battery(planned(flat, full, end=end_value(flat))) == [-100] * 4


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    count = draw(st.integers(1, 12))
    price = st.integers(-20_000, 60_000)
    intervals = hours(
        draw(st.lists(st.integers(-6_000, 6_000), min_size=count, max_size=count)),
        buy=draw(st.lists(price, min_size=count, max_size=count)),
        sell=draw(st.lists(price, min_size=count, max_size=count)),
    )
    stores = [
        replace(
            STORE,
            id=f"battery-{index}",
            stored_wh=draw(st.integers(0, 10_000)),
            stored_wh_min=500,
            charge_efficiency=draw(st.sampled_from((0.8, 0.95, 1.0))),
            discharge_efficiency=draw(st.sampled_from((0.8, 0.95, 1.0))),
            wear_mct_per_kwh=draw(st.sampled_from((0, 1_000))),
            standby_w=draw(st.sampled_from((0.0, 20.0))),
            reserve_wh=draw(st.sampled_from((0.0, 2_000.0))),
        )
        for index in range(draw(st.integers(0, 2)))
    ]
    connection = Connection(
        import_w_max=draw(st.sampled_from((3_000.0, 20_000.0))),
        export_w_max=draw(st.sampled_from((0.0, 2_000.0, 20_000.0))),
        curtailable=draw(st.booleans()),
        grid_charging=draw(st.booleans()),
        peak_mct_per_kw=draw(st.sampled_from((0.0, 500_000.0))),
        peak_w=draw(st.sampled_from((0.0, 2_000.0))),
    )
    return Problem(
        intervals=intervals, stores=stores, connection=connection, end_mct_per_kwh=draw(st.integers(0, 30_000))
    )


def test_a_store_below_its_window_gives_nothing_to_another() -> None:
    """Found by the law below: one that the sun refills anyway is no reason to plan what its management refuses."""
    starts = [(0, 0, 0, 0), (501, 0, 0, 1), (0, -501, -1, 0)]
    empty = [
        replace(STORE, id=f"battery-{index}", stored_wh=0, stored_wh_min=500, wear_mct_per_kwh=0) for index in range(2)
    ]
    problem = Problem(
        intervals=[
            PlanInterval(
                start=T0 + timedelta(hours=index),
                hours=1,
                load_wh=load,
                pv_wh=pv,
                buy_mct_per_kwh=buy,
                sell_mct_per_kwh=sell,
            )
            for index, (load, pv, buy, sell) in enumerate(starts)
        ],
        stores=[replace(empty[0], charge_efficiency=1.0), empty[1]],
        connection=Connection(import_w_max=3_000, export_w_max=0, grid_charging=False),
        end_mct_per_kwh=0,
    )
    plan = make_plan(problem)
    assert (plan.method, plan.outcome.impossible) == (Method.LINEAR, ())
    assert all(moved >= 0 for action in plan.actions for moved in action.battery_wh)


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_a_plan_can_be_done_and_is_never_worse_than_self_consumption(problem: Problem) -> None:
    """The law on random days, negative prices and limits that cannot be kept included."""
    plan = make_plan(problem)
    event(plan.method.value)
    assert plan.outcome.impossible == ()
    assert plan.outcome.score_mct <= simulate(problem, self_consumption(problem)).score_mct
    assert plan.why in ("", "no plan is cheaper")
