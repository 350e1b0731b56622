"""What a site owes for an interval: metered minus traded, at the imbalance price; demand response never paid twice.

Energy is positive for import, money positive for who pays.

Source: imbalance as allocated volume minus position, 15-minute settlement period, single pricing as the main rule:
ACER decision 18/2020 (imbalance settlement harmonisation methodology). Delivered reductions floored at zero and paid
up to the commitment: common demand-response settlement practice, as in field programmes with a penalty for shortfall.
"""

from dataclasses import dataclass

from cloud.market.rules import Imbalance, MarketRules


@dataclass(frozen=True, kw_only=True, slots=True)
class ImbalancePrices:
    """What a site pays per kWh that it took too much (``short``), or gets per kWh that it took too little."""

    short_mct_per_kwh: int
    long_mct_per_kwh: int


def spread_prices(
    rules: MarketRules, *, start_ms: int, low_mct_per_kwh: int | None, high_mct_per_kwh: int | None
) -> ImbalancePrices:
    """Return the prices at which nobody gains by being out of balance, whatever the others do.

    Short costs at least the import tariff and the interval's highest price, long earns at most the export tariff and
    its lowest. A later reading is settled at the same prices as one on time: nothing depends on the system's state.

    Args:
        rules: Tariffs, and what stands where there are none.
        start_ms: When the interval starts, in ms since the epoch.
        low_mct_per_kwh: The lowest price of the interval's trades; ``None`` where it never traded.
        high_mct_per_kwh: The highest.
    """
    short, long = rules.imbalance_reserve if rules.last_resort is None else rules.last_resort.prices_at(start_ms)
    return ImbalancePrices(
        short_mct_per_kwh=short if high_mct_per_kwh is None else max(short, high_mct_per_kwh),
        long_mct_per_kwh=long if low_mct_per_kwh is None else min(long, low_mct_per_kwh),
    )


def imbalance_prices(
    rules: MarketRules,
    *,
    start_ms: int,
    market_mct_per_kwh: int | None,
    system_wh: int,
    low_mct_per_kwh: int | None = None,
    high_mct_per_kwh: int | None = None,
) -> ImbalancePrices:
    """Return the prices of one interval by the zone's rule: ``spread_prices``, one price for all, or two.

    With the latter two the system is short where all sites together took more than they had bought. The price of the
    side that hurts the system is never better than the market's: at least the import tariff where the system is short,
    at most the export tariff where it is long. With a single price everyone settles at it; with two prices who helps
    gets the market's.

    Args:
        rules: Tariffs and the choice of one or two prices.
        start_ms: When the interval starts, in ms since the epoch.
        market_mct_per_kwh: The product's price; ``None`` where it never traded.
        system_wh: Sum of all sites' imbalances, positive for import beyond the positions.
        low_mct_per_kwh: The lowest price of the interval's trades; ``None`` where it never traded.
        high_mct_per_kwh: The highest.
    """
    if rules.imbalance is Imbalance.SPREAD:
        return spread_prices(
            rules, start_ms=start_ms, low_mct_per_kwh=low_mct_per_kwh, high_mct_per_kwh=high_mct_per_kwh
        )
    tariffs = None if rules.last_resort is None else rules.last_resort.prices_at(start_ms)
    if tariffs is None and rules.edition > 1:
        up, down = rules.imbalance_reserve
        if market_mct_per_kwh is None:
            return ImbalancePrices(short_mct_per_kwh=up, long_mct_per_kwh=down)
    else:
        up = tariffs.import_mct_per_kwh if tariffs is not None else market_mct_per_kwh or 0
        down = tariffs.export_mct_per_kwh if tariffs is not None else market_mct_per_kwh or 0
    market = (up + down) // 2 if market_mct_per_kwh is None else market_mct_per_kwh
    up, down = max(up, market), min(down, market)
    if rules.imbalance is Imbalance.TWO_PRICE:
        return ImbalancePrices(
            short_mct_per_kwh=up if system_wh > 0 else market, long_mct_per_kwh=down if system_wh < 0 else market
        )
    price = up if system_wh > 0 else down if system_wh < 0 else market
    return ImbalancePrices(short_mct_per_kwh=price, long_mct_per_kwh=price)


@dataclass(frozen=True, kw_only=True, slots=True)
class DrResult:
    """A demand-response commitment measured: what was delivered, what is paid (negative: received) for it."""

    delivered_wh: int
    payment_uct: int
    penalty_uct: int


def demand_response(
    *, baseline_wh: int, metered_wh: int, committed_wh: int, price_mct_per_kwh: int, penalty_mct_per_kwh: int
) -> DrResult:
    """Return what a commitment earns in one interval.

    Delivered is the change against the baseline in the committed direction, floored at zero and paid up to the
    commitment; what is missing pays the penalty.

    Args:
        baseline_wh: Net import that would have been, positive for import.
        metered_wh: Net import that was.
        committed_wh: Positive for a reduction of net import, negative for an increase.
        price_mct_per_kwh: Paid per delivered kWh.
        penalty_mct_per_kwh: Charged per missing kWh.
    """
    sign = 1 if committed_wh >= 0 else -1
    changed = max(0, sign * (baseline_wh - metered_wh))
    delivered = min(changed, abs(committed_wh))
    missing = abs(committed_wh) - delivered
    return DrResult(
        delivered_wh=sign * delivered,
        payment_uct=-delivered * price_mct_per_kwh,
        penalty_uct=missing * penalty_mct_per_kwh,
    )


def imbalance_wh(*, metered_wh: int, traded_wh: int, demand_response_wh: int = 0, edition: int = 2) -> int:
    """Return metered minus position, positive where the site took more than it had bought.

    A paid change leaves the position first, so that the market does not pay for it again: of a paid reduction, what the
    site had bought and did not take; of a paid increase, what it took beyond its purchase. A change of energy that was
    never traded leaves the imbalance as it is, so that a delivery never costs more than none.

    Args:
        metered_wh: Net import that was.
        traded_wh: Net purchase.
        demand_response_wh: Delivered and paid, positive for a reduction.
        edition: Of the rules; the first took every paid change off the position.
    """
    out_wh = metered_wh - traded_wh
    if edition == 1:
        return out_wh + demand_response_wh
    if demand_response_wh > 0 > out_wh:
        return min(0, out_wh + demand_response_wh)
    if demand_response_wh < 0 < out_wh:
        return max(0, out_wh + demand_response_wh)
    return out_wh
