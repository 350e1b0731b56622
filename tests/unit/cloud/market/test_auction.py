"""The call auction: greatest welfare, then volume, at a price that clears; in integers of any size."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.market.arrays import clear_columns
from cloud.market.auction import (
    AuctionOrder,
    Clearing,
    PriceRule,
    Tie,
    clear,
    merit_order,
    pay_as_bid,
    payments,
    share,
)
from contracts.market import Side

BUY, SELL = Side.BUY, Side.SELL


def _orders(rows: list[tuple[Side, int, int]]) -> list[AuctionOrder]:
    return [
        AuctionOrder(
            order_id=f"o{number}",
            agent=f"a{number % 5}",
            side=side,
            quantity_wh=quantity,
            limit_mct_per_kwh=limit,
            sequence=number,
        )
        for number, (side, quantity, limit) in enumerate(rows)
    ]


_rows = st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 9), st.integers(-6, 6))
_books = st.lists(_rows, max_size=14).map(_orders)


def _best_by_units(orders: list[AuctionOrder]) -> tuple[int, int]:
    """Return welfare and volume of the best allocation, found unit by unit: an independent count."""
    bids = sorted((o.limit_mct_per_kwh for o in orders if o.side is BUY for _ in range(o.quantity_wh)), reverse=True)
    offers = sorted(o.limit_mct_per_kwh for o in orders if o.side is SELL for _ in range(o.quantity_wh))
    pairs = [bid - offer for bid, offer in zip(bids, offers, strict=False) if bid >= offer]
    return sum(pairs), len(pairs)


def _clears_at(orders: list[AuctionOrder], fills: dict[str, int], price: int) -> bool:
    """Return whether everybody got exactly what they want at a price."""
    for order in orders:
        gain = (order.limit_mct_per_kwh - price) * (1 if order.side is BUY else -1)
        got = fills[order.order_id]
        if (gain > 0 and got < order.quantity_wh) or (gain < 0 and got):
            return False
    return True


def _fill_sums(orders: list[AuctionOrder], clearing: Clearing) -> tuple[int, int]:
    bought = sum(clearing.fills[o.order_id] for o in orders if o.side is BUY)
    return bought, sum(clearing.fills[o.order_id] for o in orders if o.side is SELL)


@pytest.mark.parametrize("tie", Tie)
@given(orders=_books)
def test_welfare_and_volume_are_the_greatest_and_every_price_of_the_interval_clears(
    tie: Tie, orders: list[AuctionOrder]
) -> None:
    """Laws 1, 3, 4, 6, 7: no peer passes its own books on these; the price proves itself."""
    clearing = clear(orders, tie=tie, product="p")
    welfare, volume = _best_by_units(orders)
    assert (clearing.welfare_uct, clearing.volume_wh) == (welfare, volume)
    assert _fill_sums(orders, clearing) == (volume, volume)
    assert all(0 <= clearing.fills[order.order_id] <= order.quantity_wh for order in orders)
    assert sum(payments(clearing, lambda order_id: order_id).values()) == 0
    price = clearing.price
    if not volume:
        assert price.paid is None
        assert clearing.trades == ()
        return
    assert price.low is not None
    assert price.high is not None
    assert price.low <= price.high
    assert price.paid == price.middle == (price.low + price.high) // 2
    for candidate in (price.low, price.high):
        assert _clears_at(orders, clearing.fills, candidate)
    for candidate in (price.low - 1, price.high + 1):
        assert not _clears_at(orders, clearing.fills, candidate)
    assert {trade.price_mct_per_kwh for trade in clearing.trades} == {price.paid}
    by_id = {order.order_id: order for order in orders}
    assert price.low_by is not None
    assert by_id[price.low_by].limit_mct_per_kwh == price.low
    assert price.high_by is not None
    assert by_id[price.high_by].limit_mct_per_kwh == price.high
    assert (price.pinned_by is not None) == (price.low == price.high)


@given(orders=_books)
def test_no_order_is_served_before_a_better_or_earlier_one(orders: list[AuctionOrder]) -> None:
    """Law 5, within each side."""
    clearing = clear(orders)
    for side, sign in ((BUY, -1), (SELL, 1)):
        ranked = sorted((o for o in orders if o.side is side), key=lambda o: (sign * o.limit_mct_per_kwh, o.sequence))
        open_seen = False
        for order in ranked:
            got = clearing.fills[order.order_id]
            assert not (open_seen and got)
            open_seen = open_seen or got < order.quantity_wh


@given(orders=_books)
def test_pay_as_bid_serves_as_the_call_does_and_balances(orders: list[AuctionOrder]) -> None:
    """Peers pair the dearest offer first, or take from buyers more than sellers get."""
    clearing = pay_as_bid(orders)
    assert (clearing.welfare_uct, clearing.volume_wh) == _best_by_units(orders)
    by_id = {order.order_id: order for order in orders}
    for trade in clearing.trades:
        assert trade.price_mct_per_kwh == by_id[trade.buy_id].limit_mct_per_kwh
        assert trade.price_mct_per_kwh >= by_id[trade.sell_id].limit_mct_per_kwh
    assert sum(payments(clearing, lambda order_id: order_id).values()) == 0


@given(orders=_books, quantity=st.integers(1, 9), limit=st.integers(-6, 6), buy=st.booleans())
def test_one_more_order_moves_volume_and_interval_only_its_own_way(
    orders: list[AuctionOrder], quantity: int, limit: int, buy: bool
) -> None:
    """Law 8: a bid never lowers the volume or either end, an offer never raises an end."""
    more = AuctionOrder(
        order_id="more",
        agent="more",
        side=BUY if buy else SELL,
        quantity_wh=quantity,
        limit_mct_per_kwh=limit,
        sequence=10**6,
    )
    before, after = clear(orders), clear([*orders, more])
    assert after.volume_wh >= before.volume_wh
    if not before.volume_wh:
        return
    sign = 1 if buy else -1
    for old, new in ((before.price.low, after.price.low), (before.price.high, after.price.high)):
        assert old is not None
        assert new is not None
        assert sign * new >= sign * old


@given(orders=_books, factor=st.integers(1, 10**15), shift=st.integers(-(10**6), 10**6))
def test_scaling_quantities_scales_fills_and_shifting_limits_shifts_the_price(
    orders: list[AuctionOrder], factor: int, shift: int
) -> None:
    """Laws 8 and 16: also at quantities of 10**16, nothing rounds or overflows."""
    changed = [
        AuctionOrder(
            order_id=o.order_id,
            agent=o.agent,
            side=o.side,
            quantity_wh=o.quantity_wh * factor,
            limit_mct_per_kwh=o.limit_mct_per_kwh + shift,
            sequence=o.sequence,
        )
        for o in orders
    ]
    before, after = clear(orders), clear(changed)
    assert after.fills == {order_id: filled * factor for order_id, filled in before.fills.items()}
    if before.volume_wh:
        assert before.price.paid is not None
        assert after.price.paid == before.price.paid + shift


@given(orders=st.lists(_rows, max_size=5).map(_orders))
def test_the_order_of_arrival_decides_only_among_equal_limits(orders: list[AuctionOrder]) -> None:
    """Law 9."""
    first = clear(orders)
    served = _by_limit(orders, first)
    for arrangement in permutations(orders):
        again = [
            AuctionOrder(
                order_id=o.order_id,
                agent=o.agent,
                side=o.side,
                quantity_wh=o.quantity_wh,
                limit_mct_per_kwh=o.limit_mct_per_kwh,
                sequence=place,
            )
            for place, o in enumerate(arrangement)
        ]
        clearing = clear(again)
        assert (clearing.volume_wh, clearing.price.low, clearing.price.high) == (
            first.volume_wh,
            first.price.low,
            first.price.high,
        )
        assert _by_limit(again, clearing) == served


def _by_limit(orders: list[AuctionOrder], clearing: Clearing) -> dict[tuple[Side, int], int]:
    sums: dict[tuple[Side, int], int] = {}
    for order in orders:
        level = (order.side, order.limit_mct_per_kwh)
        sums[level] = sums.get(level, 0) + clearing.fills[order.order_id]
    return sums


@given(orders=_books)
def test_columns_clear_as_single_orders_do(orders: list[AuctionOrder]) -> None:
    """The fast path is another way to count, not another market."""
    _assert_columns_agree(orders)


def test_columns_clear_limits_that_lie_far_apart() -> None:
    """Levels too far apart for a table are sorted instead."""
    _assert_columns_agree(
        _orders([(BUY, 5, 10**12), (SELL, 7, -(10**12)), (BUY, 4, 3), (SELL, 9, 2), (BUY, 3, 10**12)])
    )


def _assert_columns_agree(orders: list[AuctionOrder]) -> None:
    bids, offers = [o for o in orders if o.side is BUY], [o for o in orders if o.side is SELL]

    def column(values: list[int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array(values, dtype=np.int64)

    clearing = clear_columns(
        buy_price=column([o.limit_mct_per_kwh for o in bids]),
        buy_wh=column([o.quantity_wh for o in bids]),
        sell_price=column([o.limit_mct_per_kwh for o in offers][::-1]),
        sell_wh=column([o.quantity_wh for o in offers][::-1]),
        sell_sequence=column([o.sequence for o in offers][::-1]),
    )
    slow = clear(orders)
    assert (clearing.volume_wh, clearing.low, clearing.high, clearing.paid) == (
        slow.volume_wh,
        slow.price.low,
        slow.price.high,
        slow.price.paid,
    )
    assert clearing.buy_fills.tolist() == [slow.fills[o.order_id] for o in bids]
    assert clearing.sell_fills.tolist() == [slow.fills[o.order_id] for o in offers][::-1]


def test_columns_refuse_a_sum_that_would_wrap() -> None:
    """64 bits end somewhere; the slow path has no end."""
    huge = np.array([2**61, 2**61], dtype=np.int64)
    price = np.array([1, 1], dtype=np.int64)
    with pytest.raises(OverflowError, match="use auction"):
        clear_columns(buy_price=price, buy_wh=huge, sell_price=price, sell_wh=huge)


@given(orders=_books, demand=st.integers(0, 40))
def test_merit_order_serves_the_cheapest_and_says_what_is_short(orders: list[AuctionOrder], demand: int) -> None:
    """A fixed demand above all offers must show as scarcity, not as the last offer's price."""
    offers = [order for order in orders if order.side is SELL]
    clearing = merit_order(offers, demand_wh=demand)
    supply = sum(order.quantity_wh for order in offers)
    assert clearing.volume_wh == min(demand, supply)
    assert clearing.short_wh == max(0, demand - supply)
    units = sorted(o.limit_mct_per_kwh for o in offers for _ in range(o.quantity_wh))[: clearing.volume_wh]
    assert -clearing.welfare_uct == sum(units)
    if units:
        assert clearing.price.paid == units[-1]
    if clearing.short_wh:
        assert clearing.price.high is None


