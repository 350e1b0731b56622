"""One clearing from a file of orders, by any mechanism, as an answer of plain values."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from cloud.market.auction import AuctionOrder, Clearing, Tie, clear, merit_order, pay_as_bid, payments
from cloud.market.network import Link, NetworkClearing, clear_network
from cloud.market.rules import SelfTrade
from cloud.market.tools.inputs import BadInput, only, rows, text, whole
from cloud.market.tools.self_trade import without_self_trades
from contracts.market import Side

DEMAND = "demand"
FILE_KEYS = ("orders", DEMAND, "zones", "links", "name", "comment")
ORDER_KEYS = ("id", "agent", "owner", "side", "qty", "price", "seq", "zone")
LINK_KEYS = ("from", "to", "capacity", "fee")


class ClearMechanism(StrEnum):
    """How a file is cleared."""

    PAY_AS_CLEAR = "pay-as-clear"
    PAY_AS_BID = "pay-as-bid"
    MERIT_ORDER = "merit-order"
    NETWORK = "network"


def clear_file(
    data: Mapping[str, Any],
    mechanism: ClearMechanism,
    *,
    tie: Tie = Tie.TIME,
    self_trade: SelfTrade = SelfTrade.CANCEL_RESTING,
) -> dict[str, Any]:
    """Clear the orders of a file and return its answer.

    Orders of one owner that cross are settled before the call, as a running market does; the answer names them.

    Args:
        data: ``orders`` of ``id, agent, owner, side, qty, price, seq[, zone]``; ``demand`` for a merit order; ``zones``
            and ``links`` of ``from, to, capacity[, fee]`` for a network. The agent is the order's id where it is
            absent, the owner the agent. Orders without ``seq`` come last, in the order of the file.
        mechanism: How to clear.
        tie: Who is served first among equal limits.
        self_trade: What happens to crossing orders of one owner.

    Raises:
        BadInput: The file is not of that form.
    """
    only(data, FILE_KEYS, "the file")
    if "orders" not in data:
        raise BadInput("the file has no orders: nothing would be cleared")
    orders, owners = _orders(data)
    if mechanism is not ClearMechanism.NETWORK:
        _refuse_network(data, orders, mechanism)
    if mechanism is not ClearMechanism.MERIT_ORDER and data.get(DEMAND) is not None:
        raise BadInput(f"demand is {data[DEMAND]!r}, which the mechanism {mechanism} does not serve; use merit-order")
    kept, gone = without_self_trades(orders, owners, mode=self_trade)
    answer = _cleared(data, kept, mechanism, tie=tie)
    answer["fills"] = {order.order_id: answer["fills"].get(order.order_id, 0) for order in orders}
    if gone:
        answer["self_trade"] = gone
    return answer


def _cleared(
    data: Mapping[str, Any], orders: list[AuctionOrder], mechanism: ClearMechanism, *, tie: Tie
) -> dict[str, Any]:
    agents = {order.order_id: order.agent for order in orders} | {DEMAND: DEMAND}
    match mechanism:
        case ClearMechanism.PAY_AS_CLEAR:
            return _answer(clear(orders, tie=tie), agents.__getitem__)
        case ClearMechanism.PAY_AS_BID:
            return _answer(pay_as_bid(orders, tie=tie), agents.__getitem__)
        case ClearMechanism.MERIT_ORDER:
            bids = any(row["side"] == Side.BUY for row in rows(data, "orders"))
            demand = whole(data, DEMAND, "the file", least=0, default=0 if bids else None)
            if DEMAND in {order.order_id for order in orders}:
                raise BadInput(f"order id {DEMAND!r} stands for the fixed demand in a merit order; choose another")
            clearing = merit_order(orders, demand_wh=demand, tie=tie, buyer=DEMAND)
            return _answer(clearing, agents.__getitem__) | {"short": clearing.short_wh}
        case ClearMechanism.NETWORK:
            links = _links(data)
            zones = _network_zones(data, links, orders)
            try:
                found = clear_network(orders, links, zones=zones, tie=tie)
            except ValueError as error:
                raise BadInput(str(error)) from error
            return _network_answer(found, agents.__getitem__)


def _refuse_network(data: Mapping[str, Any], orders: list[AuctionOrder], mechanism: ClearMechanism) -> None:
    """Refuse lines and zones where the mechanism would clear them as one copper plate."""
    named = [key for key in ("zones", "links") if data.get(key)]
    named += [f"zone {order.zone} of order {order.order_id}" for order in orders if order.zone]
    if named:
        raise BadInput(f"{named[0]}: the mechanism {mechanism} has no network and would clear as one; use network")


def _network_zones(data: Mapping[str, Any], links: list[Link], orders: list[AuctionOrder]) -> list[str]:
    """Return every zone, once each end of a link and each order has been found in one."""
    listed = _zones(data)
    zones = [*listed, *(order.zone for order in orders)]
    for link in links:
        for end in (link.origin, link.target):
            if end not in zones:
                raise BadInput(f"link {link.name} names zone {end!r}, which is neither listed nor has orders")
    known = {*listed, *(end for link in links for end in (link.origin, link.target))}
    for order in orders:
        if not order.zone and any(zones):
            raise BadInput(f"order {order.order_id} names no zone, which a network needs; zones are {_names(zones)}")
        if known and order.zone not in known:
            raise BadInput(f"zone {order.zone} of order {order.order_id} is neither listed nor linked: {_names(known)}")
    return zones


def _names(zones: Iterable[str]) -> str:
    return ", ".join(sorted({zone for zone in zones if zone}))


def _orders(data: Mapping[str, Any]) -> tuple[list[AuctionOrder], dict[str, str]]:
    """Return the orders in the order of the file, and who owns each."""
    found: dict[str, AuctionOrder] = {}
    owners: dict[str, str] = {}
    every = rows(data, "orders")
    numbers = [whole(row, "seq", f"orders[{index}]") for index, row in enumerate(every) if row.get("seq") is not None]
    last = max(numbers, default=-1)
    for index, row in enumerate(every):
        where = f"orders[{index}]"
        only(row, ORDER_KEYS, where)
        order_id = text(row, "id", where)
        if order_id in found:
            raise BadInput(f"id {order_id!r} of {where} is there twice; ids are unique")
        side = text(row, "side", where)
        if side not in set(Side):
            raise BadInput(f"side of {where} is {side!r}, neither buy nor sell")
        agent = text(row, "agent", where, default=order_id)
        owners[order_id] = text(row, "owner", where, default=agent)
        zone = row.get("zone")
        found[order_id] = AuctionOrder(
            order_id=order_id,
            agent=agent,
            side=Side(side),
            quantity_wh=whole(row, "qty", where, least=1),
            limit_mct_per_kwh=whole(row, "price", where),
            sequence=last + 1 + index if row.get("seq") is None else row["seq"],
            zone="" if zone is None or zone == "" else text(row, "zone", where),
        )
    return list(found.values()), owners


def _zones(data: Mapping[str, Any]) -> list[str]:
    value = data.get("zones", [])
    names = list(value) if isinstance(value, list | dict) else []
    zones = [name.get("id") if isinstance(name, dict) else name for name in names]
    zones = [str(zone) if type(zone) is int else zone for zone in zones]
    if not isinstance(value, list | dict) or not all(isinstance(zone, str) for zone in zones):
        raise BadInput(f"zones is {value!r}, not a list of names")
    return [zone for zone in zones if isinstance(zone, str)]


def _links(data: Mapping[str, Any]) -> list[Link]:
    for index, row in enumerate(rows(data, "links")):
        only(row, LINK_KEYS, f"links[{index}]")
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
