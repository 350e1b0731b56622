"""Meters, estimates, demand response and corrections of one product, posted to the ledger.

A version of a reading is settled once. What changes later is posted as the reversal of the earlier postings and new
ones; the imbalance prices stay those of the first settlement, so a correction moves only the site that it concerns.
"""

from collections.abc import Mapping
from typing import Any

from cloud.market.ledger import BALANCING, DEMAND_RESPONSE, Entry, Kind, LedgerLine
from cloud.market.product import ProductEvent, advance
from cloud.market.rules import Estimate
from cloud.market.settlement import DrResult, demand_response, imbalance_prices, imbalance_wh
from cloud.market.state import DrLine, Meter, Outcome, Product, Reply, SiteSettlement, State
from contracts.market import OrderStatus, ProductState

_SETTLED = (ProductState.SETTLED, ProductState.CORRECTED)


def take_meter(state: State, command: Mapping[str, Any], out: Outcome) -> None:
    """Take one reading: the first, or a later version that replaces it; settle again what it changes."""
    site, start_ms = command["site"], command["interval_ms"]
    product = state.products.get(start_ms)
    name = f"meter v{command['version']}"
    if site not in state.accounts or product is None:
        out.answers.append(_answer(site, start_ms, name, f"no product of site {site} at {start_ms}"))
        return
    if state.now_ms < product.times.end_ms:
        out.answers.append(_answer(site, start_ms, name, f"interval {start_ms} has not ended"))
        return
    meter = Meter(command["version"], command["import_wh"], command["export_wh"], bool(command.get("estimated")))
    known = product.meters.get(site)
    if known is not None and known.version >= meter.version:
        reason = None if known == meter else f"version {known.version} of the reading is known with other content"
        out.answers.append(_answer(site, start_ms, name, reason))
        return
    product.meters[site] = meter
    state.accounts[site].last_metered_wh = meter.net_wh
    out.answers.append(_answer(site, start_ms, name, None))
    if product.state in _SETTLED:
        _correct(state, product, site, out)
    elif product.state is ProductState.DELIVERED and product.meters.keys() >= state.accounts.keys():
        product.state = advance(product.state, ProductEvent.METER)
        settle(state, product, out)
        product.state = advance(product.state, ProductEvent.SETTLE)
        out.broadcasts.append(product.view())


def take_event(state: State, command: Mapping[str, Any], out: Outcome) -> None:
    """Take the commitments of one demand-response event; a site is paid for one event per interval, never two."""
    for line in command["lines"]:
        site, start_ms = line["site"], line["interval_ms"]
        product = state.products.get(start_ms)
        if product is None or site not in state.accounts:
            out.answers.append(_answer(site, start_ms, command["event"], f"no product of site {site} at {start_ms}"))
            continue
        taken = DrLine(
            command["event"],
            line["committed_wh"],
            line["baseline_wh"],
            line.get("method", ""),
            command["price_mct_per_kwh"],
            command["penalty_mct_per_kwh"],
            tuple(line.get("flags", ())),
        )
        known = product.demand_response.get(site)
        if known is not None:
            reason = None if known == taken else f"site {site} is paid for event {known.event} at {start_ms} already"
            out.answers.append(_answer(site, start_ms, command["event"], reason))
            continue
        product.demand_response[site] = taken
        out.answers.append(_answer(site, start_ms, command["event"], None))
        if product.state in _SETTLED:
            _correct(state, product, site, out)


def estimate_missing(state: State, product: Product) -> None:
    """Give every site without a reading an estimate of version 0, by the market's named method."""
    for site, account in state.accounts.items():
        if site in product.meters:
            continue
        net_wh = product.position(account).net_wh
        if state.rules.estimate is Estimate.PREVIOUS and account.last_metered_wh is not None:
            net_wh = account.last_metered_wh
        product.meters[site] = Meter(0, max(net_wh, 0), max(-net_wh, 0), True)


def settle(state: State, product: Product, out: Outcome) -> None:
    """Settle every site of a metered product for the first time and fix its imbalance prices.

    All sites together say whether the system is short; each area of a market with links has its own price for it.
    """
    measured = {site: _measured(state, product, site) for site in sorted(state.accounts)}
    system_wh = sum(imbalance for _, imbalance in measured.values())
    prices = imbalance_prices(
        state.rules,
        market_mct_per_kwh=product.price if product.price is not None else product.last_price,
        system_wh=system_wh,
    )
    product.imbalance_short, product.imbalance_long = prices.short_mct_per_kwh, prices.long_mct_per_kwh
    for area, price in product.areas.items():
        prices = imbalance_prices(state.rules, market_mct_per_kwh=price.paid, system_wh=system_wh)
        product.area_imbalance[area] = (prices.short_mct_per_kwh, prices.long_mct_per_kwh)
    for site in measured:
        _post(state, product, site, out)


