"""At what price an agent stands: its own value, shaded towards the market's price while there is time."""

from datetime import datetime, timedelta

from contracts.market import Side
from edge.trading.model import Outlook

# Of the gain between own value and expected price, this share is asked for at first; nothing at gate closure.
SHADE = 0.5
# In steps, so that a standing order is not changed every minute for nothing.
_SHADE_STEPS = 4
# The shading runs over this long before gate closure.
_PATIENCE = timedelta(hours=1)


def limit_price(*, side: Side, value_mct_per_kwh: int, start: datetime, outlook: Outlook) -> int:
    """Return the price limit of an order, between the tariffs and never worse than the agent's own value.

    A buyer's value is the most that it would pay, a seller's the least that it would take. What the market is
    expected to pay or ask beyond that is partly asked for, less and less towards gate closure, so that orders that
    should meet do meet.

    Args:
        side: Of the order.
        value_mct_per_kwh: Own value.
        start: Of the interval.
        outlook: Prices, tariffs and time.
    """
    tariffs = outlook.tariffs
    # One step inside the tariffs: at the tariff itself the utility serves as well.
    inside = tariffs.import_mct_per_kwh - tariffs.export_mct_per_kwh > 1
    low = tariffs.export_mct_per_kwh + inside
    high = tariffs.import_mct_per_kwh - inside
    value = min(max(value_mct_per_kwh, low), high)
    expected = outlook.prices.get(start, (low + high) // 2)
    left = start - timedelta(seconds=outlook.gate_closure_s) - outlook.now
    steps = min(max(-(-left * _SHADE_STEPS // _PATIENCE), 0), _SHADE_STEPS)
    gain = max(0, value - expected) if side is Side.BUY else max(0, expected - value)
    shaded = round(gain * SHADE * steps / _SHADE_STEPS)
    return min(max(value - shaded if side is Side.BUY else value + shaded, low), high)


def gate_open(start: datetime, outlook: Outlook) -> bool:
    """Say whether orders for an interval may still change."""
    return outlook.now < start - timedelta(seconds=outlook.gate_closure_s)
