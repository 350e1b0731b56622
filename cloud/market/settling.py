"""Meters, estimates, demand response and corrections of one product, posted to the ledger.

A version of a reading is settled once. What changes later is posted as the reversal of the earlier postings and new
ones; the imbalance prices stay those of the first settlement, so a correction moves only the site that it concerns.

Nothing is paid on an estimate (from the second edition of the rules on): a site whose meter is missing, estimated or
implausible settles provisionally at the worse price, its demand response stays open, and what it is said to have taken
moves nobody else's price. A later reading corrects that; without one it is final when the product is forgotten.
"""

from cloud.market.charges import charges, vat
from cloud.market.leaving import takes_part
from cloud.market.ledger import BALANCING, CHARGES, DEMAND_RESPONSE, TAXES, Entry, Kind, LedgerLine
from cloud.market.product import ProductEvent, advance
from cloud.market.rules import Estimate
from cloud.market.settlement import (
    DrResult,
    ImbalancePrices,
    demand_response,
    imbalance_prices,
    imbalance_wh,
    spread_prices,
)
from cloud.market.shapes import ClaimWord, EventCommand, HoldReading, MeterCommand, ReleaseReading
from cloud.market.shared_energy import share
from cloud.market.state import Account, DrLine, Meter, Outcome, Product, Reply, SiteSettlement, State
from contracts.market import OrderStatus, ProductState
from domain.plausibility import above_connection

METER = "meter"
LATE = "late"
ESTIMATED = "estimated"
IMPLAUSIBLE = "implausible"
FINAL = "final"
CAPPED = "capped"
# Of the editions of the rules.
_DEARER_SINCE = 3
_SETTLED = (ProductState.SETTLED, ProductState.CORRECTED)


def take_meter(state: State, command: MeterCommand, out: Outcome) -> None:
    """Take one reading: the first, or a later version that replaces it; settle again what it changes."""
    site, start_ms = command["site"], command["interval_ms"]
    account, product = state.accounts.get(site), state.products.get(start_ms)
    name = f"meter v{command['version']}"
    if account is None or product is None or not takes_part(product, account):
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
    fault = _implausible(state, product, site, meter, doubt=command.get("doubt"))
    if fault is not None:
        product.held[site] = meter
        out.answers.append(
            _answer(site, start_ms, name, f"{fault}; held as implausible, not settled", code=IMPLAUSIBLE)
        )
        return
    _believe(state, product, site, meter, out)


def hold(state: State, command: HoldReading, out: Outcome) -> None:
    """Take back a reading that was believed, where it is still the newest: its site stands on an estimate again."""
    site, start_ms = command["site"], command["interval_ms"]
    product, account = state.products.get(start_ms), state.accounts.get(site)
    meter = None if product is None else product.meters.get(site)
    name = f"meter v{command['version']}"
    if product is None or account is None or meter is None or first_edition(state, product):
        out.answers.append(_answer(site, start_ms, name, f"no reading of site {site} to hold at {start_ms}"))
        return
    if meter.version != command["version"] or meter.estimated:
        out.answers.append(_answer(site, start_ms, name, f"version {command['version']} is not what is settled"))
        return
    product.held[site] = product.meters.pop(site)
    account.last_metered_wh = _last_metered_wh(state, site)
    reason = f"{command['reason']}; held as implausible, not settled"
    out.answers.append(_answer(site, start_ms, name, reason, code=IMPLAUSIBLE))
    if product.state in _SETTLED:
        estimate_missing(state, product)
        _estimate_the_dearer(state, product, site)
        for moved in sorted(product.meters) if share(state, product, out) else (site,):
            _correct(state, product, moved, out)


def _last_metered_wh(state: State, site: str) -> int | None:
    """Return a site's latest good reading among the products that are remembered."""
    meters = (product.meters.get(site) for _, product in sorted(state.products.items(), reverse=True))
    return next((meter.net_wh for meter in meters if meter is not None and not meter.estimated), None)


def release(state: State, command: ReleaseReading, out: Outcome) -> None:
    """Take a person's word that a reading that was held is right: it settles as any other."""
    site, start_ms = command["site"], command["interval_ms"]
    product = state.products.get(start_ms)
    meter = None if product is None else product.held.get(site)
    if product is None or meter is None:
        out.answers.append(_answer(site, start_ms, "release", f"no reading of site {site} is held at {start_ms}"))
        return
    _believe(state, product, site, meter, out)


