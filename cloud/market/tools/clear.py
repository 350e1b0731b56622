"""One clearing from a file of orders, by any mechanism, as an answer of plain values."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from cloud.market.auction import AuctionOrder, Clearing, Tie, clear, merit_order, pay_as_bid, payments
from cloud.market.network import Link, NetworkClearing, clear_network
from cloud.market.tools.inputs import BadInput, rows, text, whole
from contracts.market import Side

DEMAND = "demand"


class ClearMechanism(StrEnum):
    """How a file is cleared."""

    PAY_AS_CLEAR = "pay-as-clear"
    PAY_AS_BID = "pay-as-bid"
    MERIT_ORDER = "merit-order"
    NETWORK = "network"


def clear_file(data: Mapping[str, Any], mechanism: ClearMechanism, *, tie: Tie = Tie.TIME) -> dict[str, Any]:
    """Clear the orders of a file and return its answer.

    Args:
        data: ``orders`` of ``id, agent, side, qty, price, seq[, zone]``; ``demand`` for a merit order; ``zones`` and
            ``links`` of ``from, to, capacity[, fee]`` for a network.
        mechanism: How to clear.
        tie: Who is served first among equal limits.

    Raises:
        BadInput: The file is not of that form.
    """
    orders = _orders(data)
    agents = {order.order_id: order.agent for order in orders} | {DEMAND: DEMAND}
    match mechanism:
        case ClearMechanism.PAY_AS_CLEAR:
            return _answer(clear(orders, tie=tie), agents.__getitem__)
        case ClearMechanism.PAY_AS_BID:
            return _answer(pay_as_bid(orders, tie=tie), agents.__getitem__)
        case ClearMechanism.MERIT_ORDER:
            demand = whole(data, DEMAND, "the file", least=0, default=0)
            if DEMAND in {order.order_id for order in orders}:
                raise BadInput(f"order id {DEMAND!r} stands for the fixed demand in a merit order; choose another")
            clearing = merit_order(orders, demand_wh=demand, tie=tie, buyer=DEMAND)
            return _answer(clearing, agents.__getitem__) | {"short": clearing.short_wh}
        case ClearMechanism.NETWORK:
            links = _links(data)
            zones = [*_zones(data), *(order.zone for order in orders)]
            for link in links:
                for end in (link.origin, link.target):
                    if end not in zones:
                        raise BadInput(f"link {link.name} names zone {end!r}, which is neither listed nor has orders")
            try:
                found = clear_network(orders, links, zones=zones, tie=tie)
            except ValueError as error:
                raise BadInput(str(error)) from error
            return _network_answer(found, agents.__getitem__)


def _orders(data: Mapping[str, Any]) -> list[AuctionOrder]:
    found: dict[str, AuctionOrder] = {}
    for index, row in enumerate(rows(data, "orders")):
        where = f"orders[{index}]"
        order_id = text(row, "id", where)
        if order_id in found:
            raise BadInput(f"id {order_id!r} of {where} is there twice; ids are unique")
        side = text(row, "side", where)
        if side not in set(Side):
            raise BadInput(f"side of {where} is {side!r}, neither buy nor sell")
        found[order_id] = AuctionOrder(
            order_id=order_id,
            agent=text(row, "agent", where, default=order_id),
            side=Side(side),
            quantity_wh=whole(row, "qty", where, least=1),
            limit_mct_per_kwh=whole(row, "price", where),
            sequence=whole(row, "seq", where, default=index),
            zone=row["zone"] if isinstance(row.get("zone"), str) else "",
        )
    return list(found.values())


def _zones(data: Mapping[str, Any]) -> list[str]:
    value = data.get("zones", [])
    names = list(value) if isinstance(value, list | dict) else []
    zones = [name.get("id") if isinstance(name, dict) else name for name in names]
    if not isinstance(value, list | dict) or not all(isinstance(zone, str) for zone in zones):
        raise BadInput(f"zones is {value!r}, not a list of names")
    return [zone for zone in zones if isinstance(zone, str)]


def _links(data: Mapping[str, Any]) -> list[Link]:
    return [
        Link(
            origin=text(row, "from", f"links[{index}]"),
            target=text(row, "to", f"links[{index}]"),
            capacity_wh=whole(row, "capacity", f"links[{index}]", least=0),
            fee_mct_per_kwh=whole(row, "fee", f"links[{index}]", least=0, default=0),
        )
        for index, row in enumerate(rows(data, "links"))
    ]


def _answer(clearing: Clearing, agent_of: Callable[[str], str]) -> dict[str, Any]:
    price = clearing.price
    middle = None
    if clearing.volume_wh and price.low is not None:
        middle = price.low if price.high is None else (price.low + price.high) // 2
    return {
        "volume": clearing.volume_wh,
        "welfare": clearing.welfare_uct,
        "price": {
            "lo": price.low,
            "hi": price.high,
            "mid": middle,
            "pinned_by": price.pinned_by,
            "paid": price.paid,
            "lo_by": price.low_by,
            "hi_by": price.high_by,
        },
        "fills": clearing.fills,
        "trades": [
            {"buy": t.buy_id, "sell": t.sell_id, "qty": t.quantity_wh, "price": t.price_mct_per_kwh}
            for t in clearing.trades
        ],
        "payments": payments(clearing, agent_of),
    }


def _network_answer(clearing: NetworkClearing, agent_of: Callable[[str], str]) -> dict[str, Any]:
    owed: dict[str, int] = {}
    for trade in clearing.trades:
        for order_id, amount in (
            (trade.buy_id, trade.quantity_wh * trade.buy_mct_per_kwh),
            (trade.sell_id, -trade.quantity_wh * trade.sell_mct_per_kwh),
        ):
            owed[agent_of(order_id)] = owed.get(agent_of(order_id), 0) + amount
    zones = {name: {"lo": zone.low, "hi": zone.high, "mid": zone.paid} for name, zone in sorted(clearing.zones.items())}
    # One price stands for the network only where every zone has the same.
    uniform = (
        next(iter(zones.values())) if zones and len({tuple(zone.values()) for zone in zones.values()}) == 1 else {}
    )
    return {
        "volume": clearing.volume_wh,
        "welfare": clearing.welfare_uct,
        "price": {"lo": uniform.get("lo"), "hi": uniform.get("hi"), "mid": uniform.get("mid"), "pinned_by": None},
        "fills": clearing.fills,
        "trades": [
            {
                "buy": t.buy_id,
                "sell": t.sell_id,
                "qty": t.quantity_wh,
                "price": t.buy_mct_per_kwh,
                "sell_price": t.sell_mct_per_kwh,
            }
            for t in clearing.trades
        ],
        "zones": zones,
        "flows": clearing.flows,
        "payments": owed,
        "fees": clearing.fees_uct,
        "rent": clearing.rent_uct,
    }
