"""The supplier of last resort: the utility's orders at its tariffs, behind everyone else at the same price."""

from cloud.market.rules import UTILITY, Mechanism, Stand
from cloud.market.state import Order, Product, State

UTILITY_SELLS = "utility-import"
UTILITY_BUYS = "utility-export"


def standing_orders(state: State, product: Product) -> dict[str, Order]:
    """Return the utility's orders of a product: what is left of those in its book, or new ones where none stood."""
    stood = {order.key: order for order in product.orders if order.site == UTILITY}
    if stood:
        return {key: order for key, order in stood.items() if order.open_wh}
    utility = state.rules.last_resort
    if utility is None:
        return {}
    prices = utility.prices_at(product.start_ms)
    wanted = [(UTILITY_SELLS, False, prices.import_mct_per_kwh, utility.import_wh)]
    # Equal tariffs would let the utility meet itself; then it only sells.
    if prices.export_mct_per_kwh < prices.import_mct_per_kwh:
        wanted.append((UTILITY_BUYS, True, prices.export_mct_per_kwh, utility.export_wh))
    orders = [
        Order(UTILITY, name, buy, price, quantity_wh, state.sequence + 1, open_wh=quantity_wh)
        for name, buy, price, quantity_wh in wanted
        if quantity_wh
    ]
    return {order.key: order for order in orders}


def stand_in_book(state: State, product: Product) -> None:
    """Let the utility stand in a new product's continuous book, where the rules say so."""
    rules = state.rules
    if rules.last_resort is None or rules.last_resort.stands_in is not Stand.BOOK:
        return
    if rules.mechanism is not Mechanism.CONTINUOUS_CALL:
        return
    for order in standing_orders(state, product).values():
        product.orders.append(order)
        product.book.stand(order, order.buy, order.open_wh, order.price)
