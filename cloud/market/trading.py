"""Orders against one product: in, changed, out; each changes holds, positions and ledger in one step.

An order's identity is its site and its own order id. A repeat with the same content gets the first reply and has no
second effect; the same id with other content is refused.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heappush
from typing import Any

from cloud.market import checks
from cloud.market.book import Fill
from cloud.market.checks import LATER, UNKEPT, Refusal, Refused
from cloud.market.ledger import FEES, Entry, Kind
from cloud.market.rules import SelfTrade
from cloud.market.state import Order, Outcome, Product, Rejected, Reply, State, Trade
from contracts.market import OrderStatus, ProductState, TimeInForce

# Builds a named tuple without the keyword handling of its class: half the cost, several times a command.
_tuple = tuple.__new__
# Looked up by name once: a member of an enum costs as much as a dictionary each time.
_ACCEPTED, _FILLED, _PARTLY_FILLED = OrderStatus.ACCEPTED, OrderStatus.FILLED, OrderStatus.PARTLY_FILLED
_CONTINUOUS, _TRADE = ProductState.CONTINUOUS, Kind.TRADE
_REJECTED, _UNKNOWN = OrderStatus.REJECTED, Refusal.UNKNOWN_ORDER.value
_IMMEDIATE = (TimeInForce.IOC.value, TimeInForce.FOK.value)


def new(state: State, command: Mapping[str, object], out: Outcome) -> None:
    """Take a new order, or refuse it."""
    asked = checks.new_order(command, state.accounts)
    if type(asked) is Refused:
        out.replies.append(_refused(command, asked))
        return
    site, order_id, start_ms, side, quantity_wh, price, tif, good_till_ms, post_only = asked
    account = state.accounts.get(site)
    if account is None or account.left_ms is not None:
        out.replies.append(_refused(command, checks.unknown_site(state, site)))
        return
    known = account.known.get(order_id)
    if known is not None:
        out.replies.append(known.answer if known.asked == asked else _duplicate(command, f"{site}/{order_id}"))
        return
    product = state.products.get(start_ms)
    bad = checks.sender(state, account) or checks.fault(state, product, account, asked)
    if bad is not None or product is None:
        assert bad is not None
        reply = _refused(command, bad)
        if product is not None and bad.code not in UNKEPT:
            rejected = Rejected(account, asked, reply)
            account.known[order_id] = rejected
            product.rejected.append(rejected)
        out.replies.append(reply)
        return
    state.sequence = sequence = state.sequence + 1
    position = product.positions[site]
    order = Order(account.site, order_id, side == "buy", price, quantity_wh, sequence, asked, account, position)
    account.known[order_id] = order
    product.orders.append(order)
    if tif == "gtd" and good_till_ms is not None and good_till_ms < product.times.gate_ms:
        heappush(state.expiries, (good_till_ms, start_ms, order.key))
    order.answer = _enter(state, product, order, out, quantity_wh=quantity_wh, post_only=post_only)


def cancel(state: State, command: Mapping[str, object], out: Outcome) -> None:
    """Take an open order out; a cancelled or filled order stays as it is and says so."""
    _once(state, command, out, _cancel)


def modify(state: State, command: Mapping[str, object], out: Outcome) -> None:
    """Change an open order's price and total quantity.

    The quantity is the order's new total: what already traded counts. Less at the same price keeps its place, all else
    goes to the back. A change that is refused leaves the order as it was.
    """
    _once(state, command, out, _change)


def _once(
    state: State,
    command: Mapping[str, object],
    out: Outcome,
    act: Callable[[State, Product, Order, Mapping[str, object], Outcome], None],
) -> None:
    """Act on an order that the command names, or give the first reply again where the command's id was seen."""
    named = checks.named_order(command, state.accounts)
    if type(named) is Refused:
        out.replies.append(_refused(command, named))
        return
    site, order_id, start_ms = named
    product = state.products.get(start_ms)
    command_id = command.get("id")
    if command_id is not None:
        command_id = f"{site}#{command_id}"
        content = (command["op"], order_id, command.get("quantity_wh"), command.get("price_mct_per_kwh"))
        if product is not None and command_id in product.replies:
            first_content, reply = product.replies[command_id]
            out.replies.append(reply if first_content == content else _duplicate(command, command_id))
            return
    first = len(out.replies)
    account = state.accounts.get(site)
    order = None if account is None else account.known.get(order_id)
    # An order whose position is another product's is none of this one.
    if product is None or type(order) is not Order or order.position is not product.positions.get(site):
        reason = f"site {site} has no order {order_id} in interval {start_ms}"
        out.replies.append(_tuple(Reply, (site, start_ms, order_id, _REJECTED, _UNKNOWN, reason, 0)))
    elif state.now_ms >= product.times.gate_ms:
        reason = f"interval {product.start_ms} closed at {product.times.gate_ms}"
        out.replies.append(_refused(command, Refused(Refusal.GATE_CLOSED, reason)))
    else:
        act(state, product, order, command, out)
    if product is not None and command_id is not None:
        reply = out.replies[first]
        if reply.refusal not in LATER:
            product.replies[command_id] = (content, reply)


