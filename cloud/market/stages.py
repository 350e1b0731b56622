"""What time alone brings: products open, turn to their call, close, deliver, settle, and are forgotten."""

from heapq import heappop

from cloud.market import settling
from cloud.market.checks import Refusal, Refused
from cloud.market.clearing import close_gate
from cloud.market.last_resort import stand_in_book
from cloud.market.product import INTERVAL_MS, ProductEvent, advance, next_move
from cloud.market.state import Outcome, Product, State, new_product
from cloud.market.trading import reply_of, withdraw
from contracts.market import OrderStatus, ProductState

# Orders and first replies of a product are kept so long after its end, for repeats that come late.
REPEATS_MS = 86_400_000


def advance_to(state: State, now_ms: int, out: Outcome) -> int:
    """Do everything that is due by an instant, in order of time; return when the next thing is due."""
    while True:
        at, product, event = _next_due(state, now_ms, out)
        if event is None and product is None:
            return at
        state.now_ms = max(state.now_ms, at)
        if event is not None:
            assert product is not None
            _move(state, product, event, out)
        elif product is not None:
            _expire(state, out)


def open_products(state: State, now_ms: int, out: Outcome) -> None:
    """Add every product whose opening has come and whose gate has not closed."""
    rules = state.rules
    # Of the intervals whose gate closed while nobody looked none is opened, however many there are.
    first = now_ms + rules.gate_closure_s * 1000
    state.next_start_ms = max(state.next_start_ms or 0, first - first % INTERVAL_MS + INTERVAL_MS)
    while state.next_start_ms - rules.opening_s * 1000 <= now_ms:
        start_ms = state.next_start_ms
        state.next_start_ms += INTERVAL_MS
        product = new_product(rules, start_ms)
        if product.times.gate_ms > now_ms:
            state.products[start_ms] = product
            stand_in_book(state, product)
    _forget(state, now_ms, out)


def _next_due(state: State, now_ms: int, out: Outcome) -> tuple[int, Product | None, ProductEvent | None]:
    """Return the earliest thing that is due, or only the instant of the next one."""
    open_products(state, now_ms, out)
    assert state.next_start_ms is not None
    at = state.next_start_ms - state.rules.opening_s * 1000
    found: tuple[Product, ProductEvent | None] | None = None
    for product in state.products.values():
        move = next_move(product.state, product.times)
        if move is not None and move[1] < at:
            at, found = move[1], (product, move[0])
    if state.expiries and state.expiries[0][0] <= at:
        at, start_ms, _ = state.expiries[0]
        found = (state.products[start_ms], None)
    if found is None or at > now_ms:
        return at, None, None
    return at, *found


def _move(state: State, product: Product, event: ProductEvent, out: Outcome) -> None:
    if event is ProductEvent.SETTLE:
        settling.settle(state, product, out)
    elif event is ProductEvent.CLEAR:
        close_gate(state, product, out)
    elif event is ProductEvent.METER:
        settling.estimate_missing(state, product)
    product.state = advance(product.state, event)
    out.broadcasts.append(product.view())


def _expire(state: State, out: Outcome) -> None:
    good_till_ms, start_ms, key = heappop(state.expiries)
    product, order = state.products[start_ms], state.order(key)
    if order is not None and order.open_wh:
        withdraw(state, product, order, OrderStatus.CANCELLED)
        refused = Refused(Refusal.EXPIRED, f"order was good till {good_till_ms}")
        out.replies.append(reply_of(product, order, refusal=refused))


def _forget(state: State, now_ms: int, out: Outcome) -> None:
    """Drop orders and first replies a day after a settled product's end; make final and drop the product at its own."""
    for start_ms, product in list(state.products.items()):
        if product.state not in (ProductState.SETTLED, ProductState.CORRECTED):
            continue
        gone = product.times.forgotten_ms <= now_ms
        if (gone or product.times.end_ms + REPEATS_MS <= now_ms) and product.has_answers():
            product.forget_answers()
        if gone:
            settling.finish(state, product, out)
            del state.products[start_ms]
