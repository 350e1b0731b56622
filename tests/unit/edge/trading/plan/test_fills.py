"""What a plan may count on of the market, learnt from what became of the site's own orders."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.market import Side
from edge.trading.consumer import consumer_orders
from edge.trading.model import Battery
from edge.trading.orders import OwnOrder
from edge.trading.plan.fills import MISSED_MAX, MISSED_MIN, Fills, SideFills, with_interval
from edge.trading.plan.horizon import plan_intervals, store_of
from edge.trading.plan.plan import end_value, make_plan
from edge.trading.plan.problem import Connection, Problem
from edge.trading.plan.rates import planned_rates
from edge.trading.plan.steps import battery_steps
from tests.support.rigs.trading import TARIFFS, forecast, outlook


def order(
    *, side: Side = Side.BUY, quantity_wh: int = 500, traded_wh: int = 0, taken: bool = True, withdrawn: bool = False
) -> OwnOrder:
    """Return an order at the end of its interval."""
    return OwnOrder(
        order_id="x",
        revision=0,
        side=side,
        quantity_wh=quantity_wh,
        price_mct_per_kwh=12_000,
        traded_wh=traded_wh,
        open=False,
        confirmed=(quantity_wh, 12_000) if taken else None,
        withdrawn=withdrawn,
    )


def after(fills: Fills, count: int, *, traded_wh: int, side: Side = Side.BUY) -> Fills:
    """Return the memory after so many intervals with one order of 500 Wh."""
    signed_wh = traded_wh if side is Side.BUY else -traded_wh
    for _ in range(count):
        fills = with_interval(fills, position_wh=signed_wh, orders=[order(side=side, traded_wh=traded_wh)])
    return fills


def rates(fills: Fills | None) -> tuple[float, float]:
    """Return what a kWh costs and brings at an expected price of 20 ct between 8 and 30 ct."""
    return planned_rates(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000, price_mct_per_kwh=20_000, fills=fills)


def test_half_of_the_way_to_the_tariff_is_planned_before_anything_is_known() -> None:
    """As it was before there was a memory."""
    assert rates(None) == rates(Fills()) == (25_000, 14_000)


def test_who_trades_all_plans_near_the_price_and_who_trades_nothing_near_the_tariff() -> None:
    """Each side learns alone, and is never sure."""
    bought = after(Fills(), 96, traded_wh=500)
    assert rates(bought) == pytest.approx((21_000, 14_000)) and bought.sell == SideFills()
    assert rates(after(Fills(), 300, traded_wh=0)) == pytest.approx((29_000, 14_000))
    assert rates(after(Fills(), 96, traded_wh=500, side=Side.SELL)) == pytest.approx((25_000, 18_800))
    half = after(Fills(), 96, traded_wh=250)
    assert rates(half) == (25_000, 14_000)


def test_a_market_that_turned_is_known_within_a_day() -> None:
    """Three days of trades, then none."""
    fills = after(after(Fills(), 300, traded_wh=500), 96, traded_wh=0)
    assert 0.35 < fills.buy.missed < 0.45
    assert after(fills, 200, traded_wh=0).buy.missed > 0.6


def test_what_was_traded_under_an_earlier_order_of_the_interval_counts() -> None:
    """Of 500 Wh traded and 500 Wh that a later order waited for in vain, half was missed."""
    fills = with_interval(Fills(), position_wh=500, orders=[order(quantity_wh=500)])
    assert fills.buy == SideFills(ordered=1.0, traded=0.5)


@pytest.mark.parametrize(
    "said", [order(taken=False), order(withdrawn=True), order(quantity_wh=500, traded_wh=500)], ids=str
)
def test_an_order_that_was_never_there_or_is_done_leaves_nothing_missed(said: OwnOrder) -> None:
    """A refused order and a withdrawn one say nothing of the market."""
    assert with_interval(Fills(), position_wh=0, orders=[said]) == Fills()


@given(
    st.lists(
        st.tuples(
            st.integers(-5_000, 5_000), st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 5_000)), max_size=2)
        ),
        max_size=60,
    )
)
def test_the_rates_stay_between_price_and_tariff_and_more_trades_never_worsen_them(
    intervals: list[tuple[int, list[tuple[Side, int]]]],
) -> None:
    """Whatever happened; and one interval that traded in full brings the price nearer."""
    fills = Fills()
    for position_wh, legs in intervals:
        orders = [order(side=side, quantity_wh=quantity_wh) for side, quantity_wh in legs]
        fills = with_interval(fills, position_wh=position_wh, orders=orders)
    event("learnt" if fills != Fills() else "nothing learnt")
    for side in (fills.buy, fills.sell):
        assert MISSED_MIN <= side.missed <= MISSED_MAX and 0 <= side.traded <= side.ordered + 1e-9
    buy, sell = rates(fills)
    assert 20_000 < buy < 30_000 and 8_000 < sell < 20_000
    better = with_interval(fills, position_wh=500, orders=[])
    assert rates(better)[0] <= buy + 1e-9 and rates(better)[1] == sell


def test_an_order_that_was_stored_before_there_was_a_memory_is_read() -> None:
    """Its state does not say whether it was withdrawn."""
    stored = {
        "order_id": "home-1-1-base-0",
        "revision": 0,
        "side": "buy",
        "quantity_wh": 500,
        "price_mct_per_kwh": 12_000,
        "traded_wh": 100,
        "open": False,
        "confirmed": [500, 12_000],
    }
    assert TypeAdapter(OwnOrder).validate_python(stored).withdrawn is False


def rates_at(prices: Mapping[datetime, int], fills: Fills) -> Callable[[datetime], tuple[float, float]]:
    """Return what each quarter is planned with."""
    return lambda start: planned_rates(
        import_mct_per_kwh=TARIFFS.import_mct_per_kwh,
        export_mct_per_kwh=TARIFFS.export_mct_per_kwh,
        price_mct_per_kwh=prices[start],
        fills=fills,
    )


def _day(price_of: list[int], days: int, *, buys: bool, learns: bool) -> float:
    """Return what days cost in ct, with a battery of 10 kWh, where orders of the right price trade in full or not."""
    net_wh = [350 if 68 <= step % 96 < 92 else 100 for step in range(96 * (days + 1))]
    fills, soc, cost_mct, quarter = Fills(), 5.0, 0.0, timedelta(minutes=15)
    for step in range(96 * days):
        forecasts = [forecast(step + ahead, load_wh=net_wh[step + ahead]) for ahead in range(32)]
        prices = {each.start: price_of[(step + ahead) % 96] for ahead, each in enumerate(forecasts)}

        battery = Battery(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000, soc_percent=soc)
        intervals = plan_intervals(forecasts, rates=rates_at(prices, fills), now=forecasts[0].start)
        problem = Problem(
            intervals=intervals,
            stores=(store_of(battery, name="battery"),),
            connection=Connection(import_w_max=17_000, export_w_max=17_000),
            end_mct_per_kwh=end_value(intervals),
        )
        plan = battery_steps(make_plan(problem), after=forecasts[0].start - quarter)
        now = forecasts[0].start - timedelta(minutes=6)
        wanted = consumer_orders(outlook(forecasts[:8], now=now, plan=plan, prices=prices))
        price, position_wh, orders = price_of[step % 96], 0, []
        for each in (each for each in wanted if each.start == forecasts[0].start):
            bought = each.side is Side.BUY
            meets = each.price_mct_per_kwh >= price if bought else each.price_mct_per_kwh <= price
            traded_wh = each.quantity_wh if meets and (buys or not bought) else 0
            position_wh += traded_wh if bought else -traded_wh
            orders.append(order(side=each.side, quantity_wh=each.quantity_wh, traded_wh=traded_wh))
        if learns:
            fills = with_interval(fills, position_wh=position_wh, orders=orders)
        asked_wh = position_wh - net_wh[step] if position_wh else -net_wh[step]
        held_wh = (soc - 5) * 100
        moved_wh = max(-min(1_250.0, held_wh * 0.95), min(asked_wh, 1_250.0, (100 - soc) * 100 / 0.95))
        soc += (moved_wh * 0.95 if moved_wh > 0 else moved_wh / 0.95) / 100
        left_wh = net_wh[step] + moved_wh - position_wh
        tariff = TARIFFS.import_mct_per_kwh if left_wh > 0 else TARIFFS.export_mct_per_kwh
        cost_mct += (position_wh * price + left_wh * tariff) / 1_000
    return (cost_mct - (soc - 5) * 95 * min(price_of) / 1_000) / 1_000


def test_three_prices_that_alternate_are_used_once_orders_are_seen_to_trade() -> None:
    """9 ct at night, 14 by day, 29 in the evening: half of the way to the tariff left most of the gain behind."""
    prices = [9_000 if step < 24 else 29_000 if 68 <= step < 88 else 14_000 for step in range(96)]
    without = _day(prices, 2, buys=True, learns=False)
    assert _day(prices, 2, buys=True, learns=True) < 0.85 * without
    # Where nobody sells to it, a site that learns loses nothing by it.
    assert _day(prices, 1, buys=False, learns=True) <= _day(prices, 1, buys=False, learns=False) + 0.01
