"""Gate closure of one product: limits once more, one call, every open order closed exactly once."""

from cloud.market.auction import AuctionOrder, Clearing, clear, pay_as_bid
from cloud.market.checks import Refusal, Refused, caps
from cloud.market.rules import UTILITY, Mechanism
from cloud.market.state import Order, Outcome, Product, State
from cloud.market.trading import book_trade, reply_of, take_from_hold, withdraw
from contracts.market import OrderStatus, Side

UTILITY_SELLS = "utility-import"
UTILITY_BUYS = "utility-export"


def close_gate(state: State, product: Product, out: Outcome) -> None:
    """Clear what rests in a product; everyone gets a notice, also those with nothing."""
    _within_capacity(state, product, out)
    orders = {key: order for key, order in product.orders.items() if order.open_wh}
    utility = _utility_orders(state, product)
    clearing = _cleared(state, product, [*orders.values(), *utility.values()])
    for trade in clearing.trades:
        buy = orders.get(trade.buy_id) or utility[trade.buy_id]
        sell = orders.get(trade.sell_id) or utility[trade.sell_id]
        for order in (buy, sell):
            if order.site != UTILITY:
                take_from_hold(state, product, order, trade.quantity_wh)
        book_trade(
            state,
            product,
            buy=buy,
            sell=sell,
            quantity_wh=trade.quantity_wh,
            price=trade.price_mct_per_kwh,
            taker="call",
            out=out,
        )
    product.price = _price(product, clearing)
    # Where the call traded nothing, its interval says nothing about the last continuous price.
    if clearing.volume_wh or product.price is None:
        product.low, product.high = clearing.price.low, clearing.price.high
    for order in orders.values():
        product.book.cancel(order.key)
        if order.open_wh:
            status = OrderStatus.PARTLY_FILLED if order.traded_wh else OrderStatus.UNFILLED
            withdraw(state, product, order, status)
        out.replies.append(reply_of(product, order))


def _price(product: Product, clearing: Clearing) -> int | None:
    """Return the call's price; with pay-as-bid the mean of the pairs, rounded down, stands for it."""
    if clearing.price.paid is not None:
        return clearing.price.paid
    if not clearing.volume_wh:
        return product.last_price
    return sum(trade.quantity_wh * trade.price_mct_per_kwh for trade in clearing.trades) // clearing.volume_wh


def _cleared(state: State, product: Product, orders: list[Order]) -> Clearing:
    rules = state.rules
    entries = [
        AuctionOrder(
            order_id=order.key,
            agent=order.site,
            side=Side.BUY if order.buy else Side.SELL,
            quantity_wh=order.open_wh,
            limit_mct_per_kwh=order.price,
            sequence=order.sequence,
        )
        for order in orders
    ]
    name = f"{rules.zone}:{product.start_ms}"
    if rules.mechanism is Mechanism.PAY_AS_BID:
        return pay_as_bid(entries, tie=rules.tie, product=name)
    return clear(
        entries,
        tie=rules.tie,
        rule=rules.price_rule,
        reference=product.last_price,
        tick=rules.tick_mct_per_kwh,
        product=name,
    )


def _utility_orders(state: State, product: Product) -> dict[str, Order]:
    """Return the utility's orders, last in time at their limits: the import tariff sells, the export tariff buys."""
    tariffs = state.rules.last_resort
    if tariffs is None:
        return {}
    orders = []
    last = state.sequence + 1
    if tariffs.import_wh:
        orders.append(
            Order(
                site=UTILITY,
                order_id=UTILITY_SELLS,
                buy=False,
                price=tariffs.import_mct_per_kwh,
                quantity_wh=tariffs.import_wh,
                sequence=last,
                open_wh=tariffs.import_wh,
            )
        )
    # Equal tariffs would let the utility meet itself; then it only sells.
    if tariffs.export_wh and tariffs.export_mct_per_kwh < tariffs.import_mct_per_kwh:
        orders.append(
            Order(
                site=UTILITY,
                order_id=UTILITY_BUYS,
                buy=True,
                price=tariffs.export_mct_per_kwh,
                quantity_wh=tariffs.export_wh,
                sequence=last,
                open_wh=tariffs.export_wh,
            )
        )
    return {order.key: order for order in orders}


def _within_capacity(state: State, product: Product, out: Outcome) -> None:
    """Cancel the latest orders of a site whose connection can carry less than when they were accepted."""
    for order in sorted(product.orders.values(), key=lambda order: -order.sequence):
        if not order.open_wh:
            continue
        import_wh, export_wh = caps(state.accounts[order.site], product)
        position = product.position(order.site)
        if order.buy:
            worst, bound = position.net_wh + position.open_buy_wh, import_wh
        else:
            worst, bound = -position.net_wh + position.open_sell_wh, export_wh
        if worst > bound:
            withdraw(state, product, order, OrderStatus.CANCELLED)
            refused = Refused(
                Refusal.CAPACITY, f"position could reach {worst} Wh, the connection carries {bound} Wh now"
            )
            out.replies.append(reply_of(product, order, refusal=refused))
