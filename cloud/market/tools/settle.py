"""Settlement of one interval from a file: trades and meters in, what each site owes and every ledger line out."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from cloud.market import settling
from cloud.market.engine import RESERVED
from cloud.market.flags import Flag, unknown_flags
from cloud.market.ledger import Kind
from cloud.market.product import ProductEvent, advance
from cloud.market.rules import UTILITY, MarketRules, Participant
from cloud.market.shapes import EventCommand, EventLine, MeterCommand
from cloud.market.state import Account, Order, Outcome, Product, SiteSettlement, State, new_product
from cloud.market.tools.inputs import BadInput, interval_start_ms, mapping, only, rows, text, whole
from cloud.market.trading import book_trade
from contracts.faults import bound_of
from contracts.market import ProductState
from contracts.spelling import first_fault
from contracts.units import DELIVERY_INTERVAL_S
from domain.plausibility import CONNECTION_MARGIN, CONNECTION_W_UNKNOWN

FILE_KEYS = (
    "trades",
    "meters",
    "sites",
    "connections",
    "price",
    "start",
    "rules",
    "demand_response",
    "name",
    "comment",
)
TRADE_KEYS = ("buy", "sell", "qty", "price")
METER_KEYS = ("site", "import_wh", "export_wh", "version", "estimated")
TARIFF_KEYS = ("import_mct_per_kwh", "export_mct_per_kwh")
TARIFF_MCT_PER_KWH_MIN = 1_000
DR_KEYS = ("event", "site", "committed_wh", "baseline_wh", "price", "penalty", "flags")
# Above what any connection without a registered rating can carry in an interval.
UNBOUNDED_WH_MAX = round(CONNECTION_W_UNKNOWN * CONNECTION_MARGIN) * DELIVERY_INTERVAL_S // 3600


def settle_file(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settle the interval of a file and return its answer.

    Args:
        data: ``trades`` of ``buy, sell, qty, price`` between sites (``utility`` is the last resort), ``meters`` of
            ``site, import_wh, export_wh[, version, estimated]``, optionally ``sites`` (names; those of trades and
            meters are known anyway), ``connections`` (by site, what its connection carries in an interval in Wh; a
            reading above it is held), ``price`` of the interval, ``start`` (when it begins, which a tariff that follows
            the clock needs), ``rules`` as in a market's configuration, and ``demand_response`` of ``event, site,
            committed_wh, baseline_wh, price, penalty[, flags]``; a flagged claim waits as the rules say.

    Raises:
        BadInput: The file is not of that form.
    """
    only(data, FILE_KEYS, "the file")
    for name, known in (("trades", TRADE_KEYS), ("meters", METER_KEYS), ("demand_response", DR_KEYS)):
        for index, row in enumerate(rows(data, name)):
            only(row, known, f"{name}[{index}]")
    if not {"trades", "meters", "demand_response"} & data.keys():
        raise BadInput("the file has neither trades nor meters nor demand_response: nothing would be settled")
    state, product = _market(data)
    out = Outcome()
    for index, row in enumerate(rows(data, "trades")):
        where = f"trades[{index}]"
        buy, sell = text(row, "buy", where), text(row, "sell", where)
        if buy == sell:
            raise BadInput(f"{where} is between {buy} and itself")
        quantity, price = whole(row, "qty", where, least=1), whole(row, "price", where)
        book_trade(
            state,
            product,
            out,
            buy=_order(state, product, buy, index, quantity_wh=quantity, price=price, buy=True),
            sell=_order(state, product, sell, index, quantity_wh=quantity, price=price, buy=False),
            quantity_wh=quantity,
            price=price,
            taker="call",
        )
    product.price = _price(data, out)
    _demand_response(state, product, data, out)
    _read_meters(state, product, data, out)
    held = [answer for answer in out.answers if answer.refusal == settling.IMPLAUSIBLE]
    refused = next((answer for answer in out.answers if answer.reason is not None and answer not in held), None)
    if refused is not None:
        raise BadInput(f"{refused.order_id} of {refused.site}: {refused.reason}")
    words = [*_words(state.rules), *(f"{answer.site}: {answer.reason}" for answer in held)]
    words += [
        f"{site}: {abs(meter.net_wh)} Wh in an interval are more than 10 MW, and no connection of it is given"
        for site, meter in product.meters.items()
        if abs(meter.net_wh) > UNBOUNDED_WH_MAX and not state.accounts[site].import_limit_wh
    ]
    words += [
        f"{site}: the claim for {line.event} is flagged {', '.join(line.flags)} and waits; not paid"
        for _, site, line in settling.open_claims(state)
    ]
    return _answer(state, product, out) | ({"warnings": words} if words else {})


