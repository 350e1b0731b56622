"""What following the plan would have cost beside plain self-consumption, both played on what came.

A plan is as good as its forecast, and a forecast can be wrong for weeks on one site. Each past quarter is played twice:
as the plan that was issued for it had asked, and as the rule does it. A day's difference is money, and a plan that
keeps losing stands back until it would have won again. Meanwhile it is still made, for the storage as it would have
left it, so that it can win.

Each way goes on from day to day with the storage as that way left it. Were both begun anew each night, the evening's
storage would count at a guessed price on every day; so the guess counts once, and what the energy really saved the next
morning counts where it belongs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from edge.trading.plan.plan import Plan
from edge.trading.plan.problem import Connection, PlanInterval, Store
from edge.trading.plan.steer import Steer, steer
from edge.trading.plan.steered import cost_mct, moved, steered

QUARTERS_PER_DAY = 96
DAYS_TO_JUDGE = 3
DAYS_KEPT = 28
_HALF_LIFE_DAYS = 5.0
# A loss is one only above this share of what the day cost by the rule, and above this sum.
_MARGIN_SHARE = 0.01
_MARGIN_MCT = 1_000.0
# Days differ: a mean loss below so many of its own standard errors may be chance.
_ERRORS_MIN = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day cost each way, in mct; what is stored more at its end counts at the day's mean price."""

    planned_mct: float
    ruled_mct: float


@dataclass(slots=True)
class _Way:
    """The storage as one way would have left it, and what that cost since the day began."""

    stores: tuple[Store, ...]
    cost_mct: float = 0.0
    at_first: tuple[Store, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.at_first = self.stores

    def play(self, way: Steer | None, came: PlanInterval, connection: Connection) -> None:
        action = steered(way, came, self.stores, connection)
        self.cost_mct += cost_mct(came, action, self.stores)
        self.stores = tuple(
            moved(store, moved_wh, hours=came.hours)
            for store, moved_wh in zip(self.stores, action.battery_wh, strict=True)
        )

    def day_mct(self, mean_mct_per_kwh: float) -> float:
        gained_wh = sum(
            (store.stored_wh - first.stored_wh) * store.discharge_efficiency
            for store, first in zip(self.stores, self.at_first, strict=True)
        )
        return self.cost_mct - gained_wh * mean_mct_per_kwh / 1000


class MoneyRecord:
    """One site's days by its plan and by the rule."""

    def __init__(self, days: Sequence[Day] = (), *, is_back: bool = False) -> None:
        """Go on from the days of an earlier process, the newest last."""
        self.days = tuple(days)
        self.is_back = is_back
        self._planned: _Way | None = None
        self._ruled: _Way | None = None
        self._next: datetime | None = None
        self._prices: list[float] = []

    def came(self, plan: Plan | None, quarter: PlanInterval, *, stores: Sequence[Store]) -> bool:
        """Play a past quarter both ways; return whether it ended a judged day.

        Args:
            plan: That was issued last for it, whether it was followed or not.
            quarter: As it was metered. Its prices are those that the plan reckoned with.
            stores: The batteries as they really are at its end: where the way that is followed begins the next day.
        """
        index = None if plan is None else _index(plan, quarter)
        if plan is None or index is None or not _judged(plan, stores):
            self._begin((), None)
            return False
        if self._planned is None or self._ruled is None or self._next != quarter.start:
            self._begin(stores, quarter.end)
            return False
        interval = plan.problem.intervals[index]
        quarter = replace(quarter, buy_mct_per_kwh=interval.buy_mct_per_kwh, sell_mct_per_kwh=interval.sell_mct_per_kwh)
        connection = plan.problem.connection
        self._planned.play(steer(plan, index), quarter, connection)
        self._ruled.play(None, quarter, connection)
        self._prices.append(quarter.buy_mct_per_kwh)
        self._next = quarter.end
        if len(self._prices) < QUARTERS_PER_DAY:
            return False
        mean = sum(self._prices) / len(self._prices)
        day = Day(
            planned_mct=self._planned.day_mct(mean),
            ruled_mct=self._ruled.day_mct(mean),
        )
        self.days = (*self.days, day)[-DAYS_KEPT:]
        # The way that was followed goes on from the real batteries, the other from its own.
        planned = self._planned.stores if self.is_back else stores
        ruled = stores if self.is_back else self._ruled.stores
        self.is_back = self._decided()
        self._planned, self._ruled, self._prices = _Way(tuple(planned)), _Way(tuple(ruled)), []
        return True

    @property
    def loss_mct(self) -> float:
        """Return what the plan cost more than the rule, a day, the newer days the heavier; negative is a gain."""
        return self._mean([day.planned_mct - day.ruled_mct for day in self.days])

    @property
    def why_back(self) -> str:
        """Return why the plan stands back, in words; empty while it does not."""
        if not self.is_back:
            return ""
        return (
            f"the plan stands back: played on the last {len(self.days)} days it cost {self.loss_mct / 1000:.0f} ct a"
            " day more than self-consumption"
        )

    def trial_stores(self, stores: Sequence[Store]) -> Sequence[Store]:
        """Return the storage to plan for: the real one, or as the plan would have left it while it stands back."""
        if not self.is_back or self._planned is None or len(self._planned.stores) != len(stores):
            return stores
        return [
            replace(store, stored_wh=trial.stored_wh) for store, trial in zip(stores, self._planned.stores, strict=True)
        ]

    def _begin(self, stores: Sequence[Store], start: datetime | None) -> None:
        self._planned = _Way(tuple(stores)) if stores else None
        self._ruled = _Way(tuple(stores)) if stores else None
        self._next, self._prices = start, []

    def _decided(self) -> bool:
        if len(self.days) < DAYS_TO_JUDGE:
            return False
        if self.is_back:
            return self.loss_mct > 0
        margin = max(_MARGIN_MCT, _MARGIN_SHARE * abs(self._mean([day.ruled_mct for day in self.days])))
        return self.loss_mct > max(margin, _ERRORS_MIN * self._error_mct())

    def _error_mct(self) -> float:
        """Return the standard error of the mean loss, of as many days as their weights leave."""
        losses = [day.planned_mct - day.ruled_mct for day in self.days]
        weights = _weights(len(losses))
        effective = sum(weights) ** 2 / sum(weight * weight for weight in weights)
        spread = self._mean([(loss - self.loss_mct) ** 2 for loss in losses])
        return math.sqrt(spread / max(1e-9, effective - 1))

    def _mean(self, values: Sequence[float]) -> float:
        weights = _weights(len(values))
        return sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights) if values else 0.0


def _weights(count: int) -> list[float]:
    """Return what each day counts, the newest last and the heaviest."""
    return [0.5 ** (age / _HALF_LIFE_DAYS) for age in range(count)][::-1]


def _index(plan: Plan, quarter: PlanInterval) -> int | None:
    """Return the interval of a plan that ends with a quarter: all of it, or what was left of it when planned."""
    return next(
        (index for index, each in enumerate(plan.problem.intervals) if each.end == quarter.end),
        None,
    )


def _judged(plan: Plan, stores: Sequence[Store]) -> bool:
    """Return whether a day's energy tells what a plan is worth: not where it serves a peak, a target or a reserve."""
    problem = plan.problem
    if not stores or len(problem.stores) != len(stores) or problem.connection.peak_mct_per_kw > 0:
        return False
    return not any(store.target_at is not None or store.reserve_wh > 0 for store in problem.stores)
