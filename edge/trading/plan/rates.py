"""What energy is planned to cost: the site's tariff, and the market as far as a trade can still be had."""

from edge.trading.plan.fills import Fills


def planned_rates(
    *,
    import_mct_per_kwh: float,
    export_mct_per_kwh: float,
    price_mct_per_kwh: int | None,
    fills: Fills | None = None,
) -> tuple[float, float]:
    """Return what a kWh taken costs and what a kWh given brings, in mct.

    An order may not trade: the price planned with lies between the expected one and the tariff, the nearer to the
    tariff the less of the site's orders of that side traded. A market price that is worse than the tariff is not traded
    at; one far below both, a negative one too, is planned as it is.

    Args:
        import_mct_per_kwh: Of the tariff.
        export_mct_per_kwh: Of the tariff.
        price_mct_per_kwh: That a trade is expected at; ``None`` where none can be had any more.
        fills: How much of the site's orders traded; ``None`` where nothing is known of them.
    """
    known = fills or Fills()
    buy, sell = import_mct_per_kwh, export_mct_per_kwh
    if price_mct_per_kwh is not None:
        buy = min(buy, price_mct_per_kwh + known.buy.missed * (import_mct_per_kwh - price_mct_per_kwh))
        sell = max(sell, price_mct_per_kwh - known.sell.missed * (price_mct_per_kwh - export_mct_per_kwh))
    return buy, sell


def spot_rate(*, price_mct_per_kwh: int, adder_mct_per_kwh: int, factor: float) -> float:
    """Return what a tariff that follows the day-ahead price makes of a price: fees on it, and taxes on both."""
    return (price_mct_per_kwh + adder_mct_per_kwh) * factor
