"""The call auction over whole columns: the same answer as ``auction.clear`` for hundreds of thousands of orders.

Orders are only counted into price levels, never sorted; time decides within the two marginal levels alone. Everything
is 64-bit integers, and a sum that would not fit is refused rather than wrapped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.market.auction import Margin, choose_price, interval, sweep

Column = NDArray[np.int64]

_SUM_MAX = 2**62
# Levels are counted in a table while it is no larger than this many entries per order, else by sorting.
_TABLE_PER_ORDER = 8
_TABLE_MIN = 2**16


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnClearing:
    """What a call decided: fills stand in the order of the columns."""

    volume_wh: int
    low: int | None
    high: int | None
    paid: int | None
    buy_fills: Column
    sell_fills: Column


def clear_columns(
    *,
    buy_price: Column,
    buy_wh: Column,
    sell_price: Column,
    sell_wh: Column,
    buy_sequence: Column | None = None,
    sell_sequence: Column | None = None,
) -> ColumnClearing:
    """Clear a call at one price, ties by time.

    Args:
        buy_price: Limits of the bids in thousandths of a cent per kWh.
        buy_wh: Their quantities, above zero.
        sell_price: Limits of the offers.
        sell_wh: Their quantities, above zero.
        buy_sequence: The bids' places in time; without it the column's order.
        sell_sequence: The same for the offers.

    Raises:
        OverflowError: The quantities of one side sum to 2**62 Wh or more.
    """
    bids = _levels(buy_price, buy_wh)[::-1]
    offers = _levels(sell_price, sell_wh)
    crossing = sweep(bids, offers)
    low, high = interval(crossing)
    return ColumnClearing(
        volume_wh=crossing.volume_wh,
        low=low,
        high=high,
        paid=choose_price(low, high) if crossing.volume_wh else None,
        buy_fills=_fills(buy_price, buy_wh, buy_sequence, crossing.bids, buying=True),
        sell_fills=_fills(sell_price, sell_wh, sell_sequence, crossing.offers, buying=False),
    )


def _levels(price: Column, quantity: Column) -> list[tuple[int, int]]:
    """Return ``(limit, quantity)`` in rising order of limit."""
    if not len(price):
        return []
    # Exact in Python integers: 2**62 is out of reach unless quantities are enormous.
    if int(quantity.max()) * len(quantity) >= _SUM_MAX and sum(quantity.tolist()) >= _SUM_MAX:
        raise OverflowError(f"quantities sum to {_SUM_MAX} Wh or more; use auction.clear")
    least, greatest = int(price.min()), int(price.max())
    if greatest - least < max(_TABLE_MIN, _TABLE_PER_ORDER * len(price)):
        table = np.zeros(greatest - least + 1, dtype=np.int64)
        np.add.at(table, price - least, quantity)
        used = np.flatnonzero(table)
        return list(zip((used + least).tolist(), table[used].tolist(), strict=True))
    order = np.argsort(price, kind="stable")
    limits, first = np.unique(price[order], return_index=True)
    sums = np.add.reduceat(quantity[order], first)
    return list(zip(limits.tolist(), sums.tolist(), strict=True))


def _fills(price: Column, quantity: Column, sequence: Column | None, margin: Margin, *, buying: bool) -> Column:
    if margin.last is None:
        return np.zeros(len(price), dtype=np.int64)
    better = price > margin.last if buying else price < margin.last
    fills: Column = quantity * better
    at = np.flatnonzero(price == margin.last)
    if sequence is not None:
        at = at[np.argsort(sequence[at], kind="stable")]
    served = np.cumsum(quantity[at])
    fills[at] = np.clip(margin.last_filled_wh - (served - quantity[at]), 0, quantity[at])
    return fills
