"""Areas that lines join, inside the engine: one clearing, every law kept, the rent on its account."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.market import commands
from cloud.market.auction import AuctionOrder
from cloud.market.engine import BadCommand, Engine
from cloud.market.ledger import LINK_FEES, RENT
from cloud.market.network import Link
from cloud.market.rules import LINES, UTILITY, MarketRules, Participant
from cloud.market.state import Outcome, Product
from cloud.market.tools.replay import replay
from contracts.market import ProductState, Side
from tests.support.market.lp import optimum
from tests.support.market.streams import INTERVALS, T0_MS, Command, participants, rules, run, streams

AREAS = {"farm": "east", "mill": "west", "home-1": "west", "home-2": "south"}
LAST_RESORT = {"import_mct_per_kwh": 30, "export_mct_per_kwh": 8, "import_wh": 9, "export_wh": 9, "area": "west"}
FIRST = INTERVALS[0]
GATE_MS = FIRST - 300_000


def _rules(east_west_wh: int = 4, **changes: Any) -> MarketRules:
    links = [
        {"from": "east", "to": "west", "capacity_wh": east_west_wh, "fee_mct_per_kwh": 2},
        {"from": "west", "to": "south", "capacity_wh": 3},
        {"from": "south", "to": "east", "capacity_wh": 1, "fee_mct_per_kwh": 1},
    ]
    return rules(mechanism="call", links=links, last_resort=LAST_RESORT, **changes)


def _engine(**changes: Any) -> Engine:
    engine = Engine(_rules(**changes))
    for command in participants(AREAS):
        engine.apply(command)
    engine.apply(commands.tick(at_ms=T0_MS))
    return engine


def _order(site: str, side: str, quantity: int, price: int) -> Command:
    return {
        "op": "new",
        "at_ms": T0_MS,
        "site": site,
        "order_id": f"{side}-{price}",
        "interval_ms": FIRST,
        "side": side,
        "quantity_wh": quantity,
        "price_mct_per_kwh": price,
    }


def _judge_lines(engine: Engine) -> None:
    """Assert that the lines keep nothing and that what they earn is fees and a rent that is never negative."""
    balances = engine.balances()
    assert balances.get(LINES, (0, 0)) == (0, 0)
    assert balances.get(RENT, (0, 0))[0] <= 0
    assert balances.get(LINK_FEES, (0, 0))[0] <= 0


@settings(max_examples=60, deadline=None)
@given(stream=streams(areas=AREAS), east_west_wh=st.integers(0, 12))
def test_the_laws_hold_after_every_command_and_the_lines_keep_nothing(stream: list[Command], east_west_wh: int) -> None:
    """Laws 1, 3, 4, 13 to 16 and 19 over all states of two products, corrections included."""
    engine = Engine(_rules(east_west_wh))
    outcomes = run(engine, stream)
    _judge_lines(engine)
    for trade in (trade for outcome in outcomes for trade in outcome.trades):
        product = engine.product(trade.interval_ms)
        assert product is not None
        areas = {_area(site) for site in (trade.buy_site, trade.sell_site) if site != LINES}
        assert {product.areas[area].paid for area in areas} == {trade.price_mct_per_kwh}


def _area(site: str) -> str:
    return "west" if site == UTILITY else AREAS[site]


@settings(max_examples=60, deadline=None)
@given(stream=streams(areas=AREAS), east_west_wh=st.integers(0, 12))
def test_the_gate_reaches_the_welfare_of_the_linear_program(stream: list[Command], east_west_wh: int) -> None:
    """Law 7 in the engine: no line is left idle that would have served someone, and none carries more than it can."""
    engine = Engine(_rules(east_west_wh))
    for command in [one for one in stream if one["op"] != "capacity" and one["at_ms"] < GATE_MS]:
        engine.apply(command)
    engine.apply(commands.tick(at_ms=GATE_MS - 1))
    product = engine.product(FIRST)
    assert product is not None
    standing = [*_standing(product), *_utility()]
    outcome = engine.apply(commands.tick(at_ms=GATE_MS))
    links = [
        Link(origin=one.origin, target=one.target, capacity_wh=one.capacity_wh, fee_mct_per_kwh=one.fee_mct_per_kwh)
        for one in engine.rules.links
    ]
    worth = {order.order_id: order.limit_mct_per_kwh for order in standing}
    bought = sum(trade.quantity_wh for trade in outcome.trades if trade.buy_site != LINES)
    welfare = sum(
        trade.quantity_wh * worth[f"{site}/{order_id}"] * sign
        for trade in outcome.trades
        for site, order_id, sign in ((trade.buy_site, trade.buy_order, 1), (trade.sell_site, trade.sell_order, -1))
        if site != LINES
    )
    fees = -engine.balances().get(LINK_FEES, (0, 0))[0]
    assert (welfare - fees, bought) == optimum(standing, links)


def _standing(product: Product) -> list[AuctionOrder]:
    return [
        AuctionOrder(
            order_id=order.key,
            agent=order.site,
            side=Side.BUY if order.buy else Side.SELL,
            quantity_wh=order.open_wh,
            limit_mct_per_kwh=order.price,
            sequence=order.sequence,
            zone=AREAS[order.site],
        )
        for order in product.orders
        if order.open_wh
    ]


def _utility() -> list[AuctionOrder]:
    return [
        AuctionOrder(
            order_id=f"{UTILITY}/{name}",
            agent=UTILITY,
            side=side,
            quantity_wh=9,
            limit_mct_per_kwh=price,
            sequence=10**6,
            zone="west",
        )
        for name, side, price in (("utility-import", Side.SELL, 30), ("utility-export", Side.BUY, 8))
    ]


@settings(max_examples=30, deadline=None)
@given(stream=streams(areas=AREAS), cut=st.integers(0, 50))
def test_a_snapshot_and_the_rest_give_the_same_market_and_a_replay_proves_it(stream: list[Command], cut: int) -> None:
    """Law 10, with prices and imbalances per area in the state."""
    whole = Engine(_rules())
    expected = run(whole, stream)
    begun = Engine(_rules())
    first: list[Outcome] = [begun.apply(command) for command in stream[:cut]]
    resumed = Engine.restore(json.loads(json.dumps(begun.snapshot())))
    assert first + [resumed.apply(command) for command in stream[cut:]] == expected
    assert resumed.state_hash() == whole.state_hash()
    check = {"check": {"state_hash": whole.state_hash()}}
    lines = [{"rules": _rules().model_dump(mode="json")}, *stream, check]
    assert replay(json.dumps(line) for line in lines).parted_at is None


def test_a_full_line_splits_prices_and_each_account_gets_its_share() -> None:
    """By hand: 4 Wh leave the cheap area, the line's fee is 2, and the rest of the gap is rent."""
    engine = _engine()
    engine.apply(_order("farm", "sell", 9, 10))
    engine.apply(_order("mill", "buy", 9, 40))
    outcome = engine.apply(commands.tick(at_ms=GATE_MS))
    product = engine.product(FIRST)
    assert product is not None
    assert product.areas["east"].paid == 10
    assert product.areas["west"].paid == 30
    (view,) = [one for one in outcome.broadcasts if one.interval_ms == FIRST]
    assert (view.price, view.area_prices) == (30, {"east": 10, "south": 30, "west": 30})
    told = {(trade.buy_site, trade.sell_site): (trade.quantity_wh, trade.price_mct_per_kwh) for trade in outcome.trades}
    assert told == {("mill", UTILITY): (4, 30), ("mill", LINES): (5, 30), (LINES, "farm"): (5, 10)}
    balances = engine.balances()
    # East to west 4 Wh at a fee of 2; east to south to west 1 Wh at a fee of 1.
    assert -balances[LINK_FEES][0] == 4 * 2 + 1 * 1
    assert -balances[RENT][0] == 5 * 20 - 9
    assert balances[LINES] == (0, 0)
    assert engine.ledger_sums() == (0, 0)


