"""Orders against one product: in, changed, out; each changes holds, positions and ledger in one step.

An order's identity is its site and its own order id. A repeat with the same content gets the first reply and has no
second effect; the same id with other content is refused.
"""

from collections.abc import Callable, Mapping
from heapq import heappush
from typing import Any

from cloud.market import checks
from cloud.market.book import Fill
from cloud.market.checks import LATER, Refusal, Refused
from cloud.market.ledger import FEES, Entry, Kind
from cloud.market.rules import UTILITY, SelfTrade
from cloud.market.state import Account, Order, Outcome, Product, Reply, State, Trade
from contracts.market import OrderStatus, ProductState, TimeInForce


def new(state: State, command: Mapping[str, Any], out: Outcome) -> None:
    """Take a new order, or refuse it."""
    bad = checks.schema(command)
    if bad is not None:
        out.replies.append(_refused(command, bad))
        return
    start_ms, key = command["interval_ms"], f"{command['site']}/{command['order_id']}"
    content = (
        start_ms,
        command["side"],
        command["quantity_wh"],
        command["price_mct_per_kwh"],
        command.get("tif", "gtc"),
        command.get("good_till_ms"),
        bool(command.get("post_only")),
    )
    if key in state.home:
        out.replies.append(_repeat(state.products[state.home[key]], key, content, command))
        return
    product = state.products.get(start_ms)
    account = state.accounts.get(command["site"])
    bad = checks.sender(state, account, command["site"]) or checks.product_open(state, product, start_ms)
    if bad is not None or account is None or product is None:
        assert bad is not None
        out.replies.append(_refused(command, bad))
        return
    bad = _entry_checks(state, account, product, command)
    if bad is not None:
        reply = _refused(command, bad)
        if bad.code not in LATER:
            _remember(state, product, key, content, reply)
        out.replies.append(reply)
        return
    order = Order(
        site=command["site"],
        order_id=command["order_id"],
        buy=command["side"] == "buy",
        price=command["price_mct_per_kwh"],
        quantity_wh=command["quantity_wh"],
        sequence=state.next_sequence(),
        tif=TimeInForce(command.get("tif", "gtc")),
        good_till_ms=command.get("good_till_ms"),
    )
    product.orders[key] = order
    if order.tif is TimeInForce.GTD and order.good_till_ms is not None and order.good_till_ms < product.times.gate_ms:
        heappush(state.expiries, (order.good_till_ms, start_ms, key))
    first = len(out.replies)
    _enter(state, product, order, order.quantity_wh, out, post_only=bool(command.get("post_only")))
    reply = out.replies[first]
    _remember(state, product, key, content, reply)


def cancel(state: State, command: Mapping[str, Any], out: Outcome) -> None:
    """Take an open order out; a cancelled or filled order stays as it is and says so."""
    _once(state, command, out, _cancel)


def modify(state: State, command: Mapping[str, Any], out: Outcome) -> None:
    """Change an open order's price and total quantity.

    The quantity is the order's new total: what already traded counts. Less at the same price keeps its place, all else
    goes to the back. A change that is refused leaves the order as it was.
    """
    _once(state, command, out, _change)


def _once(
    state: State,
    command: Mapping[str, Any],
    out: Outcome,
    act: Callable[[State, Product, Order, Mapping[str, Any], Outcome], None],
) -> None:
    """Act on an order that the command names, or give the first reply again where the command's id was seen."""
    bad = checks.schema(command)
    if bad is not None:
        out.replies.append(_refused(command, bad))
        return
    product = state.products.get(command["interval_ms"])
    command_id = None if command.get("id") is None else f"{command['site']}#{command['id']}"
    content = tuple(command.get(name) for name in ("op", "order_id", "quantity_wh", "price_mct_per_kwh"))
    if product is not None and command_id in product.replies:
        out.replies.append(_repeat(product, str(command_id), content, command))
        return
    first = len(out.replies)
    order = None if product is None else product.orders.get(f"{command['site']}/{command['order_id']}")
    if product is None or order is None:
        reason = f"site {command['site']} has no order {command['order_id']} in interval {command['interval_ms']}"
        out.replies.append(_refused(command, Refused(Refusal.UNKNOWN_ORDER, reason)))
    elif state.now_ms >= product.times.gate_ms:
        reason = f"interval {product.start_ms} closed at {product.times.gate_ms}"
        out.replies.append(_refused(command, Refused(Refusal.GATE_CLOSED, reason)))
    else:
        act(state, product, order, command, out)
    reply = out.replies[first]
    if product is not None and command_id is not None and reply.refusal not in LATER:
        product.replies[command_id] = (content, reply)