def _correct(state: State, product: Product, site: str, out: Outcome) -> None:
    """Reverse what was posted for a site and post anew, where anything differs."""
    before = product.settled.get(site)
    after = _settlement(state, product, site)
    if before is not None and before._replace(version=after.version) == after:
        return
    by_posting: dict[int, list[LedgerLine]] = {}
    for line in product.posted.get(site, ()):
        by_posting.setdefault(line.posting, []).append(line)
    for lines in by_posting.values():
        out.lines += state.ledger.reverse(lines, rules_version=state.rules.version)
    _post(state, product, site, out)
    product.state = advance(product.state, ProductEvent.CORRECT)
    out.broadcasts.append(product.view())


def _measured(state: State, product: Product, site: str) -> tuple[DrResult | None, int]:
    """Return a site's demand response and its imbalance."""
    metered = product.meters[site].net_wh
    line = product.demand_response.get(site)
    result = None
    if line is not None:
        result = demand_response(
            baseline_wh=line.baseline_wh,
            metered_wh=metered,
            committed_wh=line.committed_wh,
            price_mct_per_kwh=line.price_mct_per_kwh,
            penalty_mct_per_kwh=line.penalty_mct_per_kwh,
        )
    imbalance = imbalance_wh(
        metered_wh=metered,
        traded_wh=product.position(state.accounts[site]).net_wh,
        demand_response_wh=0 if result is None else result.delivered_wh,
    )
    return result, imbalance


def _settlement(state: State, product: Product, site: str) -> SiteSettlement:
    assert product.imbalance_short is not None
    assert product.imbalance_long is not None
    result, imbalance = _measured(state, product, site)
    account = state.accounts[site]
    meter, position, area = product.meters[site], product.position(account), account.participant.area
    short, long = product.area_imbalance.get(area, (product.imbalance_short, product.imbalance_long))
    price = short if imbalance > 0 else long
    before = product.settled.get(site)
    return SiteSettlement(
        site=site,
        interval_ms=product.start_ms,
        version=1 if before is None else before.version + 1,
        meter_version=meter.version,
        metered_wh=meter.net_wh,
        traded_wh=position.net_wh,
        demand_response_wh=0 if result is None else result.delivered_wh,
        imbalance_wh=imbalance,
        imbalance_mct_per_kwh=price,
        trades_uct=position.trades_uct,
        fees_uct=position.fees_uct,
        imbalance_uct=imbalance * price,
        demand_response_uct=0 if result is None else result.payment_uct + result.penalty_uct,
        estimated=meter.estimated,
        method=state.rules.estimate.value if meter.version == 0 else "meter",
    )


def _post(state: State, product: Product, site: str, out: Outcome) -> None:
    settled = _settlement(state, product, site)
    lines: list[LedgerLine] = []
    result, _ = _measured(state, product, site)

    def post(kind: Kind, other: str, money_uct: int, energy_wh: int, reference: str) -> None:
        if money_uct or energy_wh:
            lines.extend(
                state.ledger.post(
                    kind,
                    (Entry(site, money_uct, energy_wh), Entry(other, -money_uct, -energy_wh)),
                    interval_ms=product.start_ms,
                    reference=reference,
                    rules_version=state.rules.version,
                    meter_version=settled.meter_version,
                )
            )

    if result is not None:
        event = product.demand_response[site].event
        post(Kind.DEMAND_RESPONSE, DEMAND_RESPONSE, result.payment_uct, -result.delivered_wh, event)
        post(Kind.PENALTY, DEMAND_RESPONSE, result.penalty_uct, 0, event)
    post(Kind.IMBALANCE, BALANCING, settled.imbalance_uct, settled.imbalance_wh, f"meter v{settled.meter_version}")
    product.settled[site] = settled
    product.posted[site] = lines
    out.lines += lines
    out.settlements.append(settled)


def _answer(site: str, start_ms: int, name: str, reason: str | None) -> Reply:
    status = OrderStatus.ACCEPTED if reason is None else OrderStatus.REJECTED
    return Reply(site, start_ms, name, status, None if reason is None else "meter", reason)
