"""A plan that keeps losing against self-consumption stands back, and comes back once it would have won."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from edge.trading.plan.money_record import DAYS_TO_JUDGE, QUARTERS_PER_DAY, Day, MoneyRecord
from edge.trading.plan.plan import Plan
from edge.trading.plan.problem import Action, Connection, Method, PlanInterval, Problem, Store
from edge.trading.plan.simulate import simulate
from tests.unit.edge.trading.plan.test_plan import CONNECTION, STORE, T0

HALF_FULL = replace(STORE, stored_wh=5_000.0)


def quarter(start: datetime, *, sell: float = 8_000.0) -> PlanInterval:
    """Return one quarter of a day with sun at noon and a need of as much in the evening."""
    return PlanInterval(
        start=start,
        hours=0.25,
        load_wh=1_000.0 if start.hour == 20 else 0.0,
        pv_wh=-1_000.0 if start.hour == 12 else 0.0,
        buy_mct_per_kwh=30_000.0,
        sell_mct_per_kwh=sell,
    )


def selling(interval: PlanInterval, *stores: Store, connection: Connection = CONNECTION) -> Plan:
    """Return a plan that gives 1 kWh to the grid in each quarter of the hour after midnight."""
    sold_wh = -1_000.0 if interval.start.hour == 0 else -interval.net_wh
    problem = Problem(intervals=[interval], stores=stores, connection=connection, end_mct_per_kwh=0.0)
    actions = (Action(battery_wh=(sold_wh,), curtailed_wh=0.0, stored_mct_per_kwh=(0.0,)),)
    return Plan(problem=problem, actions=actions, outcome=simulate(problem, actions), method=Method.LINEAR)


def live(record: MoneyRecord, *, day: int, sell: float, connection: Connection = CONNECTION) -> int:
    """Play a day of quarters; return how many days were judged in it."""
    ended = 0
    for index in range(QUARTERS_PER_DAY):
        came = quarter(T0 + timedelta(days=day, minutes=15 * index), sell=sell)
        plan = selling(came, HALF_FULL, connection=connection)
        ended += record.came(plan, came, stores=(HALF_FULL,))
    return ended


def test_a_plan_that_sells_what_the_evening_needs_stands_back_after_some_days_and_says_why() -> None:
    """Sold at 8 ct and bought back at 30 ct: 4 kWh a day make 88 ct, the first day only begins the record."""
    record = MoneyRecord()
    for day in range(DAYS_TO_JUDGE):
        live(record, day=day, sell=8_000)
        assert not record.is_back
    live(record, day=DAYS_TO_JUDGE, sell=8_000)
    assert record.is_back
    assert record.loss_mct == pytest.approx(88_000)
    assert record.why_back == (
        "the plan stands back: played on the last 3 days it cost 88 ct a day more than self-consumption"
    )


def test_a_loss_that_may_be_chance_does_not_end_a_plan() -> None:
    """Days of plus and minus four euros tell nothing of 88 ct on the last one."""
    gains_and_losses = [Day(planned_mct=loss, ruled_mct=0.0) for loss in (-400_000.0, 400_000.0) * 4]
    record = MoneyRecord(gains_and_losses)
    for day in range(2):
        live(record, day=day, sell=8_000)
    assert record.days[-1].planned_mct - record.days[-1].ruled_mct == pytest.approx(88_000)
    assert record.loss_mct > 1_000
    assert not record.is_back


def test_self_consumption_goes_on_from_the_storage_that_it_would_have_had_itself() -> None:
    """A real battery that the plan has emptied says nothing of what the rule would have stored for this evening."""
    record = MoneyRecord()
    empty = replace(HALF_FULL, stored_wh=0.0)
    for index in range(1 + 2 * QUARTERS_PER_DAY):
        came = quarter(T0 + timedelta(minutes=15 * index))
        came = replace(came, buy_mct_per_kwh=60_000.0 if came.start.hour == 20 else 20_000.0)
        came = replace(came, pv_wh=0.0) if index > QUARTERS_PER_DAY else came  # The sun shines on the first day alone.
        record.came(selling(came, HALF_FULL), came, stores=(HALF_FULL if index == 0 else empty,))
    _, second = record.days
    # The evening's 4 kWh come out of its own battery, and count there at the day's mean price instead of at 60 ct.
    mean_mct = (23 * 20_000 + 60_000) / 24
    assert second.ruled_mct == pytest.approx(4 * (mean_mct + HALF_FULL.wear_mct_per_kwh))


def test_a_plan_on_trial_is_made_for_the_storage_as_it_would_have_left_it_and_can_win_again() -> None:
    """While it stands back the real battery is the rule's; the plan's own has sold its energy."""
    record = MoneyRecord([Day(planned_mct=5_000, ruled_mct=0)] * DAYS_TO_JUDGE, is_back=True)
    for index in range(6):
        came = quarter(T0 + timedelta(minutes=15 * index))
        record.came(selling(came, HALF_FULL), came, stores=(HALF_FULL,))
    (trial,) = record.trial_stores((HALF_FULL,))
    assert trial.stored_wh == pytest.approx(2_000)  # The first quarter only begins: three of four are played.
    for day in range(1, 4):
        live(record, day=day, sell=60_000)
    assert not record.is_back
    assert record.why_back == ""
    assert record.trial_stores((HALF_FULL,)) == (HALF_FULL,)


def test_nothing_is_judged_by_energy_alone_where_a_plan_serves_a_peak_or_a_target() -> None:
    """A plan that shaves the month's peak, or has the car's energy ready, pays for it with energy."""
    record = MoneyRecord()
    peak = replace(CONNECTION, peak_mct_per_kw=10_000_000)
    assert live(record, day=0, sell=8_000, connection=peak) + live(record, day=1, sell=8_000, connection=peak) == 0
    target = replace(HALF_FULL, target_wh=5_000, target_at=T0 + timedelta(days=3))
    for index in range(2 * QUARTERS_PER_DAY):
        came = quarter(T0 + timedelta(minutes=15 * index))
        assert not record.came(selling(came, target), came, stores=(target,))
    assert record.days == ()


def test_a_gap_in_what_was_metered_begins_a_day_anew() -> None:
    """Half a day each side of an outage is no day."""
    record = MoneyRecord()
    for index in (*range(60), *range(70, 70 + 60)):
        came = quarter(T0 + timedelta(minutes=15 * index))
        assert not record.came(selling(came, HALF_FULL), came, stores=(HALF_FULL,))
    assert record.days == ()
