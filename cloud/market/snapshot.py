"""The engine's state as JSON values and back: what a snapshot holds, and what its hash is taken of."""

from collections.abc import Mapping
from typing import Any

from cloud.market.ledger import Kind, Ledger, LedgerLine
from cloud.market.rules import UTILITY, MarketRules, Participant
from cloud.market.sharing import Share
from cloud.market.state import (
    Account,
    AreaPrice,
    DrLine,
    Meter,
    Order,
    Product,
    Rejected,
    Reply,
    SiteSettlement,
    State,
    Storage,
    new_product,
)
from contracts.market import OrderStatus, ProductState


def to_json(state: State) -> dict[str, object]:
    """Return the whole state as JSON values, from which ``from_json`` makes an equal one."""
    return {
        "rules": state.rules.model_dump(mode="json"),
        "ledger": state.ledger.to_json(),
        "accounts": {site: _account(account) for site, account in state.accounts.items()},
        "products": {
            str(start): _product(product, edition=state.rules.edition) for start, product in state.products.items()
        },
        "home": {key: product.start_ms for product in state.products.values() for key in _answers(product)},
        "events": dict(state.events),
        "expiries": sorted(list(entry) for entry in state.expiries),
        "now_ms": state.now_ms,
        "next_start_ms": state.next_start_ms,
        "commands": state.commands,
        "sequence": state.sequence,
        "halted": state.halted,
    }


def from_json(raw: Mapping[str, Any]) -> State:
    """Return the state of ``to_json``."""
    rules = MarketRules.model_validate(raw["rules"])
    state = State(
        rules=rules,
        ledger=Ledger.from_json(raw["ledger"]),
        events=dict(raw["events"]),
        expiries=[(at, start, key) for at, start, key in raw["expiries"]],
        now_ms=raw["now_ms"],
        next_start_ms=raw["next_start_ms"],
        commands=raw["commands"],
        sequence=raw["sequence"],
        halted=raw["halted"],
    )
    for site, account in raw["accounts"].items():
        fields = {**account, "participant": Participant.model_validate(account["participant"])}
        if account.get("storage") is not None:
            interval_ms, stored_wh, room_wh, own_net_wh = account["storage"]
            fields["storage"] = Storage(interval_ms, stored_wh, room_wh, tuple(own_net_wh))
        state.accounts[site] = Account(**fields)
    for product in raw["products"].values():
        restored = _restored(state, product)
        state.products[restored.start_ms] = restored
    return state


def _account(account: Account) -> dict[str, object]:
    # A site without a battery, and one that has not left, keeps the form, and so the hash, that it has always had.
    storage = {} if account.storage is None else {"storage": [*account.storage[:-1], list(account.storage.own_net_wh)]}
    return {
        **storage,
        **({} if account.left_ms is None else {"left_ms": account.left_ms}),
        "participant": account.participant.model_dump(mode="json"),
        "open_cost_uct": account.open_cost_uct,
        "minute": account.minute,
        "commands": account.commands,
        "halted": account.halted,
        "last_metered_wh": account.last_metered_wh,
    }


_ORDER = (
    "site", "order_id", "buy", "price", "quantity_wh", "sequence", "tif", "good_till_ms", "open_wh", "traded_wh",
    "cancelled_wh", "status",
)  # fmt: skip
_POSITION = ("bought_wh", "sold_wh", "open_buy_wh", "open_sell_wh", "trades_uct", "fees_uct")
_PLAIN = (
    "start_ms", "state", "price", "low", "high", "last_price", "volume_wh", "trades", "imbalance_short",
    "imbalance_long",
)  # fmt: skip


