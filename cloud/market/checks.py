"""Whether an order may enter: every refusal is typed and leaves no trace but its record.

A refusal that says *later* (not open, halted, too many commands) does not use up the order id: the same order may come
again. Every other refusal is the order's first and last answer.
"""

from collections.abc import Container, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, final

from cloud.market.rules import UTILITY
from cloud.market.state import Account, NewOrder, Position, Product, State
from cloud.market.storage import first_breach
from contracts.market import ProductState, TimeInForce
from contracts.units import DELIVERY_INTERVAL_S

QUANTITY_WH_MAX = 10**18
MINUTE_MS = 60_000


class Refusal(StrEnum):
    """Why the market refused, or cancelled, an order."""

    SCHEMA = "schema"
    UNKNOWN_SITE = "unknown-site"
    UNKNOWN_ORDER = "unknown-order"
    DUPLICATE_ID = "duplicate-id"
    HALTED = "halted"
    RATE = "rate"
    NOT_ALIGNED = "not-aligned"
    NOT_OPEN = "not-open"
    GATE_CLOSED = "gate-closed"
    TICK = "tick"
    BAND = "price-band"
    QUANTITY = "quantity"
    CONDITION = "condition"
    OPEN_ORDERS = "open-orders"
    CAPACITY = "capacity"
    STORAGE = "storage"
    POSITION = "position-limit"
    CREDIT = "credit"
    WOULD_TAKE = "would-take"
    SELF_TRADE = "self-trade"
    EXPIRED = "expired"
    NOT_FILLED = "not-filled"
    WITHDRAWN = "withdrawn"
    NO_ORDERS = "no-orders"


_TIFS = tuple(tif.value for tif in TimeInForce)
_SIDES = ("buy", "sell")
# Looked up by name once: a member of an enum costs as much as a dictionary each time.
_CONTINUOUS, _CALL = ProductState.CONTINUOUS, ProductState.CALL

LATER = frozenset({Refusal.HALTED, Refusal.RATE, Refusal.NOT_OPEN, Refusal.UNKNOWN_SITE})
# Not remembered: those that say later, and those that follow from the interval alone, the next time too.
UNKEPT = LATER | {Refusal.NOT_ALIGNED, Refusal.GATE_CLOSED}


@final
class Refused(NamedTuple):
    """A refusal with its sentence: what, which one, the value, the bound."""

    code: Refusal
    reason: str


def new_order(command: Mapping[str, object], sites: Container[str]) -> NewOrder | Refused:
    """Return the fields of a new order, or what is wrong with their types and plain ranges.

    Args:
        command: As a stranger sent it.
        sites: Those that are registered, whose names are sound.
    """
    try:
        site, order_id, start_ms = command["site"], command["order_id"], command["interval_ms"]
        side, quantity_wh, price = command["side"], command["quantity_wh"], command["price_mct_per_kwh"]
    except KeyError:
        return _schema_fault(command)
    tif, good_till_ms = command.get("tif", "gtc"), command.get("good_till_ms")
    post_only = bool(command.get("post_only"))
    if (
        type(site) is str
        and (site in sites or _sound_site(site))
        and type(order_id) is str
        and 0 < len(order_id) <= 64
        and type(start_ms) is int
        and type(quantity_wh) is int
        and 0 < quantity_wh <= QUANTITY_WH_MAX
        and type(price) is int
        and side in _SIDES
        and tif in _TIFS
        and (good_till_ms is None or type(good_till_ms) is int)
    ):
        return site, order_id, start_ms, side, quantity_wh, price, tif, good_till_ms, post_only
    return _schema_fault(command)


def named_order(command: Mapping[str, object], sites: Container[str]) -> tuple[str, str, int] | Refused:
    """Return site, order id and interval of a change or a cancellation, or what is wrong with its fields."""
    try:
        site, order_id, start_ms = command["site"], command["order_id"], command["interval_ms"]
    except KeyError:
        return _schema_fault(command)
    if (
        type(site) is str
        and (site in sites or _sound_site(site))
        and type(order_id) is str
        and 0 < len(order_id) <= 64
        and type(start_ms) is int
        and (command["op"] == "cancel" or _sound_change(command))
    ):
        return site, order_id, start_ms
    return _schema_fault(command)


def _sound_site(site: str) -> bool:
    return 0 < len(site) <= 64 and site != UTILITY and "/" not in site


def _sound_change(command: Mapping[str, object]) -> bool:
    quantity_wh = command.get("quantity_wh")
    return (
        type(quantity_wh) is int
        and 0 < quantity_wh <= QUANTITY_WH_MAX
        and type(command.get("price_mct_per_kwh")) is int
    )


