"""The call auction over whole columns: the same answer as ``auction.clear`` for hundreds of thousands of orders.

Orders are only counted into price levels, never sorted; time decides within the two marginal levels alone. Everything
is 64-bit integers, and a sum that would not fit is refused rather than wrapped.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.market.auction import Margin, Sweep, choose_price, interval, sweep

Column = NDArray[np.int64]

_SUM_MAX = 2**62
# Prices are counted in a table while it is no larger than this many entries per order, else by sorting.
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
    crossing = _cross(buy_price, buy_wh, sell_price, sell_wh)
    low, high = interval(crossing)
    return ColumnClearing(
        volume_wh=crossing.volume_wh,
        low=low,
        high=high,
        paid=choose_price(low, high) if crossing.volume_wh else None,
        buy_fills=_fills(buy_price, buy_wh, buy_sequence, crossing.bids, buying=True),
        sell_fills=_fills(sell_price, sell_wh, sell_sequence, crossing.offers, buying=False),
    )


def _cross(buy_price: Column, buy_wh: Column, sell_price: Column, sell_wh: Column) -> Sweep:
    """Find where both curves are cut, counting in one table over all prices where they lie close enough."""
    for quantity in (buy_wh, sell_wh):
        _check_sum(quantity)
    if not len(buy_price) or not len(sell_price):
        return sweep(_levels(buy_price, buy_wh)[::-1], _levels(sell_price, sell_wh))
    least = min(int(buy_price.min()), int(sell_price.min()))
    size = max(int(buy_price.max()), int(sell_price.max())) - least + 1
    if size > max(_TABLE_MIN, _TABLE_PER_ORDER * (len(buy_price) + len(sell_price))):
        return sweep(_levels(buy_price, buy_wh)[::-1], _levels(sell_price, sell_wh))
    # Served in rising order of place: offers from the cheapest, bids, mirrored, from the dearest.
    offered, wanted = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    np.add.at(offered, sell_price - least, sell_wh)
    np.add.at(wanted, (least + size - 1) - buy_price, buy_wh)
    supply, demand = np.cumsum(offered), np.cumsum(wanted)
    volume = int(np.minimum(supply, demand[::-1]).max())
    return Sweep(
        volume_wh=volume,
        bids=_cut(wanted, demand, volume, first=least + size - 1, step=-1),
        offers=_cut(offered, supply, volume, first=least, step=1),
    )


def _cut(table: Column, sums: Column, volume: int, *, first: int, step: int) -> Margin:
    """Return where one side is cut when its first ``volume`` units are served; place 0 has price ``first``."""
    last = filled = left = None
    if volume:
        place = int(np.searchsorted(sums, volume, side="left"))
        last, filled = first + step * place, volume - int(sums[place] - table[place])
    beyond = int(np.searchsorted(sums, volume, side="right"))
    if beyond < len(sums):
        left = first + step * beyond
    return Margin(last=last, last_filled_wh=filled or 0, left=left)


def _levels(price: Column, quantity: Column) -> list[tuple[int, int]]:
    """Return ``(limit, quantity)`` in rising order of limit."""
    if not len(price):
        return []
    order = np.argsort(price, kind="stable")
    limits, first = np.unique(price[order], return_index=True)
    sums = np.add.reduceat(quantity[order], first)
    return list(zip(limits.tolist(), sums.tolist(), strict=True))


def _check_sum(quantity: Column) -> None:
    # The cheap bound settles it unless quantities are enormous; then Python's integers do.
    if not len(quantity) or int(quantity.max()) * len(quantity) < _SUM_MAX:
        return
    if sum(quantity.tolist()) >= _SUM_MAX:
        raise OverflowError(f"quantities sum to {_SUM_MAX} Wh or more; use auction.clear")


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