def _product(product: Product, *, edition: int) -> dict[str, object]:
    # A product without areas, and one of the first edition, keep the form, and so the hash, that they have always had.
    areas: dict[str, object] = {}
    if edition > 1:
        areas["trade_prices"] = [product.trade_low, product.trade_high]
    if product.held:
        areas["held"] = {site: list(meter) for site, meter in product.held.items()}
    if product.decided:
        areas["decided"] = dict(product.decided)
    if product.shares:
        areas["shares"] = [list(share) for share in product.shares]
    if product.edition is not None:
        areas["edition"] = product.edition
    if product.areas:
        areas["areas"] = {area: list(price) for area, price in product.areas.items()}
    if product.area_imbalance:
        areas["area_imbalance"] = {area: list(prices) for area, prices in product.area_imbalance.items()}
    return {
        **areas,
        **{name: getattr(product, name) for name in _PLAIN},
        "orders": [[getattr(order, name) for name in _ORDER] for order in product.orders],
        "positions": {
            site: [getattr(position, name) for name in _POSITION] for site, position in product.positions.items()
        },
        "replies": {
            key: [list(content), list(reply)] for key, (content, reply) in (_answers(product) | product.replies).items()
        },
        "caps": {site: list(caps) for site, caps in product.caps.items()},
        "meters": {site: list(meter) for site, meter in product.meters.items()},
        "demand_response": {site: [*line[:-1], list(line.flags)] for site, line in product.demand_response.items()},
        "settled": {site: list(settled) for site, settled in product.settled.items()},
        "posted": {site: [list(line) for line in lines] for site, lines in product.posted.items()},
    }


def _restored(state: State, raw: Mapping[str, Any]) -> Product:
    low, high = raw.get("trade_prices", (None, None))
    product = new_product(
        state.rules,
        raw["start_ms"],
        trade_low=low,
        trade_high=high,
        held={site: Meter(*meter) for site, meter in raw.get("held", {}).items()},
        decided=dict(raw.get("decided", {})),
        edition=raw.get("edition"),
        shares=[Share(*share) for share in raw.get("shares", ())],
        **{name: raw[name] for name in _PLAIN if name not in ("start_ms", "state")},
        state=ProductState(raw["state"]),
        caps={site: (caps[0], caps[1]) for site, caps in raw["caps"].items()},
        meters={site: Meter(*meter) for site, meter in raw["meters"].items()},
        settled={site: SiteSettlement(*settled) for site, settled in raw["settled"].items()},
        posted={site: [_line(line) for line in lines] for site, lines in raw["posted"].items()},
        areas={area: AreaPrice(*price) for area, price in raw.get("areas", {}).items()},
        area_imbalance={area: (short, long) for area, (short, long) in raw.get("area_imbalance", {}).items()},
    )
    for site, values in raw["positions"].items():
        position = product.position(state.accounts[site])
        for name, value in zip(_POSITION, values, strict=True):
            setattr(position, name, value)
    for values in raw["orders"]:
        product.orders.append(_order(state, product, **dict(zip(_ORDER, values, strict=True))))
    for key, (content, reply) in raw["replies"].items():
        _remember(state, product, key, tuple(content), Reply(*reply)._replace(status=OrderStatus(reply[3])))
    for site, line in raw["demand_response"].items():
        product.demand_response[site] = DrLine(*line)._replace(flags=tuple(line[-1]))
    for order in sorted((o for o in product.orders if o.open_wh), key=lambda o: o.sequence):
        if order.position is None:
            product.book.stand(order, order.buy, order.open_wh, order.price)
            continue
        product.book.rest(order, order.buy, order.open_wh, order.price)
        order.position.own[order] = None
    return product


def _answers(product: Product) -> dict[str, tuple[tuple[object, ...], Reply]]:
    """Return the first answers to new orders, by site and order id, each with what was asked."""
    orders = ((order.asked, order.answer) for order in product.orders if order.account is not None)
    rejected = ((one.asked, one.answer) for one in product.rejected)
    return {f"{asked[0]}/{asked[1]}": (asked[2:], answer) for asked, answer in (*orders, *rejected)}


def _order(state: State, product: Product, *, tif: str, good_till_ms: int | None, status: str, **plain: Any) -> Order:
    order = Order(**plain, status=OrderStatus(status))
    if order.site != UTILITY:
        order.account = state.accounts[order.site]
        order.position = product.position(order.account)
        order.account.known[order.order_id] = order
    return order


def _remember(state: State, product: Product, key: str, content: tuple[Any, ...], reply: Reply) -> None:
    """Keep a first answer where a repeat will look for it: with its order, as that of a refused one, or by command."""
    if content[0] != product.start_ms:
        product.replies[key] = (content, reply)
        return
    asked: Any = (reply.site, reply.order_id, *content)
    account = state.accounts[reply.site]
    order = account.known.get(reply.order_id)
    if isinstance(order, Order):
        order.asked, order.answer = asked, reply
    else:
        rejected = Rejected(account, asked, reply)
        account.known[reply.order_id] = rejected
        product.rejected.append(rejected)


def _line(values: list[Any]) -> LedgerLine:
    return LedgerLine(values[0], values[1], Kind(values[2]), *values[3:])
