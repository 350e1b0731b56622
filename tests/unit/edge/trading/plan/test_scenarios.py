"""Plans under scenarios: what they are made of, what stored energy is worth under them, and what is done by it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from contracts.units import DELIVERY_INTERVAL
from edge.trading.model import IntervalEnergy
from edge.trading.plan.linear import linear_plan
from edge.trading.plan.plan import Plan, make_plan
from edge.trading.plan.problem import Connection, FlexibleLoad, Need, PlanInterval, Problem, Scenario, Store
from edge.trading.plan.scenarios import SCENARIOS, Past, scenarios
from edge.trading.plan.simulate import simulate
from edge.trading.plan.steer import Aim, steer
from edge.trading.plan.worth import PARTS, hedged, mean_worth, together

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
CONNECTION = Connection(import_w_max=10_000, export_w_max=10_000)
STORE = Store(
    id="battery",
    capacity_wh=4_000,
    charge_w_max=4_000,
    discharge_w_max=4_000,
    stored_wh=0,
    stored_wh_max=4_000,
    charge_efficiency=1.0,
    discharge_efficiency=1.0,
    wear_mct_per_kwh=0,
)


def _hours(net_wh: Sequence[float], *, buy: Sequence[float], sell: float = 8_000) -> list[PlanInterval]:
    return [
        PlanInterval(
            start=MONDAY + timedelta(hours=index),
            hours=1.0,
            load_wh=max(0.0, net),
            pv_wh=min(0.0, net),
            buy_mct_per_kwh=price,
            sell_mct_per_kwh=min(sell, price),
        )
        for index, (net, price) in enumerate(zip(net_wh, buy, strict=True))
    ]


def _way(net_wh: Sequence[float]) -> Scenario:
    return Scenario(load_wh=tuple(max(0.0, net) for net in net_wh), pv_wh=tuple(min(0.0, net) for net in net_wh))


# Cheap now, a sun that would fill the battery, and a dear evening.
NET, BUY = [0.0, -4_000.0, 4_000.0], [20_000.0, 40_000.0, 40_000.0]
CLOUDY = [0.0, 0.0, 4_000.0]


def _sunny(ways: Sequence[Scenario] = (), *, store: Store = STORE, connection: Connection = CONNECTION) -> Plan:
    problem = Problem(
        intervals=_hours(NET, buy=BUY), stores=(store,), connection=connection, end_mct_per_kwh=0.0, scenarios=ways
    )
    return make_plan(problem)


@pytest.mark.parametrize(("cloudy_of_ten", "charged_wh"), [(0, 0), (3, 0), (4, 4_000), (10, 4_000)])
def test_cheap_energy_is_bought_against_a_cloudy_day_as_far_as_it_is_likely(
    cloudy_of_ten: int, charged_wh: float
) -> None:
    """A kWh of 20 ct saves 40 on a cloudy day and is fed in for 8 on a sunny one: from 4 days of 10 on it pays."""
    ways = [_way(CLOUDY)] * cloudy_of_ten + [_way(NET)] * (10 - cloudy_of_ten)
    plan = _sunny(ways)
    assert plan.actions[0].battery_wh[0] == pytest.approx(charged_wh, abs=1)
    assert steer(plan, 0).aim is (Aim.CHARGE_FROM_GRID if charged_wh else Aim.SELF_CONSUMPTION)


def test_what_stored_energy_is_worth_is_the_mean_over_the_ways() -> None:
    """On a cloudy day it serves the evening; on a sunny one it takes the place of sun that is fed in."""
    worth = mean_worth(
        STORE,
        _hours(NET, buy=BUY)[1:],
        ways=[_way(CLOUDY[1:]), _way(NET[1:])],
        connection=CONNECTION,
        end_mct_per_kwh=0.0,
    )
    assert worth == pytest.approx([(40_000 + 8_000) / 2] * PARTS)


def test_sun_that_could_not_be_fed_in_makes_stored_energy_worth_nothing() -> None:
    """Above the cap it is left unused: room is worth more than what fills it."""
    capped = replace(CONNECTION, feed_in_w_max=0.0)
    worth = mean_worth(STORE, _hours(NET, buy=BUY)[1:], ways=[_way(NET[1:])], connection=capped, end_mct_per_kwh=0.0)
    assert worth == pytest.approx([0.0] * PARTS)


@pytest.mark.parametrize(
    ("store", "connection"),
    [
        (STORE, replace(CONNECTION, peak_mct_per_kw=1_000_000.0)),
        (replace(STORE, ramp_w_max=500.0), CONNECTION),
        (replace(STORE, target_wh=1_000.0, target_at=MONDAY + timedelta(hours=2)), CONNECTION),
    ],
)
def test_where_more_than_energy_decides_the_plan_follows_its_forecast(store: Store, connection: Connection) -> None:
    """A peak, a ramp and a target are no part of what a stored kWh is worth."""
    ways = [_way(CLOUDY)] * 10
    hedging = _sunny(ways, store=store, connection=connection)
    assert hedging.actions == _sunny(store=store, connection=connection).actions


def test_the_grid_charges_nothing_where_that_is_forbidden_however_likely_a_cloudy_day() -> None:
    """The rule binds what is done against a chance too."""
    plan = _sunny([_way(CLOUDY)] * 10, connection=replace(CONNECTION, grid_charging=False))
    assert plan.actions[0].battery_wh[0] == pytest.approx(0, abs=1)


def test_two_batteries_do_together_what_is_best_and_a_load_keeps_its_hours() -> None:
    """What the loads take is planned first, and storage around it."""
    small = replace(STORE, id="small", capacity_wh=1_000, stored_wh_max=1_000, charge_w_max=1_000)
    car = FlexibleLoad(
        id="car",
        rated_w=2_000,
        needs=(Need(from_at=MONDAY, due_at=MONDAY + timedelta(hours=1), energy_wh=1_500),),
    )
    problem = Problem(
        intervals=_hours([0.0, 0.0, 9_000.0], buy=BUY),
        stores=(small, STORE),
        connection=CONNECTION,
        end_mct_per_kwh=0.0,
        loads=(car,),
    )
    sure = make_plan(problem)
    hedging = make_plan(replace(problem, scenarios=[_way([0.0, -9_000.0, 0.0])] * 3))
    assert sum(sure.actions[0].battery_wh) == pytest.approx(5_000, abs=1)
    assert sum(hedging.actions[0].battery_wh) == pytest.approx(0, abs=1)
    assert [action.load_wh for action in hedging.actions] == [action.load_wh for action in sure.actions]
    assert not hedging.outcome.violations and not hedging.outcome.impossible


_energies = st.lists(st.integers(-40, 40), min_size=2, max_size=8)


@settings(max_examples=150)
@given(
    net=_energies,
    prices=st.lists(st.integers(1, 40), min_size=8, max_size=8),
    sell=st.integers(0, 30),
    stored=st.integers(0, 40),
    efficiency=st.sampled_from([1.0, 0.9]),
)
def test_of_one_way_the_worth_finds_the_same_cost_as_the_programme(
    net: list[int], prices: list[int], sell: int, stored: int, efficiency: float
) -> None:
    """Two methods that share no arithmetic: the list of uses from the end backwards, and the linear programme."""
    store = replace(
        STORE,
        stored_wh=stored * 100.0,
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        charge_w_max=2_500,
        wear_mct_per_kwh=500,
    )
    net_wh = [each * 100.0 for each in net]
    intervals = _hours(net_wh, buy=[each * 1_000.0 for each in prices[: len(net)]], sell=sell * 1_000.0)
    problem = Problem(
        intervals=intervals,
        stores=(store,),
        connection=CONNECTION,
        end_mct_per_kwh=9_000.0,
        scenarios=[_way(net_wh)],
    )
    actions = linear_plan(problem, tie_break_ct_per_kwh=0.0)
    first_wh = hedged(problem, actions, tie_break_mct_per_kwh=0.0)
    assert first_wh is not None
    event("the same first move" if abs(first_wh[0] - actions[0].battery_wh[0]) < 1 else "another one, as cheap")
    forced = linear_plan(problem, tie_break_ct_per_kwh=0.0, first_wh=first_wh)
    best_mct, forced_mct = (simulate(problem, each).cost_mct for each in (actions, forced))
    # Worth is known by parts of 40 Wh: at most one of them is moved at the wrong price.
    assert forced_mct == pytest.approx(best_mct, abs=40 * 40_000 / 1000)


def test_several_stores_are_one_above_their_floors() -> None:
    """A reserve is not there to be planned with."""
    one = together([replace(STORE, stored_wh=3_000, reserve_wh=1_000), replace(STORE, stored_wh=500)])
    assert (one.capacity_wh, one.stored_wh, one.charge_w_max) == (7_000, 2_500, 8_000)


def _past(*, days: int, until: datetime, works_w: float = 4_000.0) -> Past:
    """Return days on which a works runs from eight to sixteen, each working day a little longer than the one before."""
    energies = {}
    for step in range(1, days * 96 + 1):
        at = until - step * DELIVERY_INTERVAL
        runs = at.weekday() < 5 and 8 <= at.hour < 16
        extra_w = 100.0 * (until - at).days
        energies[at] = IntervalEnergy(load_wh=(works_w + extra_w if runs else 1_000.0) / 4, pv_wh=0.0)
    return Past(energies=energies)


def _quarters(start: datetime, count: int, *, load_w: float = 4_000.0, pv_w: float = 0.0) -> list[PlanInterval]:
    return [
        PlanInterval(
            start=start + step * DELIVERY_INTERVAL,
            hours=0.25,
            load_wh=load_w / 4,
            pv_wh=pv_w / 4,
            buy_mct_per_kwh=30_000,
            sell_mct_per_kwh=8_000,
        )
        for step in range(count)
    ]


def test_scenarios_stray_as_days_of_the_same_kind_do() -> None:
    """A works' Sunday says nothing about its Monday: the load at noon strays by what working days differ."""
    ways = scenarios(_quarters(MONDAY, 96), _past(days=28, until=MONDAY))
    assert len(ways) == SCENARIOS
    noon = sorted(way.load_wh[48] * 4 for way in ways)
    assert sum(noon) / len(noon) == pytest.approx(4_000)
    assert 3_000 < noon[0] < 3_500 and 4_500 < noon[-1] < 5_000