def _believe(state: State, product: Product, site: str, meter: Meter, out: Outcome) -> None:
    """Take a reading as what its interval was, and settle what it changes."""
    product.held.pop(site, None)
    product.meters[site] = meter
    state.accounts[site].last_metered_wh = meter.net_wh
    out.answers.append(_answer(site, product.start_ms, f"meter v{meter.version}", None))
    if product.state in _SETTLED:
        # What one member took or gave was another's: a community's later reading settles all whom it moves.
        for moved in sorted(product.meters) if share(state, product, out) else (site,):
            _correct(state, product, moved, out)
    elif product.state is ProductState.DELIVERED and not _missing(state, product):
        product.state = advance(product.state, ProductEvent.METER)
        settle(state, product, out)
        product.state = advance(product.state, ProductEvent.SETTLE)
        out.broadcasts.append(product.view())


def take_event(state: State, command: EventCommand, out: Outcome) -> None:
    """Take the commitments of one demand-response event; a site is paid for one event per interval, never two."""
    for line in command["lines"]:
        site, start_ms = line["site"], line["interval_ms"]
        account, product = state.accounts.get(site), state.products.get(start_ms)
        if account is None or product is None or not takes_part(product, account):
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


def take_decision(state: State, command: ClaimWord, out: Outcome) -> None:
    """Take a person's word on a flagged claim: it is paid, or it is not; every interval of its event and site."""
    site, event, pay = command["site"], command["event"], command["approve"]
    claims = [
        product
        for product in state.products.values()
        if (line := product.demand_response.get(site)) is not None
        and line.event == event
        and _waits(state, product, line)
    ]
    if not claims:
        out.answers.append(_answer(site, 0, event, f"no claim of site {site} for event {event} waits"))
    for product in claims:
        product.decided[site] = pay
        out.answers.append(_answer(site, product.start_ms, event, None))
        if product.state in _SETTLED:
            _correct(state, product, site, out)


def open_claims(state: State) -> list[tuple[Product, str, DrLine]]:
    """Return the flagged claims that wait for a person, the earliest first."""
    return [
        (product, site, line)
        for _, product in sorted(state.products.items())
        for site, line in sorted(product.demand_response.items())
        if site not in product.decided and _waits(state, product, line)
    ]


def estimate_missing(state: State, product: Product) -> None:
    """Give every site without a reading an estimate of version 0, by the market's named method."""
    for account in _missing(state, product):
        traded_wh, last_wh = product.position(account).net_wh, account.last_metered_wh
        net_wh = traded_wh
        if state.rules.estimate is Estimate.PREVIOUS and last_wh is not None:
            net_wh = last_wh
        elif state.rules.estimate is Estimate.WORST:
            net_wh = max(traded_wh, last_wh or 0, 0)
        product.meters[account.site] = Meter(0, max(net_wh, 0), max(-net_wh, 0), True)


def _estimate_the_dearer(state: State, product: Product, site: str) -> None:
    """Count a missing site's purchase as not taken where that costs it more: below zero, taking would be paid.

    Needs the imbalance prices; until then ``estimate_missing`` counts the purchase as taken.
    """
    if state.rules.estimate is not Estimate.WORST or _edition(state, product) < _DEARER_SINCE:
        return
    account = state.accounts[site]
    traded_wh = product.position(account).net_wh
    short, long = _site_prices(state, product, site, Estimate.WORST)

    def cost_uct(metered_wh: int) -> int:
        out_wh = imbalance_wh(metered_wh=metered_wh, traded_wh=traded_wh)
        return out_wh * (short if out_wh > 0 else long)

    least_wh = min(traded_wh, account.last_metered_wh or 0, 0)
    if cost_uct(least_wh) > cost_uct(product.meters[site].net_wh):
        product.meters[site] = Meter(0, 0, -least_wh, True)


def _missing(state: State, product: Product) -> list[Account]:
    """Return who settles in a product and has no reading there, in the order of their registration."""
    accounts, meters = state.accounts, product.meters
    if meters.keys() >= accounts.keys():
        return []
    return [one for site, one in accounts.items() if site not in meters and takes_part(product, one)]


