"""The utility in the continuous book: it serves at its tariffs, but never before a neighbour at the same price."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.market import commands
from cloud.market.book import Book
from cloud.market.engine import Engine
from cloud.market.rules import LastResort, MarketRules, SelfTrade
from cloud.market.settlement import spread_prices
from cloud.market.statement import Metered
from contracts.market import OrderStatus, Side, TimeInForce
from contracts.units import epoch_ms, instant
from tests.support.market.streams import INTERVALS, T0_MS, Command, participants, rules, run, streams

FIRST = INTERVALS[0]
TARIFFS = {"import_mct_per_kwh": 30, "export_mct_per_kwh": 8, "import_wh": 20, "export_wh": 20, "stands_in": "book"}


def _engine(**changes: Any) -> Engine:
    engine = Engine(rules(fee_mct_per_kwh=0, last_resort=TARIFFS | changes))
    for command in participants():
        engine.apply(command)
    engine.apply(commands.tick(at_ms=T0_MS))
    return engine


def _order(site: str, order_id: str, side: str, quantity: int, price: int, **more: Any) -> Command:
    return {
        "op": "new",
        "at_ms": T0_MS,
        "site": site,
        "order_id": order_id,
        "interval_ms": FIRST,
        "side": side,
        "quantity_wh": quantity,
        "price_mct_per_kwh": price,
    } | more


@pytest.mark.parametrize("self_trade", SelfTrade)
@settings(max_examples=15, deadline=None)
@given(stream=streams())
def test_the_laws_hold_with_the_utility_in_the_book(self_trade: SelfTrade, stream: list[Command]) -> None:
    """Sums, limits, owners and conservation, counted by the judge after each command."""
    run(Engine(rules(self_trade=self_trade, last_resort=TARIFFS)), stream)


@settings(max_examples=25, deadline=None)
@given(stream=streams(), cut=st.integers(0, 40))
def test_a_restored_engine_remembers_what_the_utility_has_left(stream: list[Command], cut: int) -> None:
    """A restart must not give the utility its quantity anew."""
    whole, first = Engine(rules(last_resort=TARIFFS)), Engine(rules(last_resort=TARIFFS))
    outcomes = [whole.apply(command) for command in stream]
    for command in stream[:cut]:
        first.apply(command)
    second = Engine.restore(json.loads(json.dumps(first.snapshot())))
    assert [second.apply(command) for command in stream[cut:]] == outcomes[cut:]
    assert second.state_hash() == whole.state_hash()


def test_an_order_that_reaches_a_tariff_trades_at_once_and_neighbours_come_first() -> None:
    """Cheaper neighbours first, equal ones before the utility, dearer ones never while it has something left."""
    engine = _engine(import_wh=4)
    for order_id, price in (("dear", 33), ("equal", 30), ("cheap", 20)):
        engine.apply(_order("farm", order_id, "sell", 2, price))
    outcome = engine.apply(_order("mill", "b", "buy", 9, 33))
    assert [(t.sell_site, t.sell_order, t.quantity_wh, t.price_mct_per_kwh) for t in outcome.trades] == [
        ("farm", "cheap", 2, 20),
        ("farm", "equal", 2, 30),
        ("utility", "utility-import", 4, 30),
        ("farm", "dear", 1, 33),
    ]
    assert {reply.site for reply in outcome.replies} == {"mill", "farm"}


def test_what_the_utility_has_left_stands_in_the_call_and_ends_there() -> None:
    """The tariffs' quantity is for the interval, not once for the book and again for the call."""
    engine = _engine(import_wh=7)
    engine.apply(_order("mill", "now", "buy", 5, 30))
    engine = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    assert engine.apply(_order("home-1", "all", "buy", 3, 30, tif="fok")).trades == []
    engine.apply(commands.tick(at_ms=FIRST - 600_000))
    engine.apply(_order("mill", "later", "buy", 5, 30, at_ms=FIRST - 600_000))
    outcome = engine.apply(commands.tick(at_ms=FIRST - 300_000))
    assert [(trade.sell_site, trade.quantity_wh) for trade in outcome.trades] == [("utility", 2)]
    ends = [(reply.order_id, reply.status, reply.traded_wh) for reply in outcome.replies]
    assert ends == [("later", OrderStatus.PARTLY_FILLED, 2)]


