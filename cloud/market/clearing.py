"""Gate closure of one product: limits once more, one call, every open order closed exactly once."""

from cloud.market.auction import AuctionOrder, Clearing, clear, pay_as_bid
from cloud.market.checks import Refusal, Refused, caps, storage
from cloud.market.coupling import clear_coupled
from cloud.market.last_resort import standing_orders
from cloud.market.rules import UTILITY, Mechanism
from cloud.market.state import Order, Outcome, Product, State
from cloud.market.trading import book_trade, reply_of, take_from_hold, withdraw
from contracts.market import OrderStatus, Side


def close_gate(state: State, product: Product, out: Outcome) -> None:
    """Clear what rests in a product; everyone gets a notice, also those with nothing."""
    _within_capacity(state, product, out)
    orders = {order.key: order for order in product.orders if order.open_wh and order.site != UTILITY}
    utility = standing_orders(state, product)
    if state.rules.links:
        clear_coupled(state, product, {**orders, **utility}, out)
    else:
        _clear_alone(state, product, orders, utility, out)
    for order in orders.values():
        product.book.cancel(order)
        if order.open_wh:
            status = OrderStatus.PARTLY_FILLED if order.traded_wh else OrderStatus.UNFILLED
            withdraw(state, product, order, status)
        out.replies.append(reply_of(product, order))
    for order in utility.values():
        product.book.stand(order, order.buy, 0, order.price)
        withdraw(state, product, order, OrderStatus.PARTLY_FILLED if order.traded_wh else OrderStatus.UNFILLED)


def _clear_alone(
    state: State, product: Product, orders: dict[str, Order], utility: dict[str, Order], out: Outcome
) -> None:
    clearing = _cleared(state, product, [*orders.values(), *utility.values()])
    for trade in clearing.trades:
        buy = orders.get(trade.buy_id) or utility[trade.buy_id]
        sell = orders.get(trade.sell_id) or utility[trade.sell_id]
        for order in (buy, sell):
            take_from_hold(state, order, trade.quantity_wh)
        book_trade(
            state,
            product,
            out,
            buy=buy,
            sell=sell,
            quantity_wh=trade.quantity_wh,
            price=trade.price_mct_per_kwh,
            taker="call",
        )
    product.price = _price(product, clearing)
    # Where the call traded nothing, its interval says nothing about the last continuous price.
    if clearing.volume_wh or product.price is None:
        product.low, product.high = clearing.price.low, clearing.price.high


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
            # The utility is last in time whenever it came.
            sequence=order.sequence if order.site != UTILITY else state.sequence + 1,
        )
        for order in orders
    ]
    if rules.mechanism is Mechanism.PAY_AS_BID:
        return pay_as_bid(entries, tie=rules.tie, product=product.name)
    return clear(
        entries,
        tie=rules.tie,
        rule=rules.price_rule,
        reference=product.last_price,
        tick=rules.tick_mct_per_kwh,
        product=product.name,
    )


def _within_capacity(state: State, product: Product, out: Outcome) -> None:
    """Cancel the latest orders of a site whose connection or battery can do less than when they were accepted."""
    for order in sorted(product.orders, key=lambda order: -order.sequence):
        account, position = order.account, order.position
        if not order.open_wh or account is None or position is None:
            continue
        import_wh, export_wh = caps(account, product)
        if order.buy:
            worst, bound = position.net_wh + position.open_buy_wh, import_wh
        else:
            worst, bound = -position.net_wh + position.open_sell_wh, export_wh
        if worst > bound:
            withdraw(state, product, order, OrderStatus.CANCELLED)
            refused: Refused | None = Refused(
                Refusal.CAPACITY, f"position could reach {worst} Wh, the connection carries {bound} Wh now"
            )
            out.replies.append(reply_of(product, order, refusal=refused))
            continue
        refused = storage(state, account, product, buy=order.buy, open_wh=order.open_wh, until_ms=product.start_ms)
        if refused is not None:
            withdraw(state, product, order, OrderStatus.CANCELLED)
            out.replies.append(reply_of(product, order, refusal=refused))
