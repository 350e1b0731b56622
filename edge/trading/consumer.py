"""The consumer: buys what it expects to need, up to its import tariff, and sells what it has left over."""

from edge.trading.model import OrderIntent, Outlook
from edge.trading.target_orders import target_orders


def consumer_orders(outlook: Outlook) -> tuple[OrderIntent, ...]:
    """Return the orders that a consumer wants to stand.

    Its load will flow whatever the price, and costs the import tariff when it is not bought, so anything below is a
    gain. A surplus of its own generation is worth the export tariff at least. Its battery buys and sells at the value
    that its plan found.
    """
    tariffs = outlook.tariffs
    return target_orders(
        outlook,
        base_buy_mct_per_kwh=tariffs.import_mct_per_kwh,
        base_sell_mct_per_kwh=tariffs.export_mct_per_kwh,
    )
