"""How a site would have done over past days under a policy: each quarter planned from what was known then.

The plan sees the forecast of the running agent, steers and stands back as it does; what happens is what was measured.
Its own accounting, beside the planner's, so that a figure says what a year would have cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from contracts.units import DELIVERY_INTERVAL
from edge.trading.model import SiteForecast
from edge.trading.own_forecast import Place
from edge.trading.plan.horizon import plan_intervals
from edge.trading.plan.linear import linear_plan
from edge.trading.plan.money_record import MoneyRecord
from edge.trading.plan.past_outlook import PastOutlook
from edge.trading.plan.plan import Plan, end_value, make_plan
from edge.trading.plan.problem import Action, Connection, PlanInterval, Problem, Store
from edge.trading.plan.rule import self_consumption
from edge.trading.plan.scenarios import Past, scenarios
from edge.trading.plan.steer import steer
from edge.trading.plan.steered import cost_mct, moved, steered

QUARTERS_PER_DAY = 96
# Day-ahead prices of tomorrow are known from this hour on. Source: publication of the day-ahead auction's results.
_PUBLISHED_HOUR = 13
_PERFECT_S_MAX = 120.0


class Policy(StrEnum):
    """Who decides over the storage."""

    NONE = "none"
    RULE = "rule"
    PLAN = "plan"
    PERFECT = "perfect"


@dataclass(frozen=True, kw_only=True)
class Season:
    """What was measured, by quarter: power in W, generation zero or less, prices in mct per kWh."""

    start: datetime
    load_w: Sequence[float]
    pv_w: Sequence[float]
    buy_mct_per_kwh: Sequence[float]
    sell_mct_per_kwh: Sequence[float]

    def interval(self, index: int) -> PlanInterval:
        """Return one quarter as it happened."""
        return PlanInterval(
            start=self.start + index * DELIVERY_INTERVAL,
            hours=0.25,
            load_wh=self.load_w[index] / 4,
            pv_wh=self.pv_w[index] / 4,
            buy_mct_per_kwh=self.buy_mct_per_kwh[index],
            sell_mct_per_kwh=self.sell_mct_per_kwh[index],
        )


class Outlook(Protocol):
    """What was expected at the beginning of each quarter of a season, by its index."""

    def forecasts(self, index: int) -> tuple[SiteForecast, ...]:
        """Return the forecasts from the quarter on, whose own net power is measured already."""

    def past(self, index: int) -> Past:
        """Return what was metered in the weeks before the quarter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarter:
    """What happened in one quarter, energies in Wh; ``stored_wh`` at its end."""

    start: datetime
    load_wh: float
    pv_wh: float
    battery_wh: float
    curtailed_wh: float
    grid_wh: float
    stored_wh: float
    cost_mct: float
    aim: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The quarters of a policy, and what they come to.

    ``cost_mct`` counts energy, wear, and at the mean price what is stored more at the end than at the beginning.
    """

    policy: Policy
    quarters: tuple[Quarter, ...]
    cost_mct: float
    cycles: float
    self_sufficiency: float
    peak_w: float


def play(
    season: Season,
    *,
    stores: Sequence[Store],
    connection: Connection,
    policy: Policy,
    first: int,
    days: int,
    place: Place | None = None,
    outlook: Outlook | None = None,
) -> Played:
    """Return how a policy does over some days, from the quarter with index ``first`` on.

    Args:
        season: What was measured.
        stores: As they stand at the beginning.
        connection: What it allows.
        policy: Who decides.
        first: Where the days begin.
        days: How many.
        place: Of the site, for the gateway's own forecast; no more than its generator's peak where it is not told.
        outlook: What was expected on those days, in place of that forecast.
    """
    last = first + days * QUARTERS_PER_DAY
    measured = [season.interval(index) for index in range(first, last)]
    mean_mct = sum(each.buy_mct_per_kwh for each in measured) / max(1, len(measured))
    whole = Problem(intervals=measured, stores=stores, connection=connection, end_mct_per_kwh=mean_mct)
    steps: Sequence[Action] = ()
    if policy is Policy.NONE:
        steps = self_consumption(replace(whole, stores=()))
        steps = [replace(step, battery_wh=(0.0,) * len(stores), stored_mct_per_kwh=()) for step in steps]
    elif policy is Policy.RULE:
        steps = self_consumption(whole)
    elif policy is Policy.PERFECT:
        steps = linear_plan(whole, time_limit_s=_PERFECT_S_MAX, tie_break_ct_per_kwh=0.0)
    stored = [store.stored_wh for store in stores]
    outlook = outlook or PastOutlook(
        start=season.start,
        load_w=season.load_w,
        pv_w=season.pv_w,
        place=place or Place(pv_peak_w=-min(season.pv_w, default=0.0)),
    )
    quarters: list[Quarter] = []
    record = MoneyRecord()
    for index in range(first, last):
        present = season.interval(index)
        aim, plan = "", None
        if policy is Policy.PLAN:
            now = [replace(store, stored_wh=wh) for store, wh in zip(stores, stored, strict=True)]
            peak_w = max([connection.peak_w, *(4 * each.grid_wh for each in quarters)])
            trial = record.trial_stores(now)
            plan = _planned(season, index, trial, replace(connection, peak_w=peak_w), outlook)
            way = steer(plan, 0) if plan.problem.intervals and not record.is_back else None
            aim = "" if way is None else way.aim.value
            action = steered(way, present, now, connection)
        else:
            action = steps[index - first]
        quarters.append(_happened(present, action, stores, stored, aim))
        if plan is not None:
            after = [replace(store, stored_wh=wh) for store, wh in zip(stores, stored, strict=True)]
            record.came(plan, present, stores=after)
    return _summed(policy, quarters, stores, mean_mct)


def _planned(
    season: Season,
    index: int,
    stores: Sequence[Store],
    connection: Connection,
    outlook: Outlook,
) -> Plan:
    """Return the plan of the running agent at the beginning of a quarter; the present net power is measured."""
    now = season.start + index * DELIVERY_INTERVAL
    past = outlook.past(index)

    def rates(start: datetime) -> tuple[float, float]:
        known = priced_as(season, index, (start - season.start) // DELIVERY_INTERVAL, past)
        return season.buy_mct_per_kwh[known], season.sell_mct_per_kwh[known]

    intervals = plan_intervals(outlook.forecasts(index), rates=rates, now=now)
    return make_plan(
        Problem(
            intervals=intervals,
            stores=stores,
            connection=connection,
            end_mct_per_kwh=end_value(intervals),
            scenarios=scenarios(intervals, past) if stores else (),
        )
    )


def priced_as(season: Season, now: int, index: int, past: Past) -> int:
    """Return the quarter whose price is planned with: its own where that is published.

    Else the same quarter of the last day of its kind (working day, Saturday, Sunday or holiday) within a week, else of
    the last day: a Saturday is not priced as the Friday before, and the price's forecast of a zone knows that too.
    """
    at = (season.start + now * DELIVERY_INTERVAL).astimezone(past.clock)
    day_began = now - (at.hour * 4 + at.minute // 15)
    published = day_began + QUARTERS_PER_DAY * (2 if at.hour >= _PUBLISHED_HOUR else 1)
    published = min(published, len(season.buy_mct_per_kwh))
    if index < published:
        return index
    days = -(-(index + 1 - published) // QUARTERS_PER_DAY)
    last = index - days * QUARTERS_PER_DAY
    kind = past.kind_of(season.start + index * DELIVERY_INTERVAL)
    week = range(last, max(-1, index - 7 * QUARTERS_PER_DAY - 1), -QUARTERS_PER_DAY)
    alike = (each for each in week if past.kind_of(season.start + each * DELIVERY_INTERVAL) == kind)
    return max(0, next(alike, last))


def _happened(present: PlanInterval, action: Action, stores: Sequence[Store], stored: list[float], aim: str) -> Quarter:
    """Return what came of an action, and change what is stored."""
    cost = cost_mct(present, action, stores)
    for number, (store, moved_wh) in enumerate(zip(stores, action.battery_wh, strict=True)):
        left = moved(replace(store, stored_wh=stored[number]), moved_wh, hours=present.hours)
        stored[number] = left.stored_wh
    return Quarter(
        start=present.start,
        load_wh=present.load_wh,
        pv_wh=present.pv_wh,
        battery_wh=sum(action.battery_wh),
        curtailed_wh=action.curtailed_wh,
        grid_wh=present.net_wh + action.curtailed_wh + sum(action.battery_wh),
        stored_wh=sum(stored),
        cost_mct=cost,
        aim=aim,
    )


def _summed(policy: Policy, quarters: Sequence[Quarter], stores: Sequence[Store], mean_mct: float) -> Played:
    load_wh = sum(each.load_wh for each in quarters)
    bought_wh = sum(max(0.0, each.grid_wh) for each in quarters)
    given_wh = sum(max(0.0, -each.battery_wh) for each in quarters)
    capacity_wh = sum(store.capacity_wh for store in stores)
    cost = sum(each.cost_mct for each in quarters)
    if stores and quarters:
        gained_wh = quarters[-1].stored_wh - sum(store.stored_wh for store in stores)
        cost -= gained_wh * stores[0].discharge_efficiency * mean_mct / 1000
    return Played(
        policy=policy,
        quarters=tuple(quarters),
        cost_mct=cost,
        cycles=given_wh / capacity_wh if capacity_wh else 0.0,
        self_sufficiency=max(0.0, 1.0 - bought_wh / load_wh) if load_wh else 0.0,
        peak_w=max((each.grid_wh * 4 for each in quarters), default=0.0),
    )
