"""Clearing over zones: the linear program's optimum, in integers, at prices that prove it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market.auction import AuctionOrder, clear
from cloud.market.network import Link, NetworkClearing, clear_network
from contracts.market import Side
from tests.support.market.lp import optimum

ZONES = ("a", "b", "c", "d")


@st.composite
def _networks(draw: st.DrawFn) -> tuple[list[AuctionOrder], list[Link]]:
    zones = ZONES[: draw(st.integers(1, 4))]
    rows = draw(
        st.lists(st.tuples(st.sampled_from(zones), st.booleans(), st.integers(1, 9), st.integers(-6, 9)), max_size=16)
    )
    pairs = [(start, end) for start in zones for end in zones if start != end]
    lines = (
        draw(st.lists(st.tuples(st.sampled_from(pairs), st.integers(0, 8), st.integers(0, 3)), max_size=5))
        if pairs
        else []
    )
    links = [Link(origin=p[0], target=p[1], capacity_wh=room, fee_mct_per_kwh=fee) for p, room, fee in lines]
    return [_order(number, *row) for number, row in enumerate(rows)], links


def _order(number: int, zone: str, buy: bool, quantity: int, limit: int) -> AuctionOrder:
    return AuctionOrder(
        order_id=f"o{number}",
        agent=f"o{number}",
        side=Side.BUY if buy else Side.SELL,
        quantity_wh=quantity,
        limit_mct_per_kwh=limit,
        sequence=number,
        zone=zone,
    )


@settings(max_examples=200, deadline=None)
@given(network=_networks())
def test_welfare_is_the_optimum_and_prices_balances_and_rent_hold(
    network: tuple[list[AuctionOrder], list[Link]],
) -> None:
    """Laws 1, 3, 4, 7, 19 in one: nothing is lost on a line, nobody pays beyond a limit, rent is never negative."""
    orders, links = network
    clearing = clear_network(orders, links)
    assert (clearing.welfare_uct, clearing.volume_wh) == optimum(orders, links)
    _judge(orders, links, clearing)


def _judge(orders: list[AuctionOrder], links: list[Link], clearing: NetworkClearing) -> None:
    exports = dict.fromkeys(ZONES, 0)
    for order in orders:
        got, zone = clearing.fills[order.order_id], clearing.zones[order.zone]
        assert 0 <= got <= order.quantity_wh
        exports[order.zone] += got if order.side is Side.SELL else -got
        for price in (zone.low, zone.high) if clearing.volume_wh else ():
            if price is not None:
                sign = 1 if order.side is Side.BUY else -1
                gain = sign * (order.limit_mct_per_kwh - price)
                assert gain >= 0 or got == 0
                assert gain <= 0 or got == order.quantity_wh
    capacity = {link.name: sum(other.capacity_wh for other in links if other.name == link.name) for link in links}
    for name, flow in clearing.flows.items():
        start, end = name.split(">")
        exports[start] -= flow
        exports[end] += flow
        assert abs(flow) <= capacity[name]
    assert set(exports.values()) == {0}
    assert clearing.rent_uct >= 0
    paid = sum(t.quantity_wh * (t.buy_mct_per_kwh - t.sell_mct_per_kwh) for t in clearing.trades)
    assert paid == clearing.fees_uct + clearing.rent_uct
    assert sum(t.quantity_wh for t in clearing.trades) == clearing.volume_wh
    for link in links:
        flow = clearing.flows[link.name]
        start_price, end_price = clearing.zones[link.origin].paid, clearing.zones[link.target].paid
        single = sum(other.name == link.name for other in links) == 1
        if start_price is not None and end_price is not None and single:
            if flow < link.capacity_wh:
                assert end_price - start_price <= link.fee_mct_per_kwh
            if flow > -link.capacity_wh:
                assert start_price - end_price <= link.fee_mct_per_kwh


def _random_books(count: int, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(count):
        orders = [
            _order(n, "a", draw.random() < 0.5, draw.randint(1, 50), draw.randint(-20, 60))
            for n in range(draw.randint(0, 40))
        ]
        clearing = clear(orders)
        assert (clearing.welfare_uct, clearing.volume_wh) == optimum(orders, []), f"book {number} of seed {seed}"


def test_the_sweep_agrees_with_the_linear_program_on_300_random_books() -> None:
    """Law 7, by a program that knows nothing of sweeps."""
    _random_books(300, seed=1)


@pytest.mark.slow
def test_the_sweep_agrees_with_the_linear_program_on_10000_random_books() -> None:
    """The same, long enough to mean it."""
    _random_books(10_000, seed=2)


def test_a_full_line_splits_the_price_and_its_rent_is_kept() -> None:
    """Congestion by example: the cheap zone exports what the line carries."""
    orders = [
        _order(0, "a", False, 100, 10),
        _order(1, "b", False, 100, 50),
        _order(2, "b", True, 80, 90),
    ]
    clearing = clear_network(orders, [Link(origin="a", target="b", capacity_wh=30, fee_mct_per_kwh=2)])
    assert clearing.flows == {"a>b": 30}
    assert clearing.fills == {"o0": 30, "o1": 50, "o2": 80}
    assert (clearing.zones["a"].paid, clearing.zones["b"].paid) == (10, 50)
    assert (clearing.fees_uct, clearing.rent_uct) == (60, 30 * 38)


def test_one_zone_alone_clears_as_the_call_does() -> None:
    """No network, no difference."""
    orders = [_order(0, "a", False, 10, 4), _order(1, "a", True, 10, 9)]
    network, call = clear_network(orders, []), clear(orders)
    assert (network.zones["a"].low, network.zones["a"].high) == (call.price.low, call.price.high)
    assert network.zones["a"].paid == call.price.paid
    assert network.fills == call.fills


def test_an_unusable_link_is_refused() -> None:
    """A line to itself would carry anything."""
    with pytest.raises(ValueError, match="unusable"):
        clear_network([], [Link(origin="a", target="a", capacity_wh=1)])