def settle(state: State, product: Product, out: Outcome) -> None:
    """Settle every site of a metered product for the first time and fix its imbalance prices.

    All sites together say whether the system is short; each area of a market with links has its own price for it.
    """
    share(state, product, out)
    measured = {site: _measured(state, product, site) for site in sorted(product.meters)}
    counted = (site for site in measured if first_edition(state, product) or product.meters[site].version)
    system_wh = sum(measured[site][1] for site in counted)
    paid = product.price if product.price is not None else product.last_price
    prices = _prices(state, product, paid, system_wh)
    product.imbalance_short, product.imbalance_long = prices.short_mct_per_kwh, prices.long_mct_per_kwh
    for area, price in product.areas.items():
        prices = _prices(state, product, price.paid, system_wh)
        product.area_imbalance[area] = (prices.short_mct_per_kwh, prices.long_mct_per_kwh)
    for site in measured:
        if not product.meters[site].version:
            _estimate_the_dearer(state, product, site)
        _post(state, product, site, out)


def finish(state: State, product: Product, out: Outcome) -> None:
    """Make final what was settled on an estimate and never corrected: the commitment counts as not delivered."""
    if first_edition(state, product):
        return
    for site, settled in sorted(product.settled.items()):
        if settled.estimated:
            _correct(state, product, site, out, final=True)


def first_edition(state: State, product: Product) -> bool:
    """Return whether a product settles by the first edition of the rules."""
    return _edition(state, product) == 1


def _edition(state: State, product: Product) -> int:
    """Return the edition of the rules that a product settles by: the market's, or that of before its move."""
    return state.rules.edition if product.edition is None else product.edition


def _prices(state: State, product: Product, paid: int | None, system_wh: int) -> ImbalancePrices:
    return imbalance_prices(
        state.rules,
        start_ms=product.start_ms,
        market_mct_per_kwh=paid,
        system_wh=system_wh,
        low_mct_per_kwh=_least(product.trade_low, paid),
        high_mct_per_kwh=_most(product.trade_high, paid),
    )


def _implausible(state: State, product: Product, site: str, meter: Meter, *, doubt: str | None) -> str | None:
    """Return why a reading cannot be; the connection carries as much either way, whatever is agreed for export.

    ``doubt`` is what the shell found against it.
    """
    account = state.accounts[site]
    if first_edition(state, product):
        return None
    return doubt or above_connection(
        import_wh=meter.import_wh,
        export_wh=meter.export_wh,
        connection_wh=max(account.import_limit_wh, account.export_limit_wh),
        margin_permille=state.rules.implausible_permille,
    )


def _waits(state: State, product: Product, line: DrLine) -> bool:
    """Return whether a claim waits for a person, by the zone's rules, while none has decided."""
    rules = state.rules.claims
    if first_edition(state, product) or not rules.hold:
        return False
    flags = set(line.flags) - set(rules.pay_flags)
    if flags == {CAPPED}:
        return abs(line.committed_wh) * line.price_mct_per_kwh > rules.capped_free_uct
    return bool(flags)


def _correct(state: State, product: Product, site: str, out: Outcome, *, final: bool = False) -> None:
    """Reverse what was posted for a site and post anew, where anything differs."""
    before = product.settled.get(site)
    after = _settlement(state, product, site, final=final)
    if before is not None and before._replace(version=after.version) == after:
        return
    by_posting: dict[int, list[LedgerLine]] = {}
    for line in product.posted.get(site, ()):
        by_posting.setdefault(line.posting, []).append(line)
    for lines in by_posting.values():
        out.lines += state.ledger.reverse(lines, rules_version=state.rules.version)
    _post(state, product, site, out, final=final)
    product.state = advance(product.state, ProductEvent.CORRECT)
    out.broadcasts.append(product.view())


def _measured(state: State, product: Product, site: str, *, final: bool = False) -> tuple[DrResult | None, int]:
    """Return a site's demand response, ``None`` where there is none or it is open, and its imbalance."""
    meter = product.meters[site]
    metered = meter.net_wh
    line = product.demand_response.get(site)
    result = None
    if line is not None and not _open(state, product, site, line):
        result = demand_response(
            baseline_wh=line.baseline_wh,
            metered_wh=metered,
            committed_wh=line.committed_wh,
            price_mct_per_kwh=line.price_mct_per_kwh,
            penalty_mct_per_kwh=line.penalty_mct_per_kwh,
        )
    elif line is not None and final and meter.estimated:
        result = DrResult(delivered_wh=0, payment_uct=0, penalty_uct=abs(line.committed_wh) * line.penalty_mct_per_kwh)
    imbalance = imbalance_wh(
        metered_wh=metered,
        traded_wh=product.position(state.accounts[site]).net_wh,
        demand_response_wh=0 if result is None else result.delivered_wh,
        edition=_edition(state, product),
    )
    return result, imbalance


