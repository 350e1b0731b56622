"""The producer: sells what it expects to generate, from its marginal cost upwards, and covers its own use."""

from edge.trading.model import OrderIntent, Outlook
from edge.trading.target_orders import wanted_orders


def producer_orders(outlook: Outlook, *, marginal_cost_mct_per_kwh: int = 0) -> tuple[OrderIntent, ...]:
    """Return the orders that a producer wants to stand.

    The sun's surplus is lost or fed in at the export tariff when nobody buys it, so anything above the dearer of that
    tariff and its own marginal cost is a gain. A need, at night, is worth up to the import tariff.

    Args:
        outlook: What is known.
        marginal_cost_mct_per_kwh: Of generating one more kWh.
    """
    tariffs = outlook.tariffs
    return wanted_orders(
        outlook,
        base_buy_mct_per_kwh=tariffs.import_mct_per_kwh,
        base_sell_mct_per_kwh=max(marginal_cost_mct_per_kwh, tariffs.export_mct_per_kwh),
    )
