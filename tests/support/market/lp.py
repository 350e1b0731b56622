"""The greatest welfare of a network of zones by a linear program: an independent judge of the clearing."""

from collections.abc import Sequence

import highspy
import numpy as np

from cloud.market.auction import AuctionOrder
from cloud.market.network import Link
from contracts.market import Side

# A bid counts a quarter more than its limit: enough to prefer volume, too little to cost a unit of welfare.
_VOLUME_BONUS = 0.25


def optimum(orders: Sequence[AuctionOrder], links: Sequence[Link]) -> tuple[int, int]:
    """Return the greatest welfare after fees and the greatest volume at it: one column per order, one row per zone."""
    names: dict[str, int] = {}
    for zone in [order.zone for order in orders] + [end for link in links for end in (link.origin, link.target)]:
        names.setdefault(zone, len(names))
    if not orders:
        return 0, 0
    cost = [_worth(order) for order in orders]
    upper = [order.quantity_wh for order in orders]
    starts = list(range(len(orders)))
    rows = [names[order.zone] for order in orders]
    values = [1.0 if order.side is Side.BUY else -1.0 for order in orders]
    for link in links:
        for start, end in ((link.origin, link.target), (link.target, link.origin)):
            starts.append(len(rows))
            rows += [names[start], names[end]]
            values += [1.0, -1.0]
            cost.append(-float(link.fee_mct_per_kwh))
            upper.append(link.capacity_wh)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    zeros, none = np.zeros(len(names)), np.array([], np.int32)
    solver.addRows(len(names), zeros, zeros, 0, none, none, np.array([]))
    solver.addCols(
        len(upper),
        np.array(cost),
        np.zeros(len(upper)),
        np.array(upper, dtype=np.float64),
        len(rows),
        np.array(starts, np.int32),
        np.array(rows, np.int32),
        np.array(values),
    )
    solver.changeObjectiveSense(highspy.ObjSense.kMaximize)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    solution = solver.getSolution().col_value
    volume = sum(solution[index] for index, order in enumerate(orders) if order.side is Side.BUY)
    worth = sum(value * price for value, price in zip(solution, cost, strict=True)) - _VOLUME_BONUS * volume
    return round(worth), round(volume)


def _worth(order: AuctionOrder) -> float:
    return order.limit_mct_per_kwh + _VOLUME_BONUS if order.side is Side.BUY else -float(order.limit_mct_per_kwh)