def _cancel(state: State, product: Product, order: Order, _command: Mapping[str, object], out: Outcome) -> None:
    if order.open_wh:
        withdraw(state, product, order, OrderStatus.CANCELLED)
    out.replies.append(reply_of(product, order))


def _change(state: State, product: Product, order: Order, command: Mapping[str, Any], out: Outcome) -> None:
    price, quantity = command["price_mct_per_kwh"], command["quantity_wh"]
    account, position = order.account, order.position
    # An order that a command can name is a site's, never the utility's.
    assert account is not None
    assert position is not None
    bad = checks.sender(state, account) or checks.terms(state, price, quantity)
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
        _hold(state, order, left - order.open_wh)
        product.book.reduce(order, left)
        order.open_wh = left
        order.quantity_wh = quantity
        out.replies.append(reply_of(product, order))
        return
    before = order.open_wh
    _hold(state, order, -before)
    bad = checks.limits(state, account, product, buy=order.buy, quantity_wh=left, price=price)
    if bad is not None:
        _hold(state, order, before)
        out.replies.append(_refused(command, bad))
        return
    product.book.cancel(order)
    position.own.pop(order)
    order.open_wh = 0
    order.price, order.quantity_wh, order.sequence = price, quantity, state.next_sequence()
    _enter(state, product, order, out, quantity_wh=left, post_only=False)


def withdraw(state: State, product: Product, order: Order, status: OrderStatus) -> None:
    """Take what is open of an order out of the book, release its hold, and give it its end."""
    product.book.cancel(order)
    order.cancelled_wh += order.open_wh
    _release(state, order, order.open_wh)
    order.status = status


def reply_of(product: Product, order: Order, *, refusal: Refused | None = None) -> Reply:
    """Return how an order stands."""
    if refusal is None:
        return _tuple(Reply, (order.site, product.start_ms, order.order_id, order.status, None, None, order.traded_wh))
    return Reply(
        order.site,
        product.start_ms,
        order.order_id,
        order.status,
        refusal.code.value,
        refusal.reason,
        order.traded_wh,
    )