@given(quantities=st.lists(st.integers(1, 50), min_size=1, max_size=8), data=st.data())
def test_shares_are_whole_and_within_one_of_proportion(quantities: list[int], data: st.DataObject) -> None:
    """Largest remainder: nobody gets over their quantity, nothing is lost."""
    total = data.draw(st.integers(0, sum(quantities)))
    given_ = share(quantities, total)
    assert sum(given_) == total
    for quantity, got in zip(quantities, given_, strict=True):
        exact = quantity * total / sum(quantities)
        assert abs(got - exact) < 1
        assert 0 <= got <= quantity


PLAIN = {
    "equal limits trade": ([(BUY, 10, 5), (SELL, 10, 5)], 10, 5, 5),
    "curves that meet exactly leave an interval": ([(BUY, 10, 9), (SELL, 10, 4)], 10, 4, 9),
    "a partly filled bid pins the price": ([(BUY, 10, 9), (BUY, 10, 7), (SELL, 15, 3), (SELL, 10, 8)], 15, 7, 7),
    "a partly filled offer pins the price": ([(BUY, 25, 9), (SELL, 20, 3), (SELL, 20, 5)], 25, 5, 5),
    "scarcity shows in the price": ([(BUY, 700, 3000), (SELL, 500, 100)], 500, 3000, 3000),
    "a bid left out holds the price up": ([(BUY, 10, 9), (BUY, 5, 8), (SELL, 10, 2)], 10, 8, 9),
    "negative limits": ([(BUY, 10, -3), (SELL, 10, -6)], 10, -6, -3),
}