def test_an_imbalance_is_settled_at_the_price_of_its_own_area() -> None:
    """Behind a full line energy is worth what it is worth there."""
    engine = _engine(imbalance="two-price")
    engine.apply(_order("farm", "sell", 9, 10))
    engine.apply(_order("mill", "buy", 9, 40))
    engine.apply(commands.tick(at_ms=GATE_MS))
    done = FIRST + 900_000
    found: dict[str, tuple[int, int]] = {}
    for site, import_wh, export_wh in (("farm", 0, 6), ("mill", 12, 0), ("home-1", 0, 0), ("home-2", 0, 0)):
        meter = {"site": site, "interval_ms": FIRST, "import_wh": import_wh, "export_wh": export_wh, "version": 1}
        outcome = engine.apply({"op": "meter", "at_ms": done, **meter})
        found |= {one.site: (one.imbalance_wh, one.imbalance_mct_per_kwh) for one in outcome.settlements}
    product = engine.product(FIRST)
    assert product is not None
    assert product.state is ProductState.SETTLED
    # The market is short: the mill pays the tariff, the farm helped and gets the market's price, that of its own area.
    assert found["mill"] == (3, 30)
    assert found["farm"] == (-1, 10)
    assert engine.ledger_sums() == (0, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mechanism": "continuous+call"}, "links need the mechanism call"),
        ({"price_rule": "reference"}, "the middle of the prices"),
        ({"tick_mct_per_kwh": 5}, "no multiple of the tick"),
        ({"last_resort": {"area": "north"}}, "none of east, west"),
        ({"links": [{"from": "a", "to": "a", "capacity_wh": 1}]}, "to itself"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(changes: dict[str, Any], words: str) -> None:
    """Better no market than one whose lines would be promised twice."""
    sound = {
        "zone": "north",
        "mechanism": "call",
        "links": [{"from": "east", "to": "west", "capacity_wh": 4, "fee_mct_per_kwh": 2}],
        "last_resort": {"area": "west"},
    }
    MarketRules.model_validate(sound)
    with pytest.raises(ValidationError, match=words):
        MarketRules.model_validate(sound | changes)


@pytest.mark.parametrize(
    ("site", "area", "words"),
    [
        ("barn", "moon", "none of east, south, west"),
        ("farm", "west", "where its positions are"),
        ("fees", "east", "name"),
    ],
)
def test_a_site_is_in_one_area_of_the_market_and_stays_there(site: str, area: str, words: str) -> None:
    """Energy that was bought in one area cannot be settled in another; and no site is an account of the market."""
    engine = _engine()
    newcomer = Participant(site=site, import_limit_wh=1, export_limit_wh=1, area=area)
    assert not engine.admits(newcomer)
    with pytest.raises(BadCommand, match=words):
        engine.apply(commands.register(newcomer, at_ms=T0_MS))
    assert engine.admits(Participant(site="barn", import_limit_wh=1, export_limit_wh=1, area="east"))
