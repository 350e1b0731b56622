"""The site's money record over restarts: whether its plan earns more than plain self-consumption would."""

import logging
from collections.abc import Sequence
from datetime import datetime

from contracts.units import DELIVERY_INTERVAL_S
from edge.outbox.outbox import Outbox
from edge.trading.model import IntervalEnergy
from edge.trading.plan.money_record import Day, MoneyRecord
from edge.trading.plan.plan import Plan
from edge.trading.plan.problem import PlanInterval, Store

log = logging.getLogger(__name__)

_KEY = "trading.money"


class MoneyBook:
    """Keeps the days of a money record with what the gateway remembers."""

    def __init__(self, outbox: Outbox) -> None:
        """Go on from the days that are remembered."""
        self._outbox = outbox
        kept = outbox.recall(_KEY) or {"days": [], "is_back": False}
        days = [Day(planned_mct=float(planned), ruled_mct=float(ruled)) for planned, ruled in kept["days"]]
        self.record = MoneyRecord(days, is_back=bool(kept["is_back"]))

    def closed(self, plan: Plan | None, start: datetime, energy: IntervalEnergy, *, stores: Sequence[Store]) -> None:
        """Take a past quarter.

        Args:
            plan: That was issued last for it.
            start: Of the quarter.
            energy: What came, planned loads included.
            stores: The batteries as they are at its end; none where one of them is not read.
        """
        was_back = self.record.is_back
        quarter = PlanInterval(
            start=start,
            hours=DELIVERY_INTERVAL_S / 3600,
            load_wh=energy.load_wh,
            pv_wh=energy.pv_wh,
            buy_mct_per_kwh=0.0,
            sell_mct_per_kwh=0.0,
        )
        if not self.record.came(plan, quarter, stores=stores):
            return
        days = [[day.planned_mct, day.ruled_mct] for day in self.record.days]
        self._outbox.remember(_KEY, {"days": days, "is_back": self.record.is_back}, durable=False)
        if self.record.is_back is not was_back:
            log.info(
                "the plan stands back" if self.record.is_back else "the plan is followed again",
                extra={"loss_mct_per_day": round(self.record.loss_mct), "days": len(self.record.days)},
            )
