"""The agent's own orders: what stands, what the market said, and the messages that bring it to what is wanted.

Order ids derive from site, interval, leg and revision, so the same decision taken twice, also after a restart, gives
the same id, and the market answers it once.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contracts.market import OrderOp, OrderResult, OrderStatus, Side, TradeLine
from contracts.units import SiteId, epoch_ms
from edge.trading.model import Leg, OrderAction, OrderIntent

# A change smaller than both leaves a standing order alone.
QUANTITY_DEAD_BAND_SHARE = 0.05
QUANTITY_DEAD_BAND_WH = 10
PRICE_DEAD_BAND_MCT_PER_KWH = 250
# Messages for one interval: an agent that keeps changing its mind is told to stop.
REVISIONS_MAX = 40

Key = tuple[datetime, Leg]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOrder:
    """One order as its agent knows it.

    ``quantity_wh`` is its total, ``confirmed`` the terms that the market took; ``withdrawn`` says that the
    agent cancelled it.
    """

    order_id: str
    revision: int
    side: Side
    quantity_wh: int
    price_mct_per_kwh: int
    traded_wh: int = 0
    open: bool = True
    confirmed: tuple[int, int] | None = None
    withdrawn: bool = False

    @property
    def left_wh(self) -> int:
        """Return what may still trade."""
        return self.quantity_wh - self.traded_wh if self.open else 0


@dataclass(frozen=True, slots=True)
class OwnOrders:
    """All orders by interval and leg, the net energy traded by interval (bought positive), the trades counted so."""

    orders: Mapping[Key, OwnOrder] = field(default_factory=dict)
    positions: Mapping[datetime, int] = field(default_factory=dict)
    trades: Mapping[str, datetime] = field(default_factory=dict)

    def of_interval(self, start: datetime) -> list[OwnOrder]:
        """Return the last order of each leg of an interval."""
        return [order for (at, _), order in self.orders.items() if at == start]


def told_orders(own: OwnOrders, *, since: datetime, count: int) -> list[dict[str, str | int | bool]]:
    """Return the orders of intervals that start from an instant on in plain values, the earliest first."""
    rows = sorted(
        ((start, order) for (start, _), order in own.orders.items() if start >= since),
        key=lambda row: (row[0], row[1].order_id),
    )
    return [
        {
            "order_id": order.order_id,
            "start": start.isoformat(),
            "side": order.side.value,
            "price_mct_per_kwh": order.price_mct_per_kwh,
            "quantity_wh": order.quantity_wh,
            "traded_wh": order.traded_wh,
            "open": order.open,
        }
        for start, order in rows[:count]
    ]


def order_id(*, site: SiteId, start: datetime, leg: Leg, revision: int) -> str:
    """Return the id of an order: readable where it fits into 64 characters, and always the same."""
    name = site if len(site) <= 36 else hashlib.sha256(site.encode()).hexdigest()[:36]
    return f"{name}-{epoch_ms(start) // 60_000}-{leg.value}-{revision}"


def reconcile(
    own: OwnOrders, wanted: Sequence[OrderIntent], *, site: SiteId, now: datetime, gate_closure_s: int
) -> tuple[tuple[OrderAction, ...], OwnOrders]:
    """Return the messages that bring the standing orders to the wanted ones, and the orders once they are sent.

    An order that is near enough stays as it is. One whose side turned, or that is wanted no more, is cancelled, and a
    new revision takes its place. Nothing is sent for an interval whose gate has closed.
    """
    orders = dict(own.orders)
    actions: list[OrderAction] = []
    by_key = {(intent.start, intent.leg): intent for intent in wanted}
    gate = timedelta(seconds=gate_closure_s)
    for key in sorted({*by_key, *orders}, key=lambda key: (key[0], key[1].value)):
        if now >= key[0] - gate:
            continue
        intent, order = by_key.get(key), orders.get(key)
        if order is not None and order.open and (intent is None or intent.side is not order.side):
            actions.append(_action(OrderOp.CANCEL, key, order, "wanted no more" if intent is None else "side turned"))
            order = orders[key] = replace(order, open=False, withdrawn=True)
        if intent is None:
            continue
        if order is not None and order.open:
            if _near(order, intent) or order.revision >= REVISIONS_MAX:
                continue
            order = replace(
                order,
                revision=order.revision + 1,
                quantity_wh=order.traded_wh + intent.quantity_wh,
                price_mct_per_kwh=intent.price_mct_per_kwh,
            )
            actions.append(_action(OrderOp.MODIFY, key, order, intent.reason))
        else:
            revision = 0 if order is None else order.revision + 1
            if revision > REVISIONS_MAX:
                continue
            order = OwnOrder(
                order_id=order_id(site=site, start=intent.start, leg=intent.leg, revision=revision),
                revision=revision,
                side=intent.side,
                quantity_wh=intent.quantity_wh,
                price_mct_per_kwh=intent.price_mct_per_kwh,
            )
            actions.append(_action(OrderOp.NEW, key, order, intent.reason))
        orders[key] = order
    # Cancelled first, so that a new order never meets one of our own that is about to go.
    actions.sort(key=lambda action: action.op is not OrderOp.CANCEL)
    return tuple(actions), replace(own, orders=orders)


def heard(own: OwnOrders, *, start: datetime, results: Iterable[OrderResult], trades: Iterable[TradeLine]) -> OwnOrders:
    """Return the orders after the market's message about one interval; a message heard twice changes nothing."""
    orders = dict(own.orders)
    by_id = {order.order_id: key for key, order in orders.items()}
    for result in results:
        key = by_id.get(result.order_id)
        if key is not None:
            orders[key] = _after(orders[key], result)
    positions, seen = dict(own.positions), dict(own.trades)
    for trade in trades:
        if trade.trade_id in seen:
            continue
        seen[trade.trade_id] = start
        signed_wh = trade.quantity_wh if trade.side is Side.BUY else -trade.quantity_wh
        positions[start] = positions.get(start, 0) + signed_wh
    return OwnOrders(orders, positions, seen)