def book_trade(
    state: State, product: Product, out: Outcome, *, buy: Order, sell: Order, quantity_wh: int, price: int, taker: str
) -> None:
    """Record one trade: both positions, and its postings."""
    terms, start_ms = state.terms, product.start_ms
    product.trades = number = product.trades + 1
    product.volume_wh += quantity_wh
    if product.trade_low is None or price < product.trade_low:
        product.trade_low = price
    if product.trade_high is None or price > product.trade_high:
        product.trade_high = price
    trade_id = f"{product.name}:{number}"
    buyer, seller = buy.site, sell.site
    out.trades.append(
        _tuple(Trade, (trade_id, start_ms, buyer, buy.order_id, seller, sell.order_id, quantity_wh, price, taker))
    )
    amount = quantity_wh * price
    buy.traded_wh += quantity_wh
    sell.traded_wh += quantity_wh
    position = buy.position
    if position is not None:
        position.bought_wh += quantity_wh
        position.trades_uct += amount
    position = sell.position
    if position is not None:
        position.sold_wh += quantity_wh
        position.trades_uct -= amount
    out.lines += state.ledger.transfer(
        _TRADE,
        buyer,
        seller,
        money_uct=amount,
        energy_wh=quantity_wh,
        interval_ms=start_ms,
        reference=trade_id,
        rules_version=terms.version,
    )
    if terms.fee_mct_per_kwh:
        _charge_fee(state, product, (buy, sell), out, fee_uct=quantity_wh * terms.fee_mct_per_kwh, trade_id=trade_id)


def _charge_fee(
    state: State, product: Product, orders: tuple[Order, Order], out: Outcome, *, fee_uct: int, trade_id: str
) -> None:
    """Charge the fee of one trade to each of its sites; the utility and the lines pay none."""
    payers = []
    for order in orders:
        if order.position is not None:
            order.position.fees_uct += fee_uct
            payers.append(order.site)
    out.lines += state.ledger.post(
        Kind.FEE,
        [*(Entry(site, fee_uct, 0) for site in payers), Entry(FEES, -fee_uct * len(payers), 0)],
        interval_ms=product.start_ms,
        reference=trade_id,
        rules_version=state.rules.version,
    )


def take_from_hold(state: State, order: Order, quantity_wh: int) -> None:
    """Move traded quantity out of an order's hold; the order is done with it."""
    _release(state, order, quantity_wh)
    order.status = _PARTLY_FILLED if order.open_wh else _FILLED


def _enter(state: State, product: Product, order: Order, out: Outcome, *, quantity_wh: int, post_only: bool) -> Reply:
    """Put a checked order of a site into the book; its own reply comes first, then those of the orders it met."""
    position, book, replies = order.position, product.book, out.replies
    assert position is not None
    if product.state is not _CONTINUOUS:
        own_first = len(replies)
        refusal = _rest_in_call(state, product, order, out, quantity_wh=quantity_wh, own=position.own)
    elif book.meets(order.buy, order.price) or order.asked[6] in _IMMEDIATE:
        own_first = len(replies)
        refusal = _trade(state, product, order, out, quantity_wh=quantity_wh, own=position.own, post_only=post_only)
    else:
        book.rest(order, order.buy, quantity_wh, order.price)
        position.own[order] = None
        order.open_wh = quantity_wh
        _hold(state, order, quantity_wh)
        reply = reply_of(product, order)
        replies.append(reply)
        return reply
    if order.open_wh:
        position.own[order] = None
        order.status = _PARTLY_FILLED if order.traded_wh else _ACCEPTED
    elif order.traded_wh:
        order.status = _FILLED if not order.cancelled_wh else _PARTLY_FILLED
    else:
        order.status = OrderStatus.REJECTED if post_only else OrderStatus.CANCELLED
    reply = reply_of(product, order, refusal=refusal)
    replies.insert(own_first, reply)
    return reply


def _trade(
    state: State,
    product: Product,
    order: Order,
    out: Outcome,
    *,
    quantity_wh: int,
    own: Collection[Order],
    post_only: bool,
) -> Refused | None:
    book, traded_wh, crossed = product.book, order.traded_wh, False
    if post_only or order.asked[6] in _IMMEDIATE:
        fills, resting, _, removed, crossed = book.place(
            order, order.buy, quantity_wh, order.price, tif=order.tif, post_only=post_only, own=own
        )
    else:
        fills, resting, removed = book.enter(order, order.buy, quantity_wh, order.price, own)
    order.open_wh = resting
    if resting:
        _hold(state, order, resting)
    if fills:
        _fill(state, product, order, fills, out)
    for other, less in removed:
        _take_off_own(state, product, other, less, out)
    cancelled = quantity_wh - resting - (order.traded_wh - traded_wh)
    if crossed:
        order.cancelled_wh += cancelled
        return Refused(Refusal.WOULD_TAKE, f"post-only at {order.price} mct/kWh would take from the book")
    if not cancelled:
        return None
    order.cancelled_wh += cancelled
    if removed or order.asked[6] not in _IMMEDIATE:
        return Refused(Refusal.SELF_TRADE, f"{cancelled} Wh would trade with an order of the same owner")
    return Refused(Refusal.NOT_FILLED, f"{cancelled} Wh found no match at once")