def _words(rules: MarketRules) -> list[str]:
    """Return what is odd about the rules: a tariff below one cent per kWh is mostly one in another unit."""
    tariffs = {} if rules.last_resort is None else {name: getattr(rules.last_resort, name) for name in TARIFF_KEYS}
    return [
        f"{name} is {value}, which is {value / 1000:g} ct/kWh: the unit is thousandths of a cent, 30 ct/kWh is 30000"
        for name, value in tariffs.items()
        if 0 < abs(value) < TARIFF_MCT_PER_KWH_MIN
    ]


def rules_of(given: Mapping[str, Any]) -> MarketRules:
    """Return a market's rules out of a file.

    Raises:
        BadInput: They break their schema.
    """
    try:
        return _checked(MarketRules.model_validate({"zone": "zone"} | dict(given)))
    except ValidationError as error:
        raise BadInput(f"rules break their schema at {first_fault(error, of=MarketRules, whole='rules')}") from error


def _checked(rules: MarketRules) -> MarketRules:
    unknown = unknown_flags(rules.claims.pay_flags)
    if unknown:
        raise BadInput(f"claims.pay_flags of rules has {unknown[0]!r}, none of {', '.join(Flag)}")
    return rules


def market_of(rules: MarketRules, sites: Iterable[str], connections: Mapping[str, int] | None = None) -> State:
    """Return a market with sites, whose connections nobody bounds but those that are given, in Wh per interval.

    Raises:
        BadInput: A site has the name of an account of the market, or one that no market registers.
    """
    state = State(rules=rules)
    for site in sorted(sites):
        if site in RESERVED:
            raise BadInput(f"site {site!r} has the name of an account of the market; no site may")
        limit_wh = (connections or {}).get(site, 0)
        try:
            limits = Participant(site=site, import_limit_wh=limit_wh, export_limit_wh=limit_wh)
        except ValidationError as error:
            bound = bound_of(error.errors(include_url=False)[0])
            raise BadInput(f"site {site[:80]!r} has no name that a market can register: it {bound}") from error
        state.accounts[site] = Account(participant=limits)
    return state


def _market(data: Mapping[str, object]) -> tuple[State, Product]:
    rules = rules_of(mapping(data.get("rules", {}), "rules"))
    names = data.get("sites", [])
    names = [str(name) if type(name) is int else name for name in names] if isinstance(names, list) else names
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise BadInput(f"sites is {names!r}, not a list of names")
    sites = set(names)
    for index, row in enumerate(rows(data, "trades")):
        sites |= {text(row, "buy", f"trades[{index}]"), text(row, "sell", f"trades[{index}]")}
    for index, row in enumerate(rows(data, "meters")):
        site = text(row, "site", f"meters[{index}]")
        if site == UTILITY:
            raise BadInput(f"meters[{index}] is of {UTILITY}, the last resort, which has no meter in the market")
        sites.add(site)
    given = mapping(data.get("connections", {}), "connections")
    only(given, sorted(sites), "connections")
    connections = {site: whole(given, site, "connections", least=1) for site in given}
    state = market_of(rules, sites - {UTILITY}, connections)
    follows_clock = rules.last_resort is not None and rules.last_resort.tariff is not None
    product = new_product(rules, interval_start_ms(data, follows_clock=follows_clock), state=ProductState.DELIVERED)
    state.products[product.start_ms] = product
    state.now_ms = product.times.end_ms
    return state, product


def _order(state: State, product: Product, site: str, index: int, *, quantity_wh: int, price: int, buy: bool) -> Order:
    account = state.accounts.get(site)
    position = None if account is None else product.position(account)
    return Order(site, f"trade {index}", buy, price, quantity_wh, index, account=account, position=position)


def _price(data: Mapping[str, object], out: Outcome) -> int | None:
    """Return the interval's price: the file's, else the mean of its trades, rounded down."""
    if data.get("price") is not None:
        return whole(data, "price", "the file")
    volume = sum(trade.quantity_wh for trade in out.trades)
    return sum(trade.quantity_wh * trade.price_mct_per_kwh for trade in out.trades) // volume if volume else None


