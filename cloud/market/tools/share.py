"""A community's month from a file: readings and a key in, what each member took from whom and owes out."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloud.market import settling
from cloud.market.ledger import Kind, LedgerLine
from cloud.market.product import INTERVAL_MS, ProductEvent, advance
from cloud.market.rules import MarketRules
from cloud.market.shapes import MeterCommand
from cloud.market.state import Outcome, State, new_product
from cloud.market.tools.inputs import BadInput, interval_start_ms, mapping, only
from cloud.market.tools.settle import market_of, rules_of
from contracts.market import ProductState

FILE_KEYS = ("rules", "sites", "times", "start", "name", "comment")
SITE_KEYS = ("import_wh", "export_wh")
INTERVALS_MAX = 40_000  # More than a year.


def share_file(data: Mapping[str, Any]) -> dict[str, Any]:
    """Share and settle every interval of a file and return its answer.

    Args:
        data: ``rules`` of a market with the mechanism ``sharing``, ``sites`` with ``import_wh`` and ``export_wh``: one
            value for each interval in a row, ``null`` where a reading is missing, ``times``, how often the row repeats
            (1 by default), and ``start``, when the first interval begins, which a tariff that follows the clock needs.

    Raises:
        BadInput: The file is not of that form.
    """
    only(data, FILE_KEYS, "the file")
    rules = rules_of({"mechanism": "sharing", **mapping(data.get("rules", {}), "rules")})
    sites = {str(name): _site(name, row) for name, row in mapping(data.get("sites", {}), "sites").items()}
    lengths = {len(row) for rows in sites.values() for row in rows}
    times = data.get("times", 1)
    if type(times) is not int or times < 1:
        raise BadInput(f"times is {times!r}, not a whole number above 0")
    if len(lengths) != 1:
        raise BadInput(f"the rows of the sites have {', '.join(map(str, sorted(lengths)))} intervals, not one length")
    (length,) = lengths
    if not 0 < length * times <= INTERVALS_MAX:
        raise BadInput(f"the file has {length} intervals {times} times, more than {INTERVALS_MAX} or none")
    _check_members(rules, sites)
    follows_clock = rules.last_resort is not None and rules.last_resort.tariff is not None
    first_ms = interval_start_ms(data, follows_clock=follows_clock)
    state = market_of(rules, sites)
    lines = [
        line
        for index in range(length * times)
        for line in _settled(state, sites, first_ms + index * INTERVAL_MS, index % length)
    ]
    return _answer(state, sites, lines, times=times, first_ms=first_ms)


def _check_members(rules: MarketRules, sites: Mapping[str, Any]) -> None:
    """Refuse a key that names who is no member: its share would silently go to the grid."""
    if rules.sharing is None:
        return
    named = [
        *rules.sharing.shares_permille,
        *(site for groups in rules.sharing.levels for group in groups for site in group),
    ]
    for site in named:
        if site not in sites:
            raise BadInput(f"the key of rules.sharing names {site!r}, which is none of the sites: {', '.join(sites)}")


def _site(name: str, row: Any) -> tuple[list[int | None], list[int | None]]:
    """Return a site's imports and exports; a row that is not given is zero all along."""
    given = mapping(row, f"site {name}")
    only(given, SITE_KEYS, f"site {name}")
    for key, values in given.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not all(map(_is_energy, values)):
            raise BadInput(f"{key} of site {name} is not a row of whole Wh, null where a reading is missing")
    if not given:
        raise BadInput(f"site {name} has neither import_wh nor export_wh: no readings")
    zeros = [0] * len(next(iter(given.values())))
    return list(given.get("import_wh", zeros)), list(given.get("export_wh", zeros))


def _is_energy(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 0)