def test_conditions_count_what_stands_behind_the_book() -> None:
    """All or nothing may be filled by the utility; post-only must not take from it."""
    book: Book[str] = Book()
    book.rest("s", False, 2, 9)
    book.stand("last", False, 3, 10)
    assert book.best(Side.SELL) == 9
    assert book.place("p", True, 1, 9, post_only=True).crossed
    assert book.place("f", True, 6, 10, tif=TimeInForce.FOK).cancelled == 6
    filled = book.place("g", True, 5, 10, tif=TimeInForce.FOK)
    assert list(filled.fills) == [("s", 9, 2), ("last", 10, 3)]
    assert "last" not in book
    assert book.best(Side.SELL) is None


def test_rules_that_keep_the_utility_to_the_call_are_stored_as_before() -> None:
    """A state that was stored before there was a choice must still have its hash."""
    stored = rules().model_dump(mode="json")["last_resort"]
    assert "stands_in" not in stored
    assert rules(last_resort=TARIFFS).model_dump(mode="json")["last_resort"]["stands_in"] == "book"


def _ms(text: str) -> int:
    return epoch_ms(datetime.fromisoformat(text))


EVENING = {
    "name": "evening",
    "title": "dear in the evening of a workday",
    "time_zone": "Europe/Berlin",
    "unit": "ct/kWh",
    "sources": ["made up"],
    "holidays": {"country": "DE"},
    "import": {
        "parts": [
            {"name": "energy", "fixed": 10},
            {
                "name": "grid",
                "time_of_use": {
                    "default": 5,
                    "periods": [{"days": ["workday"], "from": "17:00", "to": "21:00", "price": 15}],
                },
            },
        ],
        "vat_percent": 20,
    },
    "export": {"parts": [{"name": "price", "fixed": 20}]},
}


@pytest.mark.parametrize(
    ("at", "sells", "buys"),
    [
        pytest.param("2026-11-30T16:00+00:00", 30_000, 20_000, id="evening"),
        pytest.param("2026-11-30T20:00+00:00", 18_000, 18_000, id="night, when it may not pay more than it asks"),
        pytest.param("2026-12-25T16:00+00:00", 18_000, 18_000, id="a holiday's evening"),
        pytest.param("2026-06-30T15:00+00:00", 30_000, 20_000, id="evening by the wall clock of summer"),
    ],
)
def test_a_tariff_as_a_series_is_what_the_utility_asks_settles_and_is_compared_with(
    at: str, sells: int, buys: int
) -> None:
    """One truth for its orders, the price of imbalance and the statement."""
    market = rules(
        fee_mct_per_kwh=0, price_mct_per_kwh_max=400_000, last_resort={"tariff": EVENING, "stands_in": "book"}
    )
    engine, start_ms = Engine(market), _ms(at)
    for command in participants():
        engine.apply(command)
    engine.apply(commands.tick(at_ms=start_ms - 3_600_000))
    product = engine.product(start_ms)
    assert product is not None
    asked = {order.buy: order.price for order in product.orders}
    assert asked == ({False: sells, True: buys} if buys < sells else {False: sells})

    out = spread_prices(market, start_ms=start_ms, low_mct_per_kwh=None, high_mct_per_kwh=None)
    assert (out.short_mct_per_kwh, out.long_mct_per_kwh) == (sells, buys)
    assert market.last_resort is not None
    utility = market.last_resort.prices_at(start_ms)
    took, gave = (
        Metered(at=instant(start_ms), net_wh=wh, estimated=False, method="meter", utility=utility)
        for wh in (1_000, -1_000)
    )
    assert (took.plain_uct, gave.plain_uct) == (1_000 * sells, -1_000 * buys)


def test_a_tariff_of_the_last_resort_is_stored_as_it_was_written() -> None:
    """Rules stored with one are the same rules when they are read."""
    market = rules(price_mct_per_kwh_max=400_000, last_resort={"tariff": EVENING})
    stored = json.loads(json.dumps(market.model_dump(mode="json")))
    assert MarketRules.model_validate(stored) == market
    assert "tariff" not in LastResort().model_dump(mode="json"), "rules without one keep their hash"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"import": {"parts": [{"name": "spot", "dynamic": {}}]}}, "follows the market's price"),
        ({"import": {"parts": [{"name": "energy", "fixed": 500}]}}, "outside the price band"),
        ({"holidays": {"country": "XX"}}, "XX"),
        ({"time_zone": "Mars/Olympus"}, "no IANA time zone"),
    ],
)
def test_a_tariff_that_no_last_resort_can_have_is_refused(changes: dict[str, Any], says: str) -> None:
    """What cannot be settled is said when the rules are read, not when a month is billed."""
    with pytest.raises(ValidationError, match=says):
        rules(price_mct_per_kwh_max=400_000, last_resort={"tariff": EVENING | changes})