def _cancel(state: State, product: Product, order: Order, _command: Mapping[str, Any], out: Outcome) -> None:
    if order.open_wh:
        withdraw(state, product, order, OrderStatus.CANCELLED)
    out.replies.append(reply_of(product, order))


def _change(state: State, product: Product, order: Order, command: Mapping[str, Any], out: Outcome) -> None:
    price, quantity = command["price_mct_per_kwh"], command["quantity_wh"]
    account = state.accounts[order.site]
    bad = checks.sender(state, account, order.site) or checks.terms(state, price=price, quantity_wh=quantity)
    if not order.open_wh and bad is None:
        bad = Refused(Refusal.UNKNOWN_ORDER, f"order {order.order_id} is {order.status} and cannot be changed")
    if bad is not None:
        out.replies.append(_refused(command, bad))
        return
    left = quantity - order.traded_wh
    if left <= 0:
        withdraw(state, product, order, OrderStatus.FILLED if order.traded_wh else OrderStatus.CANCELLED)
        order.quantity_wh = order.traded_wh
        order.cancelled_wh = 0
        out.replies.append(reply_of(product, order))
        return
    if price == order.price and left <= order.open_wh:
        _hold(state, product, order, left - order.open_wh)
        product.book.reduce(order.key, left)
        order.open_wh = left
        order.quantity_wh = quantity
        out.replies.append(reply_of(product, order))
        return
    before = order.open_wh
    _hold(state, product, order, -before)
    bad = _limit_checks(state, account, product, buy=order.buy, quantity_wh=left, price=price)
    if bad is not None:
        _hold(state, product, order, before)
        out.replies.append(_refused(command, bad))
        return
    product.book.cancel(order.key)
    _forget_own(product, state, order)
    order.open_wh = 0
    order.price, order.quantity_wh, order.sequence = price, quantity, state.next_sequence()
    _enter(state, product, order, left, out, post_only=False)


def withdraw(state: State, product: Product, order: Order, status: OrderStatus) -> None:
    """Take what is open of an order out of the book, release its hold, and give it its end."""
    product.book.cancel(order.key)
    _forget_own(product, state, order)
    _hold(state, product, order, -order.open_wh)
    order.cancelled_wh += order.open_wh
    order.open_wh = 0
    order.status = status


def reply_of(product: Product, order: Order, *, refusal: Refused | None = None) -> Reply:
    """Return how an order stands."""
    return Reply(
        order.site,
        product.start_ms,
        order.order_id,
        order.status,
        None if refusal is None else refusal.code.value,
        None if refusal is None else refusal.reason,
        order.traded_wh,
    )


def book_trade(
    state: State, product: Product, *, buy: Order, sell: Order, quantity_wh: int, price: int, taker: str, out: Outcome
) -> None:
    """Record one trade: both positions, both holds, and its postings."""
    product.trades += 1
    product.volume_wh += quantity_wh
    trade_id = f"{state.rules.zone}:{product.start_ms}:{product.trades}"
    out.trades.append(
        Trade(
            trade_id,
            product.start_ms,
            buy.site,
            buy.order_id,
            sell.site,
            sell.order_id,
            quantity_wh,
            price,
            taker,
        )
    )
    amount = quantity_wh * price
    fee = quantity_wh * state.rules.fee_mct_per_kwh
    fees: list[Entry] = []
    for order, sign in ((buy, 1), (sell, -1)):
        order.traded_wh += quantity_wh
        if order.site == UTILITY:
            continue
        position = product.position(order.site)
        if sign > 0:
            position.bought_wh += quantity_wh
        else:
            position.sold_wh += quantity_wh
        position.trades_uct += sign * amount
        if fee:
            position.fees_uct += fee
            fees.append(Entry(order.site, fee, 0))
    rules_version = state.rules.version
    out.lines += state.ledger.post(
        Kind.TRADE,
        (Entry(buy.site, amount, quantity_wh), Entry(sell.site, -amount, -quantity_wh)),
        interval_ms=product.start_ms,
        reference=trade_id,
        rules_version=rules_version,
    )
    if fees:
        fees.append(Entry(FEES, -fee * len(fees), 0))
        out.lines += state.ledger.post(
            Kind.FEE, fees, interval_ms=product.start_ms, reference=trade_id, rules_version=rules_version
        )


