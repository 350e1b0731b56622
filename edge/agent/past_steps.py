"""What came of the plan in the last hours, step by step beside what is still to come."""

from collections import deque
from datetime import datetime, timedelta
from typing import Any

from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S
from edge.trading.plan.plan import Plan
from edge.trading.plan.steer import steer

KEPT = timedelta(hours=4)
_PER_H = 3600 / DELIVERY_INTERVAL_S


class PastSteps:
    """The quarters that are over, as ``told`` has those to come; a restart begins without any."""

    def __init__(self) -> None:
        """Begin without any."""
        self._steps: deque[tuple[datetime, dict[str, Any]]] = deque(maxlen=KEPT // DELIVERY_INTERVAL)

    def closed(
        self,
        plan: Plan | None,
        start: datetime,
        *,
        load_wh: float,
        pv_wh: float,
        battery_wh: float,
        grid_wh: float,
        stored_wh: float,
    ) -> None:
        """Take a quarter as it was metered, and the aim that the plan in force had for it; energies as in a plan."""
        end = start + DELIVERY_INTERVAL
        intervals = () if plan is None else plan.problem.intervals
        index = next((index for index, each in enumerate(intervals) if each.end == end), None)
        step: dict[str, Any] = {
            "start": start.isoformat(),
            "minutes": DELIVERY_INTERVAL_S // 60,
            "load_w": round(load_wh * _PER_H),
            "pv_w": round(pv_wh * _PER_H),
            "battery_w": round(battery_wh * _PER_H),
            "grid_w": round(grid_wh * _PER_H),
            "stored_wh": round(stored_wh),
            "buy_mct_per_kwh": None,
            "aim": "",
            "why": "no plan was in force",
        }
        if plan is not None and index is not None:
            aim = steer(plan, index)
            price = round(plan.problem.intervals[index].buy_mct_per_kwh)
            step |= {"buy_mct_per_kwh": price, "aim": aim.aim.value, "why": aim.words}
        self._steps.append((start, step))

    def told(self, *, now: datetime) -> list[dict[str, Any]]:
        """Return the steps of the last hours, the oldest first."""
        return [step for start, step in self._steps if start >= now - KEPT - DELIVERY_INTERVAL]
