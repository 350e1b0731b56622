"""Gate closure where lines join the areas of a market: one clearing, a price in each area, the rent on its account.

What stays in an area is traded between two sites. What leaves it is sold to the lines at the price there, and bought
from the lines at the price where it arrives; the difference is the lines' fees and their congestion rent, and the lines
are left with nothing.
"""

from cloud.market.auction import AuctionOrder
from cloud.market.ledger import LINK_FEES, RENT, Entry, Kind
from cloud.market.network import Link, NetworkClearing, clear_network
from cloud.market.rules import LINES, UTILITY
from cloud.market.state import AreaPrice, Order, Outcome, Product, State
from cloud.market.trading import book_trade, take_from_hold
from contracts.market import Side


def clear_coupled(state: State, product: Product, orders: dict[str, Order], out: Outcome) -> None:
    """Clear what rests in a product over all areas and their links; the utility's orders are among the others."""
    areas = {key: _area(state, order) for key, order in orders.items()}
    clearing = _cleared(state, product, orders, areas)
    over_lines: dict[str, int] = {}
    for pair in clearing.trades:
        buy, sell = orders[pair.buy_id], orders[pair.sell_id]
        if areas[buy.key] != areas[sell.key]:
            for order in (buy, sell):
                over_lines[order.key] = over_lines.get(order.key, 0) + pair.quantity_wh
            continue
        _trade(state, product, (buy, sell), out, wh=pair.quantity_wh, price=pair.buy_mct_per_kwh)
    for key, quantity_wh in over_lines.items():
        order, price = orders[key], clearing.zones[areas[key]].paid
        assert price is not None, "something traded without a price"
        line = Order(LINES, areas[key], not order.buy, price, quantity_wh, 0)
        sides = (order, line) if order.buy else (line, order)
        _trade(state, product, sides, out, wh=quantity_wh, price=price)
    _share_out(state, product, clearing, out)
    product.areas = {area: AreaPrice(found.low, found.high, found.paid) for area, found in clearing.zones.items()}
    product.price = _mean_price(orders, areas, clearing)


def _area(state: State, order: Order) -> str:
    if order.account is not None:
        return order.account.participant.area
    tariffs = state.rules.last_resort
    assert tariffs is not None, "the utility has an order without a tariff"
    return tariffs.area


def _cleared(state: State, product: Product, orders: dict[str, Order], areas: dict[str, str]) -> NetworkClearing:
    rules = state.rules
    entries = [
        AuctionOrder(
            order_id=order.key,
            agent=order.site,
            side=Side.BUY if order.buy else Side.SELL,
            quantity_wh=order.open_wh,
            limit_mct_per_kwh=order.price,
            # The utility is last in time whenever it came.
            sequence=order.sequence if order.site != UTILITY else state.sequence + 1,
            zone=areas[order.key],
        )
        for order in orders.values()
    ]
    return clear_network(
        entries,
        [
            Link(
                origin=link.origin,
                target=link.target,
                capacity_wh=link.capacity_wh,
                fee_mct_per_kwh=link.fee_mct_per_kwh,
            )
            for link in rules.links
        ],
        tie=rules.tie,
        product=product.name,
        tick=rules.tick_mct_per_kwh,
    )


def _trade(state: State, product: Product, pair: tuple[Order, Order], out: Outcome, *, wh: int, price: int) -> None:
    for order in pair:
        if order.site != LINES:
            take_from_hold(state, order, wh)
    book_trade(state, product, out, buy=pair[0], sell=pair[1], quantity_wh=wh, price=price, taker="call")


def _share_out(state: State, product: Product, clearing: NetworkClearing, out: Outcome) -> None:
    """Move what the lines have left over to the accounts that it belongs to."""
    fees, rent = clearing.fees_uct, clearing.rent_uct
    if not fees and not rent:
        return
    out.lines += state.ledger.post(
        Kind.RENT,
        (Entry(LINES, fees + rent, 0), Entry(LINK_FEES, -fees, 0), Entry(RENT, -rent, 0)),
        interval_ms=product.start_ms,
        reference=f"{product.name}:{LINES}",
        rules_version=state.rules.version,
    )


def _mean_price(orders: dict[str, Order], areas: dict[str, str], clearing: NetworkClearing) -> int | None:
    """Return what buyers pay on average, rounded down; ``None`` where nothing traded."""
    if not clearing.volume_wh:
        return None
    paid = sum(
        clearing.fills[key] * (clearing.zones[areas[key]].paid or 0) for key, order in orders.items() if order.buy
    )
    return paid // clearing.volume_wh
