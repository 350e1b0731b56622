"""Price, volume, welfare and imbalance of each interval, gathered from an engine's outcomes."""

from dataclasses import dataclass, field
from typing import Any

from cloud.market.engine import Engine
from cloud.market.rules import UTILITY
from cloud.market.state import Outcome


@dataclass(slots=True)
class IntervalReport:
    """Rows per interval; the welfare is that of the orders' own limits."""

    _rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    _imbalance: dict[tuple[int, str], int] = field(default_factory=dict)

    def take(self, engine: Engine, outcome: Outcome) -> None:
        """Gather one outcome; the engine that brought it about knows the orders' limits."""
        for view in outcome.broadcasts:
            row = self._row(view.interval_ms)
            row["price"], row["state"] = view.price, view.state.value
        for trade in outcome.trades:
            row = self._row(trade.interval_ms)
            row["volume_wh"] += trade.quantity_wh
            row["trades"] += 1
            row["welfare_uct"] += trade.quantity_wh * (
                self._limit(engine, trade.buy_site, trade.buy_order, trade.price_mct_per_kwh)
                - self._limit(engine, trade.sell_site, trade.sell_order, trade.price_mct_per_kwh)
            )
        for settled in outcome.settlements:
            self._imbalance[settled.interval_ms, settled.site] = settled.imbalance_wh

    def rows(self) -> list[dict[str, Any]]:
        """Return the intervals in which anything traded or settled, the earliest first."""
        for (start_ms, _), imbalance_wh in self._imbalance.items():
            self._row(start_ms)["imbalance_wh"] += imbalance_wh
        self._imbalance.clear()
        return [row for _, row in sorted(self._rows.items()) if row["trades"] or row["imbalance_wh"]]

    def _row(self, start_ms: int) -> dict[str, Any]:
        empty = {"start_ms": start_ms, "state": None, "price": None, "volume_wh": 0, "trades": 0, "welfare_uct": 0}
        return self._rows.setdefault(start_ms, empty | {"imbalance_wh": 0})

    @staticmethod
    def _limit(engine: Engine, site: str, order_id: str, price: int) -> int:
        """Return an order's limit; the utility's is its tariff, which it never gains on."""
        order = None if site == UTILITY else engine.order(site, order_id)
        return price if order is None else order.price