def _demand_response(state: State, product: Product, data: Mapping[str, object], out: Outcome) -> None:
    for index, row in enumerate(rows(data, "demand_response")):
        where = f"demand_response[{index}]"
        line: EventLine = {
            "site": _known_site(state, text(row, "site", where), where),
            "interval_ms": product.start_ms,
            "committed_wh": whole(row, "committed_wh", where),
            "baseline_wh": whole(row, "baseline_wh", where),
            "flags": _flags(row, where),
        }
        limit_wh = state.accounts[line["site"]].import_limit_wh
        if limit_wh and whole(row, "baseline_wh", where) > limit_wh and Flag.ABOVE_CONNECTION not in _flags(row, where):
            # No site uses what its connection cannot carry, whoever says so.
            line["flags"] = [*_flags(row, where), Flag.ABOVE_CONNECTION.value]
        command: EventCommand = {
            "op": "dr_event",
            "at_ms": state.now_ms,
            "event": text(row, "event", where),
            "price_mct_per_kwh": whole(row, "price", where),
            "penalty_mct_per_kwh": whole(row, "penalty", where, default=0),
            "lines": [line],
        }
        settling.take_event(state, command, out)


def _flags(row: Mapping[str, object], where: str) -> list[str]:
    """Return a baseline's flags: words that it may have."""
    flags = row.get("flags", [])
    if not isinstance(flags, list) or not all(flag in set(Flag) for flag in flags):
        raise BadInput(f"flags of {where} is {flags!r}, not a list of {', '.join(Flag)}")
    return flags


def _known_site(state: State, site: str, where: str) -> str:
    """Return a site that trades, is metered or is listed."""
    if site not in state.accounts:
        raise BadInput(f"site {site!r} of {where} is in no trade, meter or list of sites: {', '.join(state.accounts)}")
    return site


def _read_meters(state: State, product: Product, data: Mapping[str, object], out: Outcome) -> None:
    """Settle on the first reading of each site, estimate who has none, then take later versions as corrections."""
    readings: list[MeterCommand] = [
        {
            "op": "meter",
            "at_ms": state.now_ms,
            "site": text(row, "site", f"meters[{index}]"),
            "interval_ms": product.start_ms,
            "import_wh": whole(row, "import_wh", f"meters[{index}]", least=0, default=0),
            "export_wh": whole(row, "export_wh", f"meters[{index}]", least=0, default=0),
            "version": whole(row, "version", f"meters[{index}]", least=1, default=1),
            "estimated": _is_estimated(row, f"meters[{index}]"),
        }
        for index, row in enumerate(rows(data, "meters"))
    ]
    for index, row in enumerate(rows(data, "meters")):
        if row.get("import_wh") is None and row.get("export_wh") is None:
            raise BadInput(f"meters[{index}] of {row['site']} has neither import_wh nor export_wh: no reading")
    seen: set[str] = set()
    later: list[MeterCommand] = []
    for reading in readings:
        if reading["site"] in seen:
            later.append(reading)
            continue
        seen.add(reading["site"])
        settling.take_meter(state, reading, out)
    if product.state is ProductState.DELIVERED:
        settling.estimate_missing(state, product)
        product.state = advance(product.state, ProductEvent.METER)
        settling.settle(state, product, out)
        product.state = advance(product.state, ProductEvent.SETTLE)
    for reading in later:
        settling.take_meter(state, reading, out)


def _is_estimated(row: Mapping[str, object], where: str) -> bool:
    value = row.get("estimated", False)
    if not isinstance(value, bool):
        raise BadInput(f"estimated of {where} is {value!r}, neither true nor false")
    return value


def _answer(state: State, product: Product, out: Outcome) -> dict[str, object]:
    money, energy = state.ledger.sums()
    return {
        "price": product.price,
        "imbalance_price": {"short": product.imbalance_short, "long": product.imbalance_long},
        "settlements": [
            {name: value for name, value in settled._asdict().items() if name != "interval_ms"}
            | {"charges_uct": _charged(out, settled)}
            for settled in out.settlements
        ],
        "lines": [
            {name: value for name, value in line._asdict().items() if name != "interval_ms"} for line in out.lines
        ],
        "balances": {
            account: {"money_uct": balance.money_uct, "energy_wh": balance.energy_wh}
            for account, balance in sorted(state.ledger.balances.items())
        },
        "sum": {"money_uct": money, "energy_wh": energy},
    }


def _charged(out: Outcome, settled: SiteSettlement) -> int:
    """Return the charges and taxes that came with a settlement."""
    return sum(
        line.money_uct
        for line in out.lines
        if line.account == settled.site
        and line.kind in (Kind.CHARGE, Kind.VAT)
        and line.meter_version == settled.meter_version
    )
