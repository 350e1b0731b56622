"""The orders that a site wants to stand, from what it expects and plans; producer and consumer share it."""

from datetime import datetime

from contracts.market import Side
from edge.trading.model import Leg, OrderIntent, Outlook, PlanStep, SiteForecast
from edge.trading.pricing import gate_open, limit_price

# Less than this is not worth a message.
QUANTITY_WH_MIN = 5


def target_orders(
    outlook: Outlook, *, base_buy_mct_per_kwh: int, base_sell_mct_per_kwh: int
) -> tuple[OrderIntent, ...]:
    """Return at most one order per leg for each interval whose gate is open.

    What load and generation leave after the battery's plan is the base, and trades at the agent's value for it. What
    the battery takes from or gives to the connection is flexible, and trades at the value that the plan found for
    stored energy. Together they stay within what the connection can carry, positions included.

    Args:
        outlook: What is known.
        base_buy_mct_per_kwh: The most that the base is bought at.
        base_sell_mct_per_kwh: The least that it is sold at.
    """
    plan = {step.start: step for step in outlook.plan}
    found: list[OrderIntent] = []
    for forecast in outlook.forecasts:
        if not gate_open(forecast.start, outlook):
            continue
        step = plan.get(forecast.start)
        missing_wh = _missing(forecast, step, outlook)
        if abs(missing_wh) < QUANTITY_WH_MIN:
            continue
        flex_wh = _flexible(missing_wh, step)
        side = Side.BUY if missing_wh > 0 else Side.SELL
        base_value = base_buy_mct_per_kwh if side is Side.BUY else base_sell_mct_per_kwh
        found += _order(
            forecast.start,
            Leg.BASE,
            side,
            quantity_wh=abs(missing_wh) - flex_wh,
            value_mct_per_kwh=base_value,
            outlook=outlook,
        )
        if step is not None:
            value = step.buy_mct_per_kwh if side is Side.BUY else step.sell_mct_per_kwh
            found += _order(
                forecast.start, Leg.FLEX, side, quantity_wh=flex_wh, value_mct_per_kwh=value, outlook=outlook
            )
    return tuple(found)


def _missing(forecast: SiteForecast, step: PlanStep | None, outlook: Outlook) -> int:
    """Return what is still to trade for an interval, bought positive, within the connection's reach."""
    planned_wh = forecast.net_wh + (step.battery_wh if step else 0)
    within_wh = min(max(planned_wh, -outlook.reach.export_wh), outlook.reach.import_wh)
    return within_wh - outlook.positions.get(forecast.start, 0)


def _flexible(missing_wh: int, step: PlanStep | None) -> int:
    """Return how much of it the battery causes: its charging while buying, its discharging while selling."""
    if step is None:
        return 0
    same_way_wh = step.battery_wh if missing_wh > 0 else -step.battery_wh
    return min(abs(missing_wh), max(0, same_way_wh))


def _order(
    start: datetime, leg: Leg, side: Side, *, quantity_wh: int, value_mct_per_kwh: int, outlook: Outlook
) -> list[OrderIntent]:
    if quantity_wh < QUANTITY_WH_MIN:
        return []
    price = limit_price(side=side, value_mct_per_kwh=value_mct_per_kwh, start=start, outlook=outlook)
    what = "expected" if leg is Leg.BASE else "planned by the battery"
    way = "need" if side is Side.BUY else "surplus"
    reason = f"{way} of {quantity_wh} Wh {what}, worth {value_mct_per_kwh} mct/kWh"
    return [
        OrderIntent(start=start, leg=leg, side=side, quantity_wh=quantity_wh, price_mct_per_kwh=price, reason=reason)
    ]