def _fill(state: State, product: Product, taker: Order, fills: Sequence[Fill[Order]], out: Outcome) -> None:
    for maker, price, quantity_wh in fills:
        take_from_hold(state, maker, quantity_wh)
        if taker.buy:
            book_trade(state, product, out, buy=taker, sell=maker, quantity_wh=quantity_wh, price=price, taker="buy")
        else:
            book_trade(state, product, out, buy=maker, sell=taker, quantity_wh=quantity_wh, price=price, taker="sell")
        product.last_price = price
        if maker.account is not None:
            out.replies.append(reply_of(product, maker))


def _rest_in_call(
    state: State, product: Product, order: Order, out: Outcome, *, quantity_wh: int, own: Iterable[Order]
) -> Refused | None:
    """Rest an order without trading; crossing orders of one owner are settled now, so none can meet at the clearing."""
    mode = state.rules.self_trade
    left = quantity_wh
    for other in list(own):
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
                product.book.cancel(other)
            else:
                product.book.reduce(other, other.open_wh - less)
            _take_off_own(state, product, other, less, out)
    order.cancelled_wh += quantity_wh - left
    order.open_wh = left
    if left:
        product.book.rest(order, order.buy, left, order.price)
        _hold(state, order, left)
    if left == quantity_wh:
        return None
    return Refused(Refusal.SELF_TRADE, f"{quantity_wh - left} Wh would trade with an order of the same owner")


def _take_off_own(state: State, product: Product, order: Order, less_wh: int, out: Outcome) -> None:
    _release(state, order, less_wh)
    order.cancelled_wh += less_wh
    if not order.open_wh:
        order.status = OrderStatus.CANCELLED
    refusal = Refused(Refusal.SELF_TRADE, f"{less_wh} Wh gave way to a crossing order of the same owner")
    out.replies.append(reply_of(product, order, refusal=refusal))


def _hold(state: State, order: Order, more_wh: int) -> None:
    """Count more, or less, of an order as open; the supplier of last resort has no limits to hold against."""
    account, position = order.account, order.position
    if account is None or position is None:
        return
    price, pays = order.price, state.terms.fee_mct_per_kwh
    if order.buy:
        position.open_buy_wh += more_wh
        if price > 0:
            pays += price
    else:
        position.open_sell_wh += more_wh
        if price < 0:
            pays -= price
    account.open_cost_uct += more_wh * pays


def _release(state: State, order: Order, less_wh: int) -> None:
    """Count less of an order as open; with the last of it, it is none of its owner's open orders any more."""
    _hold(state, order, -less_wh)
    order.open_wh = open_wh = order.open_wh - less_wh
    if not open_wh:
        position = order.position
        if position is not None:
            position.own.pop(order, None)


def _duplicate(command: Mapping[str, object], key: str) -> Reply:
    return _refused(command, Refused(Refusal.DUPLICATE_ID, f"{key} is known with other content; unchanged"))


def _refused(command: Mapping[str, object], refused: Refused) -> Reply:
    site, order_id, start_ms = command.get("site"), command.get("order_id"), command.get("interval_ms")
    return Reply(
        site if isinstance(site, str) else "",
        start_ms if isinstance(start_ms, int) else 0,
        order_id if isinstance(order_id, str) else "",
        OrderStatus.REJECTED,
        refused.code.value,
        refused.reason,
    )
