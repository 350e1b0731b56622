"""The producer: sells by a curve what it expects to generate, from marginal cost upwards, and covers its own use."""

from collections.abc import Iterator
from dataclasses import replace

from contracts.market import Side
from edge.trading.model import Leg, OrderIntent, Outlook, SiteForecast
from edge.trading.pricing import limit_price
from edge.trading.target_orders import QUANTITY_WH_MIN, target_orders

# What lies between the quantity that comes nine times of ten and the one that comes every second time fails to come
# with a chance of 10 to 50 %.
FAILS_SHARE = 0.3


def producer_orders(outlook: Outlook, *, marginal_cost_mct_per_kwh: int = 0) -> tuple[OrderIntent, ...]:
    """Return the orders that a producer wants to stand.

    The sun's surplus is lost or fed in at the export tariff when nobody buys it, so anything above the dearer of that
    tariff and its own marginal cost is a gain on what is sure to come. What likely comes must bring more: where it
    fails, what was sold is bought at the import tariff. Both are told anew as delivery nears and the band closes. A
    need, at night, is worth up to the import tariff.

    Args:
        outlook: What is known.
        marginal_cost_mct_per_kwh: Of generating one more kWh.

    Source: the newsvendor's critical ratio (Arrow, Harris, Marschak, Econometrica 19, 1951), for wind and sun Pinson,
    Chevallier, Kariniotakis, IEEE Transactions on Power Systems 22 (2007).
    """
    tariffs = outlook.tariffs
    sure_mct = max(marginal_cost_mct_per_kwh, tariffs.export_mct_per_kwh)
    forecasts = {forecast.start: forecast for forecast in outlook.forecasts}
    wanted = target_orders(outlook, base_buy_mct_per_kwh=tariffs.import_mct_per_kwh, base_sell_mct_per_kwh=sure_mct)
    return tuple(
        part for order in wanted for part in _curve(order, forecasts[order.start], outlook=outlook, sure_mct=sure_mct)
    )


def _curve(order: OrderIntent, forecast: SiteForecast, *, outlook: Outlook, sure_mct: int) -> Iterator[OrderIntent]:
    """Yield an offer of a surplus in two parts: what is sure, and what is likely at a price for its risk."""
    if order.leg is not Leg.BASE or order.side is not Side.SELL or forecast.sure_pv_wh is None:
        yield order
        return
    likely_wh = min(order.quantity_wh, forecast.sure_pv_wh - forecast.pv_wh)
    if likely_wh < QUANTITY_WH_MIN:
        yield order
        return
    sure_wh = order.quantity_wh - likely_wh
    if sure_wh >= QUANTITY_WH_MIN:
        yield replace(order, quantity_wh=sure_wh, reason=f"{sure_wh} Wh are sure to come, worth {sure_mct} mct/kWh")
    value = sure_mct + round(FAILS_SHARE * max(0, outlook.tariffs.import_mct_per_kwh - sure_mct))
    price = limit_price(side=Side.SELL, value_mct_per_kwh=value, start=order.start, outlook=outlook)
    yield replace(
        order,
        leg=Leg.LIKELY,
        quantity_wh=likely_wh,
        price_mct_per_kwh=price,
        reason=f"{likely_wh} Wh come every second time, worth {value} mct/kWh for that risk",
    )