def _schema_fault(command: Mapping[str, Any]) -> Refused:
    """Name the first fault of an order command that has one."""
    for name in ("site", "order_id"):
        value = command.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 64:
            return Refused(Refusal.SCHEMA, f"{name} {value!r} is not a text of 1 to 64 characters")
    if command["site"] == UTILITY or "/" in command["site"]:
        return Refused(Refusal.SCHEMA, f"site {command['site']!r} is reserved")
    names = ("interval_ms",) if command.get("op") == "cancel" else ("interval_ms", "quantity_wh", "price_mct_per_kwh")
    for name in names:
        value = command.get(name)
        if type(value) is not int:
            return Refused(Refusal.SCHEMA, f"{name} {value!r} is not a whole number")
    if len(names) > 1 and not 0 < command["quantity_wh"] <= QUANTITY_WH_MAX:
        return Refused(Refusal.SCHEMA, f"quantity_wh {command['quantity_wh']} is outside 1 to {QUANTITY_WH_MAX}")
    if command.get("op") == "new" and command.get("side") not in _SIDES:
        return Refused(Refusal.SCHEMA, f"side {command.get('side')!r} is neither buy nor sell")
    good_till = command.get("good_till_ms")
    if good_till is not None and type(good_till) is not int:
        return Refused(Refusal.SCHEMA, f"good_till_ms {good_till!r} is not a whole number")
    return Refused(Refusal.SCHEMA, f"tif {command.get('tif')!r} is none of {', '.join(_TIFS)}")


def fault(state: State, product: Product | None, account: Account, asked: NewOrder) -> Refused | None:
    """Return what is wrong with a new order of a site that may send now, by the first rule that it breaks."""
    _, _, start_ms, side, quantity_wh, price, tif, good_till_ms, post_only = asked
    bad = product_open(state, product, start_ms)
    if bad is not None or product is None:
        return bad
    return (
        terms(state, price, quantity_wh)
        or condition(state, product, tif=tif, post_only=post_only, good_till_ms=good_till_ms)
        or open_orders(state, product, account)
        or limits(state, account, product, buy=side == "buy", quantity_wh=quantity_wh, price=price)
    )


def unknown_site(state: State, site: str) -> Refused:
    """Return the refusal of a site that is not registered."""
    return Refused(Refusal.UNKNOWN_SITE, f"site {site} is not registered in zone {state.rules.zone}")


def sender(state: State, account: Account) -> Refused | None:
    """Check that the site may trade now and does not send too fast; counts the command."""
    halted = state.halted or account.halted
    if halted:
        return Refused(Refusal.HALTED, f"trading is halted: {halted}")
    minute = state.now_ms // MINUTE_MS
    if account.minute != minute:
        account.minute, account.commands = minute, 0
    account.commands += 1
    most = state.terms.commands_per_minute
    if account.commands > most:
        return Refused(Refusal.RATE, f"site {account.site} sent over {most} commands in a minute")
    return None


def product_open(state: State, product: Product | None, start_ms: int) -> Refused | None:
    """Check that the product takes orders at the engine's instant."""
    if product is not None and state.now_ms < product.times.gate_ms:
        stage = product.state
        if stage is _CONTINUOUS or stage is _CALL:
            return None
    if start_ms % (DELIVERY_INTERVAL_S * 1000):
        return Refused(Refusal.NOT_ALIGNED, f"interval {start_ms} does not start on a quarter of an hour")
    gate_ms = start_ms - state.rules.gate_closure_s * 1000
    if state.now_ms >= gate_ms:
        return Refused(Refusal.GATE_CLOSED, f"interval {start_ms} closed at {gate_ms}")
    if product is None or product.state is ProductState.OPENS:
        return Refused(Refusal.NOT_OPEN, f"interval {start_ms} opens {state.rules.opening_s} s before delivery")
    return None


def terms(state: State, price: int, quantity_wh: int) -> Refused | None:
    """Check tick, band and least quantity."""
    bounds = state.terms
    if not bounds.takes_orders:
        return Refused(Refusal.NO_ORDERS, f"zone {state.rules.zone} shares energy by a key, after delivery")
    if not bounds.price_mct_per_kwh_min <= price <= bounds.price_mct_per_kwh_max:
        return Refused(
            Refusal.BAND,
            f"price {price} mct/kWh is outside {bounds.price_mct_per_kwh_min} to {bounds.price_mct_per_kwh_max}",
        )
    if price % bounds.tick_mct_per_kwh:
        return Refused(Refusal.TICK, f"price {price} mct/kWh is no multiple of {bounds.tick_mct_per_kwh}")
    if quantity_wh < bounds.quantity_wh_min:
        return Refused(Refusal.QUANTITY, f"quantity {quantity_wh} Wh is below {bounds.quantity_wh_min}")
    return None