@pytest.mark.parametrize(("rows", "volume", "low", "high"), PLAIN.values(), ids=PLAIN.keys())
def test_plain_books(rows: list[tuple[Side, int, int]], volume: int, low: int, high: int) -> None:
    """The traps on which peers fail, one by one."""
    clearing = clear(_orders(rows))
    assert (clearing.volume_wh, clearing.price.low, clearing.price.high) == (volume, low, high)


def test_the_middle_is_rounded_down_also_below_zero() -> None:
    """One written rule: floor, not towards zero."""
    assert clear(_orders([(BUY, 10, -3), (SELL, 10, -6)])).price.paid == -5


def test_a_reference_moves_into_the_interval() -> None:
    """The last continuous trade may set the price where the call leaves a choice, never outside it."""
    orders = _orders([(BUY, 10, 9), (SELL, 10, 4)])
    for reference, paid in ((6, 6), (1, 4), (20, 9)):
        assert clear(orders, rule=PriceRule.REFERENCE, reference=reference).price.paid == paid


def test_lots_are_drawn_anew_for_each_product_and_repeat_for_the_same() -> None:
    """Fair over many intervals, and the same on every replay."""
    orders = _orders([(BUY, 1, 5), (BUY, 1, 5), (BUY, 1, 5), (SELL, 1, 5)])
    winners = [max(clear(orders, tie=Tie.LOT, product=f"z:{n}").fills.items(), key=_filled_buy) for n in range(60)]
    again = [max(clear(orders, tie=Tie.LOT, product=f"z:{n}").fills.items(), key=_filled_buy) for n in range(60)]
    assert winners == again
    assert {winner for winner, _ in winners} == {"o0", "o1", "o2"}


def _filled_buy(item: tuple[str, int]) -> int:
    return item[1] if item[0] != "o3" else -1
