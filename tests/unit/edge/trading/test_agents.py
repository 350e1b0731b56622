"""Producer and consumer: what they offer, at what price, and that they meet."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.market import Side
from edge.trading.consumer import consumer_orders
from edge.trading.model import Leg, Tariffs
from edge.trading.producer import producer_orders
from tests.support.rigs.trading import BATTERY, T0, TARIFFS, battery_plan, forecast, outlook, sunny_day

SUN = [forecast(1, pv_wh=-800)]
NEED = [forecast(1, load_wh=600)]


def test_a_producer_sells_its_surplus_above_the_export_tariff() -> None:
    """Anything above what the utility pays is a gain."""
    (order,) = producer_orders(outlook(SUN))
    assert (order.side, order.quantity_wh, order.leg) == (Side.SELL, 800, Leg.BASE)
    assert TARIFFS.export_mct_per_kwh < order.price_mct_per_kwh < TARIFFS.import_mct_per_kwh


def test_a_producer_never_sells_below_its_cost() -> None:
    """Not even to trade."""
    (order,) = producer_orders(outlook(SUN), marginal_cost_mct_per_kwh=25_000)
    assert order.price_mct_per_kwh >= 25_000


def test_a_producer_sells_what_is_likely_dearer_than_what_is_sure() -> None:
    """What does not come is bought at the import tariff: three times of ten, of that part."""
    banded = [forecast(1, pv_wh=-800, sure_pv_wh=-500)]
    sure, likely = producer_orders(outlook(banded))
    assert (sure.leg, sure.quantity_wh, likely.leg, likely.quantity_wh) == (Leg.BASE, 500, Leg.LIKELY, 300)
    assert sure.side is likely.side is Side.SELL
    at_the_gate = banded[0].start - timedelta(seconds=301)
    dear = {banded[0].start: TARIFFS.export_mct_per_kwh}
    sure, likely = producer_orders(outlook(banded, now=at_the_gate, prices=dear))
    spread = TARIFFS.import_mct_per_kwh - TARIFFS.export_mct_per_kwh
    assert sure.price_mct_per_kwh <= TARIFFS.export_mct_per_kwh + 1
    assert likely.price_mct_per_kwh == TARIFFS.export_mct_per_kwh + round(0.3 * spread)


def test_what_was_sold_is_taken_off_what_is_sure_first() -> None:
    """The sum offered never passes what is expected, and a band that closes leaves one offer."""
    banded = [forecast(1, pv_wh=-800, sure_pv_wh=-500)]
    sold = {banded[0].start: -600}
    (likely,) = producer_orders(outlook(banded, positions=sold))
    assert (likely.leg, likely.quantity_wh) == (Leg.LIKELY, 200)
    (order,) = producer_orders(outlook([forecast(1, pv_wh=-800, sure_pv_wh=-798)]))
    assert (order.leg, order.quantity_wh) == (Leg.BASE, 800)
    need = [forecast(1, load_wh=600, pv_wh=-100, sure_pv_wh=0)]
    (order,) = producer_orders(outlook(need))
    assert (order.side, order.leg, order.quantity_wh) == (Side.BUY, Leg.BASE, 500)


def test_a_consumer_buys_its_need_below_the_import_tariff() -> None:
    """Anything below what the utility asks is a gain."""
    (order,) = consumer_orders(outlook(NEED))
    assert (order.side, order.quantity_wh) == (Side.BUY, 600)
    assert TARIFFS.export_mct_per_kwh < order.price_mct_per_kwh < TARIFFS.import_mct_per_kwh


@given(
    st.integers(1, 7_200), st.none() | st.integers(8_000, 30_000), st.integers(0, 20_000), st.integers(8_001, 60_000)
)
def test_producer_and_consumer_meet_at_any_time_before_the_gate(
    before_s: int, price: int | None, export: int, import_: int
) -> None:
    """Whatever both expect of the price, as long as they expect the same, their limits cross."""
    tariffs = Tariffs(import_mct_per_kwh=max(export, import_) + 2, export_mct_per_kwh=min(export, import_))
    now = SUN[0].start - timedelta(seconds=300 + before_s)
    expected = {} if price is None else {SUN[0].start: tariffs.between(price)}
    sell = producer_orders(replace(outlook(SUN, now=now, prices=expected), tariffs=tariffs))
    buy = consumer_orders(replace(outlook(NEED, now=now, prices=expected), tariffs=tariffs))
    assert sell[0].price_mct_per_kwh <= buy[0].price_mct_per_kwh
    for order in (*sell, *buy):
        assert tariffs.export_mct_per_kwh < order.price_mct_per_kwh < tariffs.import_mct_per_kwh


def test_towards_the_gate_both_sides_give_way() -> None:
    """Patience earns; at the gate, trading earns more."""
    early, late = SUN[0].start - timedelta(hours=2), SUN[0].start - timedelta(seconds=301)
    first, last = producer_orders(outlook(SUN, now=early))[0], producer_orders(outlook(SUN, now=late))[0]
    assert last.price_mct_per_kwh < first.price_mct_per_kwh
    first, last = consumer_orders(outlook(NEED, now=early))[0], consumer_orders(outlook(NEED, now=late))[0]
    assert last.price_mct_per_kwh > first.price_mct_per_kwh


def test_after_the_gate_nothing_is_wanted() -> None:
    """The market would refuse it, and the schedule is what was traded."""
    assert consumer_orders(outlook(NEED, now=NEED[0].start - timedelta(seconds=300))) == ()


def test_what_is_traded_already_is_not_ordered_again() -> None:
    """A position is part of the plan."""
    start = NEED[0].start
    assert consumer_orders(outlook(NEED, positions={start: 598})) == ()
    (order,) = consumer_orders(outlook(NEED, positions={start: 200}))
    assert order.quantity_wh == 400
    (order,) = consumer_orders(outlook(NEED, positions={start: 900}))
    assert (order.side, order.quantity_wh) == (Side.SELL, 300)


def test_the_batterys_part_trades_at_the_value_of_stored_energy() -> None:
    """A load must flow; a battery can wait, and says at what price it will not."""
    day = [forecast(index, load_wh=1_000) for index in range(8)]
    cheap = {each.start: 8_000 if index < 4 else 30_000 for index, each in enumerate(day)}
    plan = battery_plan(replace(BATTERY, soc_percent=5), day, prices=cheap)
    found = consumer_orders(outlook(day, plan=plan, prices=cheap))
    flex = [order for order in found if order.leg is Leg.FLEX and order.side is Side.BUY]
    value = {step.start: step.buy_mct_per_kwh for step in plan}
    assert flex
    assert all(order.price_mct_per_kwh <= max(value[order.start], TARIFFS.export_mct_per_kwh + 1) for order in flex)


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(-9_000, 0), st.integers(-5_000, 5_000)), max_size=8))
def test_positions_and_orders_stay_within_the_connection(drawn: list[tuple[int, int, int]]) -> None:
    """The market refuses more, and the fuse does too."""
    day = [forecast(index, load_wh=load_wh, pv_wh=pv_wh) for index, (load_wh, pv_wh, _) in enumerate(drawn)]
    held = {each.start: min(max(energy_wh, -4_250), 4_250) for each, (_, _, energy_wh) in zip(day, drawn, strict=True)}
    view = outlook(day, positions=held, plan=battery_plan(BATTERY, day))
    after = dict(held)
    for order in producer_orders(view):
        after[order.start] += order.quantity_wh if order.side is Side.BUY else -order.quantity_wh
    assert all(-4_250 <= energy_wh <= 4_250 for energy_wh in after.values())


def test_a_day_of_orders_is_decided_alike_twice() -> None:
    """Same outlook, same orders: a restart decides what it decided before."""
    day = sunny_day()
    plan = battery_plan(BATTERY, day)
    view = outlook(day, plan=plan)
    assert consumer_orders(view) == consumer_orders(view)
    assert {order.side for order in consumer_orders(view)} == {Side.BUY, Side.SELL}


def test_tariffs_that_would_let_one_trade_with_oneself_are_refused() -> None:
    """An export tariff above the import tariff is a money machine or a typing error."""
    with pytest.raises(ValueError, match="never end"):
        Tariffs(import_mct_per_kwh=1, export_mct_per_kwh=2)
    assert T0.tzinfo is not None