def test_all_scenarios_begin_as_the_present_does() -> None:
    """What is metered now is known; an hour later two thirds of the usual difference are back."""
    now = MONDAY + timedelta(hours=12)
    ways = scenarios(_quarters(now, 16), _past(days=28, until=now))
    assert {round(way.load_wh[0], 6) for way in ways} == {1_000.0}
    spread = [max(way.load_wh[step] for way in ways) - min(way.load_wh[step] for way in ways) for step in (0, 4, 12)]
    assert spread[0] == pytest.approx(0) and spread[1] / spread[2] == pytest.approx(0.66, abs=0.05)


def test_no_sun_strays_into_the_night_and_no_load_falls_below_nothing() -> None:
    """A scenario is something that can happen."""
    past = _past(days=28, until=MONDAY)
    sunny = Past(
        energies={at: IntervalEnergy(load_wh=each.load_wh, pv_wh=-at.day) for at, each in past.energies.items()}
    )
    for way in scenarios(_quarters(MONDAY, 96, load_w=100.0), sunny):
        assert min(way.load_wh) >= 0 and set(way.pv_wh) == {0.0}
    assert any(min(way.pv_wh) < -25 for way in scenarios(_quarters(MONDAY, 96, pv_w=-100.0), sunny))


def test_a_new_site_has_no_scenarios_and_soon_those_of_any_day() -> None:
    """Two days tell nothing; in its first weeks a Saturday strays as other days do."""
    assert scenarios(_quarters(MONDAY, 96), _past(days=2, until=MONDAY)) == ()
    assert scenarios([], _past(days=28, until=MONDAY)) == ()
    saturday = datetime(2026, 6, 6, tzinfo=UTC)
    young = scenarios(_quarters(saturday, 96), _past(days=4, until=saturday))
    assert len({round(way.load_wh[48]) for way in young}) == 4


def test_hours_far_ahead_stray_by_the_energy_of_their_quarters() -> None:
    """A plan's far intervals are whole hours."""
    hour = replace(_quarters(MONDAY + timedelta(hours=9), 1)[0], hours=1.0, load_wh=4_000.0)
    present = _quarters(MONDAY, 1)[0]
    past = _past(days=28, until=MONDAY)
    noon = [way.load_wh[1] for way in scenarios([present, hour], past)]
    quarter = [way.load_wh[1] for way in scenarios([present, _quarters(MONDAY + timedelta(hours=9), 1)[0]], past)]
    assert noon == pytest.approx([4 * each for each in quarter])


def test_kinds_of_days_go_by_the_wall_clock_and_the_holidays() -> None:
    """Late on a Sunday in UTC it is Monday in Berlin; Whit Monday is a Sunday."""
    late = datetime(2026, 6, 7, 23, tzinfo=UTC)
    berlin = Past(clock=ZoneInfo("Europe/Berlin"), holidays={date(2026, 5, 25)})
    assert Past().kind_of(late) != berlin.kind_of(late) == berlin.kind_of(late + timedelta(days=1))
    assert berlin.kind_of(datetime(2026, 5, 25, 12, tzinfo=UTC)) == Past().kind_of(late)
