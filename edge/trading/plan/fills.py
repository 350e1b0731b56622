"""How much of what a site orders is traded, learnt from its own orders: what a plan may count on."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.market import Side
from edge.trading.orders import OwnOrder

# So many intervals in which half was traded are reckoned with before the first.
PRIOR_INTERVALS = 8.0
PRIOR_MISSED = 0.5
# An interval counts a third once so many came after it: two days and a half of a site that orders in each.
MEMORY_INTERVALS = 256
# However it went so far, the next may go otherwise.
MISSED_MIN, MISSED_MAX = 0.1, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFills:
    """Purchases, or sales: in how many intervals some were ordered, and in how many, in parts, traded.

    Older intervals count less.
    """

    ordered: float = 0.0
    traded: float = 0.0

    @property
    def missed(self) -> float:
        """Return the share of an order that is expected not to trade."""
        missed = PRIOR_INTERVALS * PRIOR_MISSED + self.ordered - self.traded
        return min(max(missed / (PRIOR_INTERVALS + self.ordered), MISSED_MIN), MISSED_MAX)

    def with_interval(self, *, traded_wh: int, left_wh: int) -> "SideFills":
        """Return the memory with one more interval; one in which nothing was ordered says nothing."""
        if traded_wh + left_wh <= 0:
            return self
        kept = 1 - 1 / MEMORY_INTERVALS
        share = traded_wh / (traded_wh + left_wh)
        return SideFills(ordered=self.ordered * kept + 1, traded=self.traded * kept + share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """What became of a site's purchases and of its sales."""

    buy: SideFills = SideFills()
    sell: SideFills = SideFills()


def with_interval(fills: Fills, *, position_wh: int, orders: Iterable[OwnOrder]) -> Fills:
    """Return the memory with an interval that is over.

    Args:
        fills: The memory so far.
        position_wh: What was traded for the interval, bought positive.
        orders: The last of each leg. What the market never took, or the site withdrew itself, says nothing.
    """
    left_wh = {Side.BUY: 0, Side.SELL: 0}
    for order in orders:
        if order.confirmed is not None and not order.withdrawn:
            left_wh[order.side] += max(0, order.quantity_wh - order.traded_wh)
    return Fills(
        buy=fills.buy.with_interval(traded_wh=max(0, position_wh), left_wh=left_wh[Side.BUY]),
        sell=fills.sell.with_interval(traded_wh=max(0, -position_wh), left_wh=left_wh[Side.SELL]),
    )