def forget(own: OwnOrders, *, before: datetime) -> OwnOrders:
    """Return the orders without the intervals that began before an instant: what bounds their memory."""
    orders = {key: order for key, order in own.orders.items() if key[0] >= before}
    positions = {start: energy_wh for start, energy_wh in own.positions.items() if start >= before}
    trades = {trade_id: start for trade_id, start in own.trades.items() if start >= before}
    return OwnOrders(orders, positions, trades)


def _after(order: OwnOrder, result: OrderResult) -> OwnOrder:
    traded_wh = max(order.traded_wh, result.traded_wh)
    if result.status is OrderStatus.REJECTED:
        if order.confirmed is None:
            return replace(order, open=False)
        # A refused change leaves the order as the market had it.
        quantity_wh, price = order.confirmed
        return replace(order, quantity_wh=quantity_wh, price_mct_per_kwh=price, traded_wh=traded_wh)
    ended = result.status in (OrderStatus.FILLED, OrderStatus.UNFILLED, OrderStatus.CANCELLED)
    return replace(
        order,
        traded_wh=traded_wh,
        open=order.open and not ended,
        confirmed=(order.quantity_wh, order.price_mct_per_kwh),
    )


def _near(order: OwnOrder, intent: OrderIntent) -> bool:
    band_wh = max(QUANTITY_DEAD_BAND_WH, QUANTITY_DEAD_BAND_SHARE * order.quantity_wh)
    return (
        abs(order.left_wh - intent.quantity_wh) <= band_wh
        and abs(order.price_mct_per_kwh - intent.price_mct_per_kwh) <= PRICE_DEAD_BAND_MCT_PER_KWH
    )


def _action(op: OrderOp, key: Key, order: OwnOrder, reason: str) -> OrderAction:
    return OrderAction(
        op=op,
        order_id=order.order_id,
        start=key[0],
        leg=key[1],
        side=order.side,
        quantity_wh=order.quantity_wh,
        price_mct_per_kwh=order.price_mct_per_kwh,
        reason=reason,
    )