def take_from_hold(state: State, product: Product, order: Order, quantity_wh: int) -> None:
    """Move traded quantity out of an order's hold; the order is done with it."""
    _hold(state, product, order, -quantity_wh)
    order.open_wh -= quantity_wh
    if order.open_wh:
        order.status = OrderStatus.PARTLY_FILLED
    else:
        order.status = OrderStatus.FILLED
        _forget_own(product, state, order)


def _entry_checks(state: State, account: Account, product: Product, command: Mapping[str, Any]) -> Refused | None:
    price, quantity = command["price_mct_per_kwh"], command["quantity_wh"]
    owner = account.owner
    bad = checks.terms(state, price=price, quantity_wh=quantity) or checks.condition(
        state,
        product,
        tif=command.get("tif", "gtc"),
        post_only=bool(command.get("post_only")),
        good_till_ms=command.get("good_till_ms"),
    )
    if bad is not None:
        return bad
    if len(product.own.get(owner, ())) >= state.rules.open_orders_max:
        return Refused(Refusal.OPEN_ORDERS, f"owner {owner} has {state.rules.open_orders_max} open orders already")
    return _limit_checks(state, account, product, buy=command["side"] == "buy", quantity_wh=quantity, price=price)


def _limit_checks(
    state: State, account: Account, product: Product, *, buy: bool, quantity_wh: int, price: int
) -> Refused | None:
    position = product.position(account.participant.site)
    return (
        checks.capacity(account, product, position, buy=buy, more_wh=quantity_wh)
        or checks.position_limit(state, product, position, buy=buy, more_wh=quantity_wh)
        or checks.credit(state, account, cost_uct=checks.cost_uct(state, buy=buy, quantity_wh=quantity_wh, price=price))
    )


def _enter(state: State, product: Product, order: Order, quantity_wh: int, out: Outcome, *, post_only: bool) -> None:
    """Put a checked order into the book; its own reply comes first, then those of the orders it met."""
    owner = state.accounts[order.site].owner
    own_first = len(out.replies)
    if product.state is ProductState.CONTINUOUS:
        refusal = _trade(state, product, order, quantity_wh, out, owner=owner, post_only=post_only)
    else:
        refusal = _rest_in_call(state, product, order, quantity_wh, out, owner=owner)
    if order.open_wh:
        product.own.setdefault(owner, {})[order.key] = None
        order.status = OrderStatus.PARTLY_FILLED if order.traded_wh else OrderStatus.ACCEPTED
    elif order.traded_wh:
        order.status = OrderStatus.FILLED if not order.cancelled_wh else OrderStatus.PARTLY_FILLED
    else:
        order.status = OrderStatus.REJECTED if post_only else OrderStatus.CANCELLED
    out.replies.insert(own_first, reply_of(product, order, refusal=refusal))


def _trade(
    state: State, product: Product, order: Order, quantity_wh: int, out: Outcome, *, owner: str, post_only: bool
) -> Refused | None:
    placed = product.book.place(
        order.key, order.buy, quantity_wh, order.price, tif=order.tif, post_only=post_only, owner=owner
    )
    order.open_wh = quantity_wh
    _hold(state, product, order, quantity_wh)
    for fill in placed.fills:
        _fill(state, product, order, fill, out)
    if placed.cancelled:
        _hold(state, product, order, -placed.cancelled)
        order.open_wh -= placed.cancelled
        order.cancelled_wh += placed.cancelled
    for key, less in placed.removed:
        _take_off_own(state, product, product.orders[key], less, out)
    if placed.crossed:
        return Refused(Refusal.WOULD_TAKE, f"post-only at {order.price} mct/kWh would take from the book")
    if not placed.cancelled:
        return None
    if placed.removed or order.tif not in (TimeInForce.IOC, TimeInForce.FOK):
        return Refused(Refusal.SELF_TRADE, f"{placed.cancelled} Wh would trade with an order of the same owner")
    return Refused(Refusal.NOT_FILLED, f"{placed.cancelled} Wh found no match at once")


