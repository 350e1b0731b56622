"""What energy is planned to cost: the site's tariff, and the market as far as a trade can still be had."""

# Share of the way from the expected price to the tariff that is planned with: an order may not trade.
RISK = 0.5


def planned_rates(
    *, import_mct_per_kwh: float, export_mct_per_kwh: float, price_mct_per_kwh: int | None
) -> tuple[float, float]:
    """Return what a kWh taken costs and what a kWh given brings, in mct.

    A market price that is worse than the tariff is not traded at; one far below both, a negative one too, is planned as
    it is.

    Args:
        import_mct_per_kwh: Of the tariff.
        export_mct_per_kwh: Of the tariff.
        price_mct_per_kwh: That a trade is expected at; ``None`` where none can be had any more.
    """
    buy, sell = import_mct_per_kwh, export_mct_per_kwh
    if price_mct_per_kwh is not None:
        buy = min(buy, price_mct_per_kwh + RISK * (import_mct_per_kwh - price_mct_per_kwh))
        sell = max(sell, price_mct_per_kwh - RISK * (price_mct_per_kwh - export_mct_per_kwh))
    return buy, sell


def spot_rate(*, price_mct_per_kwh: int, adder_mct_per_kwh: int, factor: float) -> float:
    """Return what a tariff that follows the day-ahead price makes of a price: fees on it, and taxes on both."""
    return (price_mct_per_kwh + adder_mct_per_kwh) * factor
