"""How much of the site's orders traded, kept over restarts."""

from collections.abc import Iterable
from typing import Any

from edge.state_store import StateStore
from edge.trading.orders import OwnOrder
from edge.trading.plan.fills import Fills, SideFills, with_interval

_KEY = "trading.fills"


class FillRecord:
    """What became of the orders so far."""

    def __init__(self, memory: StateStore) -> None:
        """Go on with what an earlier process kept; one that kept nothing leaves half to be expected."""
        self._memory = memory
        kept = memory.recall(_KEY) or {}
        self.fills = Fills(buy=_side(kept.get("buy")), sell=_side(kept.get("sell")))

    def closed(self, *, position_wh: int, orders: Iterable[OwnOrder]) -> None:
        """Add an interval that is over: what was traded for it, bought positive, and the last order of each leg."""
        fills = with_interval(self.fills, position_wh=position_wh, orders=orders)
        if fills == self.fills:
            return
        self.fills = fills
        self._memory.remember(_KEY, {"buy": _kept(fills.buy), "sell": _kept(fills.sell)}, durable=False)


def _side(kept: Any) -> SideFills:
    return SideFills() if kept is None else SideFills(ordered=float(kept[0]), traded=float(kept[1]))


def _kept(side: SideFills) -> list[float]:
    return [round(side.ordered, 3), round(side.traded, 3)]