def _settled(
    state: State, sites: Mapping[str, tuple[list[int | None], list[int | None]]], start_ms: int, at: int
) -> list[LedgerLine]:
    """Settle one interval and return its ledger lines."""
    product = new_product(state.rules, start_ms, state=ProductState.DELIVERED)
    state.products = {product.start_ms: product}
    state.now_ms = product.times.end_ms
    out = Outcome()
    for site, (imports, exports) in sites.items():
        import_wh, export_wh = imports[at], exports[at]
        if import_wh is None or export_wh is None:
            continue
        reading: MeterCommand = {
            "op": "meter",
            "at_ms": state.now_ms,
            "site": site,
            "interval_ms": product.start_ms,
            "import_wh": import_wh,
            "export_wh": export_wh,
            "version": 1,
        }
        settling.take_meter(state, reading, out)
    if product.state is ProductState.DELIVERED:
        settling.estimate_missing(state, product)
        product.state = advance(product.state, ProductEvent.METER)
        settling.settle(state, product, out)
    return out.lines


def _answer(
    state: State,
    sites: Mapping[str, tuple[list[int | None], list[int | None]]],
    lines: Sequence[LedgerLine],
    *,
    times: int,
    first_ms: int,
) -> dict[str, Any]:
    money_uct, energy_wh = state.ledger.sums()
    members: dict[str, Any] = {}
    for site, (imports, exports) in sites.items():
        own = [line for line in lines if line.account == site]
        shared = [line.energy_wh for line in own if line.kind is Kind.SHARE]
        import_wh, export_wh = (times * sum(value or 0 for value in row) for row in (imports, exports))
        members[site] = {
            "import_wh": import_wh,
            "export_wh": export_wh,
            "shared_in_wh": sum(wh for wh in shared if wh > 0),
            "shared_out_wh": -sum(wh for wh in shared if wh < 0),
            "money_uct": sum(line.money_uct for line in own),
            "alone_uct": _alone(state.rules, sites, site, times=times, first_ms=first_ms),
            "by_kind": _by_kind(own),
        }
    missing = {site: sum(None in pair for pair in zip(*rows, strict=True)) for site, rows in sites.items()}
    words = _words(state.rules, first_ms) + [
        f"{site}: {times * count} readings are missing; it takes no part in those intervals"
        for site, count in missing.items()
        if count
    ]
    return {
        "intervals": times * len(next(iter(sites.values()))[0]),
        "members": members,
        "shared_wh": sum(row["shared_in_wh"] for row in members.values()),
        "accounts": {name: one.money_uct for name, one in sorted(state.ledger.balances.items()) if name not in sites},
        "sum_uct": money_uct,
        "sum_wh": energy_wh,
    } | ({"warnings": words} if words else {})


def _words(rules: MarketRules, first_ms: int) -> list[str]:
    """Return what is odd about the price of shared energy: outside the two tariffs it is a loss to one side."""
    if rules.sharing is None or rules.last_resort is None:
        return []
    price, tariffs = rules.sharing.price_mct_per_kwh, rules.last_resort.prices_at(first_ms)
    low, high = tariffs.export_mct_per_kwh, tariffs.import_mct_per_kwh
    if low <= price <= high:
        return []
    side = "who consumes pays more" if price > high else "who generates gets less"
    return [f"sharing.price_mct_per_kwh is {price}, not between the tariffs {low} and {high}: {side} than alone"]


def _alone(
    rules: MarketRules,
    sites: Mapping[str, tuple[list[int | None], list[int | None]]],
    site: str,
    *,
    times: int,
    first_ms: int,
) -> int:
    """Return what a member would owe with the same readings and nobody to share with."""
    state, length = market_of(rules, {site: sites[site]}), len(sites[site][0])
    follows_clock = rules.last_resort is not None and rules.last_resort.tariff is not None
    rows = length * times if follows_clock else length
    for index in range(rows):
        _settled(state, {site: sites[site]}, first_ms + index * INTERVAL_MS, index % length)
    return length * times // rows * state.ledger.balance(site).money_uct


def _by_kind(lines: Sequence[LedgerLine]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        kind = line.reference if line.kind is Kind.CHARGE else line.kind.value
        found[kind] = found.get(kind, 0) + line.money_uct
    return found
