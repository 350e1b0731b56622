"""The market's rivals, each driven as its own documentation shows, on the same messages and orders.

A rival that cannot be imported is named as absent. Rates are in CPU time of this process.
"""

import importlib
import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

# ("new", id, buys, quantity, price) or ("cancel", id) or ("modify", id, quantity, price)
Message = tuple[Any, ...]


class BookRival(NamedTuple):
    """A package with a book; ``rate`` returns messages a second."""

    name: str
    module: str
    rate: Callable[[Sequence[Message]], float]

    @property
    def present(self) -> bool:
        """Return whether it is installed."""
        return importlib.util.find_spec(self.module) is not None


def light_matching_engine(messages: Sequence[Message]) -> float:
    """Return messages a second through LightMatchingEngine; its crash on stale cancellations is kept away."""
    rival = importlib.import_module("lightmatchingengine.lightmatchingengine")
    engine = rival.LightMatchingEngine()
    ids: dict[str, Any] = {}

    def new(name: str, side: int, quantity: int, price: int) -> None:
        ids[name], _ = engine.add_order("x", price, quantity, side)

    start = time.process_time()
    for message in messages:
        if message[0] == "new":
            new(message[1], 1 if message[2] else 2, message[3], message[4])
            continue
        order = ids[message[1]]
        if order.leaves_qty:
            engine.cancel_order(order.order_id, "x")
        if message[0] == "modify":
            new(message[1], order.side, message[2], message[3])
    return len(messages) / (time.process_time() - start)


def py_order_book(messages: Sequence[Message]) -> float:
    """Return messages a second through pyorderbook."""
    book_module = importlib.import_module("pyorderbook.book")
    order_module = importlib.import_module("pyorderbook.order")
    book = book_module.Book()
    ids: dict[str, Any] = {}

    def new(name: str, side: Any, quantity: int, price: int) -> None:
        ids[name] = order_module.Order(side, "x", price, quantity)
        book.match(ids[name])

    start = time.process_time()
    for message in messages:
        if message[0] == "new":
            new(message[1], order_module.Side.BID if message[2] else order_module.Side.ASK, message[3], message[4])
            continue
        order = ids[message[1]]
        if book.get_order(order.id) is not None:
            book.cancel(order)
        if message[0] == "modify":
            new(message[1], order.side, message[2], message[3])
    return len(messages) / (time.process_time() - start)


def order_matching(messages: Sequence[Message]) -> float:
    """Return messages a second through order-matching, its log switched off and stale cancellations left out."""
    importlib.import_module("loguru").logger.disable("order_matching")
    engine = importlib.import_module("order_matching.matching_engine").MatchingEngine(seed=1)
    limit_order = importlib.import_module("order_matching.order").LimitOrder
    sides = importlib.import_module("order_matching.enums").Side
    orders = importlib.import_module("order_matching.orders").Orders
    at = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    of: dict[str, Any] = {}

    def new(name: str, side: Any, quantity: int, price: int) -> None:
        of[name] = side
        order = limit_order(side=side, price=price, size=quantity, timestamp=at, order_id=name, trader_id="x")
        engine.place(orders([order]))
        engine.match(timestamp=at)

    start = time.process_time()
    for message in messages:
        if message[0] == "new":
            new(message[1], sides.BUY if message[2] else sides.SELL, message[3], message[4])
            continue
        if engine.unprocessed_orders.find_order_by_id(message[1]) is not None:
            engine.cancel_order(message[1])
        if message[0] == "modify":
            new(message[1], of[message[1]], message[2], message[3])
    return len(messages) / (time.process_time() - start)


def py_market_seconds(orders: Sequence[tuple[bool, int, int]]) -> float:
    """Return the CPU seconds of PyMarket's uniform-price auction (Huang) over orders of (buys, quantity, price)."""
    market = importlib.import_module("pymarket").Market()
    for user, (buy, quantity, price) in enumerate(orders):
        market.accept_bid(quantity, price, user, buy)
    with warnings.catch_warnings():
        # PyMarket hands pandas the built-in sum; its result stays the same in either meaning.
        warnings.filterwarnings("ignore", "The provided callable <built-in function sum>", FutureWarning)
        start = time.process_time()
        market.run("huang")
        return time.process_time() - start


BOOKS = (
    BookRival("LightMatchingEngine", "lightmatchingengine", light_matching_engine),
    BookRival("pyorderbook", "pyorderbook", py_order_book),
    BookRival("order-matching", "order_matching", order_matching),
)


def has_py_market() -> bool:
    """Return whether PyMarket is installed."""
    return importlib.util.find_spec("pymarket") is not None
