"""A continuous book driven by a stream of lines: every line gets its reply, every match a trade.

The quantity of a ``modify`` is what shall be open from now on. A repeated ``new`` with the same content gets its first
reply again; the same id with other content is refused.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from cloud.market.book import Book, Placement
from cloud.market.rules import SelfTrade
from contracts.market import TimeInForce

Event = dict[str, Any]

LINE_KEYS = ("op", "id", "side", "qty", "price", "tif", "post_only", "agent", "owner", "seq", "at_ms")
_TIFS = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}


class Stream:
    """A book with its history: replies, trades, and what rests."""

    def __init__(self, self_trade: SelfTrade = SelfTrade.CANCEL_RESTING) -> None:
        self._book: Book[str] = Book(self_trade)
        self._first: dict[str, tuple[tuple[Any, ...], Event]] = {}
        self._own: dict[str, set[str]] = {}
        self._agents: dict[str, str] = {}
        self.replies: list[Event] = []
        self.trades: list[Event] = []

    def apply(self, line: Mapping[str, Any]) -> list[Event]:
        """Apply one line and return its events: the reply first, then cancelled resting orders, then trades.

        A time in force may be written in capitals, as much of the field does.
        """
        if isinstance(line.get("tif"), str):
            line = {**line, "tif": line["tif"].lower()}
        # Many exports number their orders: a whole number is the text of itself.
        for name in ("id", "agent", "owner"):
            if type(line.get(name)) is int:
                line = {**line, name: str(line[name])}
        op, order_id = line.get("op"), line.get("id")
        problem = _problem(line)
        if problem is not None:
            return self._reply(op, order_id, "rejected", reason=f"schema: {problem}")
        assert isinstance(order_id, str)
        if op == "new":
            return self._new(order_id, line)
        if order_id not in self._book:
            return self._reply(op, order_id, "rejected", reason="unknown-order: no such order is open")
        if op == "cancel":
            return self._reply(op, order_id, "cancelled", cancelled=self._book.cancel(order_id))
        return self._modify(order_id, line["qty"], line["price"])

    def answer(self) -> dict[str, Any]:
        """Return everything that happened, and the hash of the state."""
        book = [
            {"id": row.order_id, "side": row.side.value, "price": row.price, "qty": row.quantity}
            for row in self._book.orders()
        ]
        return {"replies": self.replies, "trades": self.trades, "book": book, "state_hash": self.state_hash()}

    def state_hash(self) -> str:
        """Return the SHA-256 of the book in order, every trade, and every first reply."""
        state = {"book": list(self._book.orders()), "trades": self.trades, "first": self._first}
        return hashlib.sha256(json.dumps(state, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def _new(self, order_id: str, line: Mapping[str, Any]) -> list[Event]:
        buy, quantity, price = line["side"] == "buy", line["qty"], line["price"]
        tif, post_only, agent = (
            line.get("tif", "gtc"),
            bool(line.get("post_only")),
            line.get("owner", line.get("agent")),
        )
        content = (buy, quantity, price, tif, post_only, agent)
        seen = self._first.get(order_id)
        if seen is not None:
            if seen[0] == content:
                self.replies.append(seen[1])
                return [seen[1]]
            return self._reply("new", order_id, "rejected", reason="duplicate-id: the id is known with other content")
        placed = self._book.place(
            order_id, buy, quantity, price, tif=_TIFS[tif], post_only=post_only, own=self._of(agent)
        )
        if agent is not None:
            self._agents[order_id] = agent
            self._own[agent].add(order_id)
        events = self._placed("new", order_id, quantity, placed, immediate=tif in ("ioc", "fok"))
        self._first[order_id] = (content, events[0])
        return events

    def _modify(self, order_id: str, quantity: int, price: int) -> list[Event]:
        resting = self._book.get(order_id)
        assert resting is not None
        if resting.price == price and quantity <= resting.quantity:
            self._book.reduce(order_id, quantity)
            return self._reply("modify", order_id, "accepted", open=quantity)
        self._book.cancel(order_id)
        buy = resting.side.value == "buy"
        placed = self._book.place(order_id, buy, quantity, price, own=self._of(self._agents.get(order_id)))
        return self._placed("modify", order_id, quantity, placed, immediate=False)

    def _of(self, agent: str | None) -> Collection[str]:
        """Return every order that an agent ever sent; those of nobody are nobody's own."""
        return () if agent is None else self._own.setdefault(agent, set())

    def _placed(self, op: str, order_id: str, quantity: int, placed: Placement[str], *, immediate: bool) -> list[Event]:
        filled = quantity - placed.resting - placed.cancelled
        fields: dict[str, Any] = {"filled": filled, "open": placed.resting}
        if placed.cancelled:
            fields["cancelled"] = placed.cancelled
            fields["reason"] = (
                "would-take: post-only" if placed.crossed else "not-filled" if immediate else "self-trade"
            )
        if placed.crossed:
            status = "rejected"
        elif filled and filled < quantity:
            status = "partly_filled"
        else:
            status = "filled" if filled else "accepted" if placed.resting else "cancelled"
        events = self._reply(op, order_id, status, **fields)
        for maker, less in placed.removed:
            events += self._reply("self-trade", maker, "cancelled", cancelled=less, reason="self-trade")
        for maker, price, filled in placed.fills:
            trade = {"taker": order_id, "maker": maker, "price": price, "qty": filled}
            self.trades.append(trade)
            events.append({"event": "trade", **trade})
        return events

    def _reply(self, op: Any, order_id: Any, status: str, **fields: Any) -> list[Event]:
        reply = {"op": op, "id": order_id, "status": status, **fields}
        self.replies.append(reply)
        return [reply]


def _problem(line: Mapping[str, Any]) -> str | None:
    op, order_id = line.get("op"), line.get("id")
    if op not in ("new", "cancel", "modify"):
        return f"op {op!r} is none of new, cancel, modify"
    if not isinstance(order_id, str) or not order_id:
        return f"id {order_id!r} is not a text"
    unknown = [str(key) for key in line if key not in LINE_KEYS]
    if unknown:
        return f"unknown key {unknown[0]!r}; known are {', '.join(LINE_KEYS)}"
    if op == "cancel":
        return None
    for name in ("qty", "price"):
        if type(line.get(name)) is not int:
            return f"{name} {line.get(name)!r} is not a whole number"
    if line["qty"] < 1:
        return f"qty {line['qty']} is below 1"
    if op == "modify":
        return None
    if line.get("side") not in ("buy", "sell"):
        return f"side {line.get('side')!r} is neither buy nor sell"
    if line.get("tif", "gtc") not in _TIFS:
        return f"tif {line.get('tif')!r} is none of gtc, ioc, fok"
    for name in ("agent", "owner"):
        if line.get(name) is not None and not isinstance(line[name], str):
            return f"{name} {line[name]!r} is not a text"
    if not isinstance(line.get("post_only", False), bool):
        return f"post_only {line.get('post_only')!r} is neither true nor false"
    if line.get("post_only") and line.get("tif", "gtc") != "gtc":
        return "post_only never takes and an immediate order never rests"
    return None