def _open(state: State, product: Product, site: str, line: DrLine) -> bool:
    """Return whether a commitment can not be paid or charged yet: no good reading, or nobody looked at its flags."""
    if first_edition(state, product):
        return False
    return product.meters[site].estimated or (_waits(state, product, line) and not product.decided.get(site, False))


def _method(state: State, product: Product, site: str, *, final: bool) -> str:
    """Return from what a settlement follows."""
    meter, before = product.meters[site], product.settled.get(site)
    if first_edition(state, product):
        return state.rules.estimate.value if meter.version == 0 else METER
    if meter.estimated:
        missing = IMPLAUSIBLE if site in product.held else state.rules.estimate.value
        return FINAL if final else missing if meter.version == 0 else ESTIMATED
    late = before is not None and (before.estimated or before.method == LATE)
    return LATE if late else METER


def _site_prices(state: State, product: Product, site: str, method: str) -> tuple[int, int]:
    """Return what a site's imbalance costs short and earns long: on an estimate, and late, at most the spread."""
    assert product.imbalance_short is not None
    assert product.imbalance_long is not None
    area = state.accounts[site].participant.area
    short, long = product.area_imbalance.get(area, (product.imbalance_short, product.imbalance_long))
    if first_edition(state, product) or method == METER:
        return short, long
    worse = spread_prices(
        state.rules,
        start_ms=product.start_ms,
        low_mct_per_kwh=product.trade_low,
        high_mct_per_kwh=product.trade_high,
    )
    return max(short, worse.short_mct_per_kwh), min(long, worse.long_mct_per_kwh)


def _settlement(state: State, product: Product, site: str, *, final: bool = False) -> SiteSettlement:
    method = _method(state, product, site, final=final)
    result, imbalance = _measured(state, product, site, final=final)
    account = state.accounts[site]
    meter, position = product.meters[site], product.position(account)
    short, long = _site_prices(state, product, site, method)
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
        method=method,
    )


def _post(state: State, product: Product, site: str, out: Outcome, *, final: bool = False) -> None:
    settled = _settlement(state, product, site, final=final)
    lines: list[LedgerLine] = []
    result, _ = _measured(state, product, site, final=final)
    why = f"final: no reading in {state.rules.final_days} days" if final else f"meter v{settled.meter_version}"

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
        # What left the position, so that the energies of all postings add up to what the meter counted.
        moved_wh = settled.metered_wh - settled.traded_wh - settled.imbalance_wh
        post(Kind.DEMAND_RESPONSE, DEMAND_RESPONSE, result.payment_uct, moved_wh, event)
        post(Kind.PENALTY, DEMAND_RESPONSE, result.penalty_uct, 0, event)
    post(Kind.IMBALANCE, BALANCING, settled.imbalance_uct, settled.imbalance_wh, why)
    charged = charges(state.rules, product.meters[site], settled, shared_wh=_shared_wh(product, site))
    for name, money_uct in charged.items():
        post(Kind.CHARGE, CHARGES, money_uct, 0, name)
    post(Kind.VAT, TAXES, vat(state.rules, settled, charges_uct=sum(charged.values())), 0, why)
    product.settled[site] = settled
    product.posted[site] = lines
    out.lines += lines
    out.settlements.append(settled)


def _shared_wh(product: Product, site: str) -> int:
    """Return what a site took from other members."""
    return sum(one.energy_wh for one in product.shares if one.buyer == site)


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def claim_waits(state: State, site: str, interval_ms: int) -> bool:
    """Return whether a site's claim in an interval waits for a person who has not decided yet."""
    product = state.products.get(interval_ms)
    line = None if product is None else product.demand_response.get(site)
    return product is not None and line is not None and site not in product.decided and _waits(state, product, line)


def _answer(site: str, start_ms: int, name: str, reason: str | None, *, code: str = "meter") -> Reply:
    status = OrderStatus.ACCEPTED if reason is None else OrderStatus.REJECTED
    return Reply(site, start_ms, name, status, None if reason is None else code, reason)