def _fill(state: State, product: Product, taker: Order, fill: Fill, out: Outcome) -> None:
    maker = product.orders[fill.maker]
    buy, sell = (taker, maker) if taker.buy else (maker, taker)
    take_from_hold(state, product, maker, fill.quantity)
    take_from_hold(state, product, taker, fill.quantity)
    book_trade(
        state,
        product,
        buy=buy,
        sell=sell,
        quantity_wh=fill.quantity,
        price=fill.price,
        taker="buy" if taker.buy else "sell",
        out=out,
    )
    product.last_price = fill.price
    out.replies.append(reply_of(product, maker))


def _rest_in_call(
    state: State, product: Product, order: Order, quantity_wh: int, out: Outcome, *, owner: str
) -> Refused | None:
    """Rest an order without trading; crossing orders of one owner are settled now, so none can meet at the clearing."""
    mode = state.rules.self_trade
    left = quantity_wh
    for key in list(product.own.get(owner, ())):
        other = product.orders[key]
        crosses = other.buy != order.buy and (order.price >= other.price if order.buy else order.price <= other.price)
        if not crosses or not left:
            continue
        if mode is SelfTrade.DECREMENT:
            less = min(left, other.open_wh)
            left -= less
        else:
            less = 0 if mode is SelfTrade.CANCEL_INCOMING else other.open_wh
            left = left if mode is SelfTrade.CANCEL_RESTING else 0
        if less:
            if less == other.open_wh:
                product.book.cancel(key)
            else:
                product.book.reduce(key, other.open_wh - less)
            _take_off_own(state, product, other, less, out)
    order.cancelled_wh += quantity_wh - left
    order.open_wh = left
    if left:
        product.book.rest(order.key, order.buy, left, order.price, owner=owner)
        _hold(state, product, order, left)
    if left == quantity_wh:
        return None
    return Refused(Refusal.SELF_TRADE, f"{quantity_wh - left} Wh would trade with an order of the same owner")


def _take_off_own(state: State, product: Product, order: Order, less_wh: int, out: Outcome) -> None:
    _hold(state, product, order, -less_wh)
    order.open_wh -= less_wh
    order.cancelled_wh += less_wh
    if not order.open_wh:
        order.status = OrderStatus.CANCELLED
        _forget_own(product, state, order)
    refusal = Refused(Refusal.SELF_TRADE, f"{less_wh} Wh gave way to a crossing order of the same owner")
    out.replies.append(reply_of(product, order, refusal=refusal))


def _hold(state: State, product: Product, order: Order, more_wh: int) -> None:
    position = product.position(order.site)
    if order.buy:
        position.open_buy_wh += more_wh
    else:
        position.open_sell_wh += more_wh
    account = state.accounts[order.site]
    account.open_cost_uct += checks.cost_uct(state, buy=order.buy, quantity_wh=more_wh, price=order.price)


def _forget_own(product: Product, state: State, order: Order) -> None:
    owner = state.accounts[order.site].owner
    own = product.own.get(owner)
    if own is not None:
        own.pop(order.key, None)


def _repeat(product: Product, key: str, content: tuple[Any, ...], command: Mapping[str, Any]) -> Reply:
    first_content, reply = product.replies[key]
    if first_content == content:
        return reply
    return _refused(command, Refused(Refusal.DUPLICATE_ID, f"{key} is known with other content; unchanged"))


def _remember(state: State, product: Product, key: str, content: tuple[Any, ...], reply: Reply) -> None:
    product.replies[key] = (content, reply)
    state.home[key] = product.start_ms


def _refused(command: Mapping[str, Any], refused: Refused) -> Reply:
    site, order_id, start_ms = command.get("site"), command.get("order_id"), command.get("interval_ms")
    return Reply(
        site if isinstance(site, str) else "",
        start_ms if isinstance(start_ms, int) else 0,
        order_id if isinstance(order_id, str) else "",
        OrderStatus.REJECTED,
        refused.code.value,
        refused.reason,
    )
