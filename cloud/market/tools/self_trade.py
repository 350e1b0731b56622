"""Crossing orders of one owner in a file, settled before the call as a running market settles them on arrival."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cloud.market.auction import AuctionOrder
from cloud.market.rules import SelfTrade
from contracts.market import Side


def without_self_trades(
    orders: Sequence[AuctionOrder], owners: Mapping[str, str], *, mode: SelfTrade
) -> tuple[list[AuctionOrder], list[dict[str, object]]]:
    """Return the orders of which no two of one owner can trade, and what was taken off which.

    Orders arrive by their sequence. One that reaches the limit of an earlier order of its owner, on the other side,
    meets it before the call: that order is cancelled, or this one, or both, or both lose the smaller quantity.

    Args:
        orders: In the order of the file.
        owners: The owner of each order id.
        mode: What happens instead of the trade.
    """
    open_wh = {order.order_id: order.quantity_wh for order in orders}
    arrived: dict[str, list[AuctionOrder]] = {}
    for order in sorted(orders, key=lambda order: order.sequence):
        own = arrived.setdefault(owners[order.order_id], [])
        for other in own:
            if open_wh[order.order_id] and open_wh[other.order_id] and _cross(order, other):
                _settle(open_wh, incoming=order.order_id, resting=other.order_id, mode=mode)
        own.append(order)
    kept = [replace(order, quantity_wh=open_wh[order.order_id]) for order in orders if open_wh[order.order_id]]
    gone = [
        {"id": order.order_id, "qty": order.quantity_wh - open_wh[order.order_id], "reason": "self-trade"}
        for order in orders
        if open_wh[order.order_id] < order.quantity_wh
    ]
    return kept, gone


def _settle(open_wh: dict[str, int], *, incoming: str, resting: str, mode: SelfTrade) -> None:
    match mode:
        case SelfTrade.CANCEL_RESTING:
            open_wh[resting] = 0
        case SelfTrade.CANCEL_INCOMING:
            open_wh[incoming] = 0
        case SelfTrade.CANCEL_BOTH:
            open_wh[resting] = open_wh[incoming] = 0
        case SelfTrade.DECREMENT:
            less = min(open_wh[resting], open_wh[incoming])
            open_wh[resting] -= less
            open_wh[incoming] -= less


def _cross(one: AuctionOrder, other: AuctionOrder) -> bool:
    if one.side is other.side:
        return False
    buy, sell = (one, other) if one.side is Side.BUY else (other, one)
    return buy.limit_mct_per_kwh >= sell.limit_mct_per_kwh