def condition(state: State, product: Product, *, tif: str, post_only: bool, good_till_ms: int | None) -> Refused | None:
    """Check that the order's conditions mean something now: only a continuous book fills or kills at once."""
    if (post_only or tif in ("ioc", "fok")) and product.state is not ProductState.CONTINUOUS:
        return Refused(Refusal.CONDITION, f"{'post-only' if post_only else tif} needs a continuous book, not a call")
    if post_only and tif in ("ioc", "fok"):
        return Refused(Refusal.CONDITION, f"post-only never takes and {tif} never rests: together they do nothing")
    if tif == "gtd" and (good_till_ms is None or good_till_ms <= state.now_ms):
        return Refused(Refusal.CONDITION, f"good till {good_till_ms} is not after {state.now_ms}")
    return None


def open_orders(state: State, product: Product, account: Account) -> Refused | None:
    """Check that the owner may have one more order open in the product."""
    own = product.own.get(account.owner)
    if own is not None and len(own) >= state.rules.open_orders_max:
        return Refused(
            Refusal.OPEN_ORDERS, f"owner {account.owner} has {state.rules.open_orders_max} open orders already"
        )
    return None


def limits(
    state: State, account: Account, product: Product, *, buy: bool, quantity_wh: int, price: int
) -> Refused | None:
    """Check what the order would add to a position and to what its site could owe."""
    position = product.position(account)
    bad = capacity(account, product, position, buy, quantity_wh)
    if bad is None and account.storage is not None:
        bad = storage(state, account, product, buy=buy, more_wh=quantity_wh)
    if bad is None and state.terms.has_position_limits:
        bad = position_limit(state, product, position, buy=buy, more_wh=quantity_wh)
    if bad is None and account.credit_limit_uct is not None:
        bad = credit(state, account, cost_uct=cost_uct(state, buy=buy, quantity_wh=quantity_wh, price=price))
    return bad


def capacity(account: Account, product: Product, position: Position, buy: bool, more_wh: int) -> Refused | None:
    """Check that the connection could carry the position if every open order of that side traded.

    The bound is the meter point's limit over one interval, or less where the site announced less for it.
    """
    import_wh, export_wh = caps(account, product)
    net_wh = position.bought_wh - position.sold_wh
    worst, bound = (
        (net_wh + position.open_buy_wh + more_wh, import_wh)
        if buy
        else (position.open_sell_wh - net_wh + more_wh, export_wh)
    )
    if worst > bound:
        word = "import" if buy else "export"
        return Refused(Refusal.CAPACITY, f"{word} could reach {worst} Wh, the connection carries {bound} Wh")
    return None


def storage(
    state: State,
    account: Account,
    product: Product,
    *,
    buy: bool,
    more_wh: int = 0,
    open_wh: int = 0,
    until_ms: int | None = None,
) -> Refused | None:
    """Check that the battery's energy, or its room, lasts over all intervals with one order, new or open, in one."""
    if account.storage is None:
        return None
    breach = first_breach(
        account.storage,
        state.products,
        account.site,
        buy=buy,
        start_ms=product.start_ms,
        more_wh=more_wh,
        open_wh=open_wh,
        until_ms=until_ms,
    )
    if breach is None:
        return None
    word = "lack room for" if buy else "be short of"
    return Refused(Refusal.STORAGE, f"the battery could {word} {breach.missing_wh} Wh in interval {breach.interval_ms}")


def caps(account: Account, product: Product) -> tuple[int, int]:
    """Return the greatest import and export of a site in one product, in Wh."""
    import_wh, export_wh = account.import_limit_wh, account.export_limit_wh
    announced = product.caps.get(account.site) if product.caps else None
    return (import_wh, export_wh) if announced is None else (min(import_wh, announced[0]), min(export_wh, announced[1]))


def position_limit(state: State, product: Product, position: Position, *, buy: bool, more_wh: int) -> Refused | None:
    """Check the position limit that holds so near to delivery."""
    left_s = (product.start_ms - state.now_ms) // 1000
    bounds = [limit.position_wh for limit in state.rules.position_limits if left_s <= limit.before_delivery_s]
    if not bounds:
        return None
    worst = (position.net_wh + position.open_buy_wh if buy else position.open_sell_wh - position.net_wh) + more_wh
    if worst > min(bounds):
        return Refused(Refusal.POSITION, f"position could reach {worst} Wh, {min(bounds)} Wh is the limit now")
    return None


def credit(state: State, account: Account, *, cost_uct: int) -> Refused | None:
    """Check what the site owes, could owe for its open orders, and would for this one against its limit."""
    limit = account.credit_limit_uct
    if limit is None:
        return None
    balance = state.ledger.balances.get(account.site)
    owed = 0 if balance is None else balance.money_uct
    worst = owed + account.open_cost_uct + cost_uct
    if worst > limit:
        return Refused(Refusal.CREDIT, f"exposure could reach {worst} uct, the credit limit is {limit} uct")
    return None


def cost_uct(state: State, *, buy: bool, quantity_wh: int, price: int) -> int:
    """Return the most an order can cost: its price where it pays, and the fee."""
    pays = max(price, 0) if buy else max(-price, 0)
    return quantity_wh * (pays + state.terms.fee_mct_per_kwh)
