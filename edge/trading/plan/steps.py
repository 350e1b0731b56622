"""The plan as the orders and the site's announcements take it: all batteries as one, by delivery interval."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from edge.trading.model import Battery, PlanStep, SiteForecast
from edge.trading.plan.plan import Plan
from edge.trading.plan.problem import Action, Method, Store

_QUARTER = timedelta(minutes=15)


def battery_steps(plan: Plan, *, after: datetime) -> tuple[PlanStep, ...]:
    """Return what the batteries together do in each quarter that begins after an instant, and what energy is worth.

    Stored energy of a plan without a solver is worth what it is worth at the plan's end. Hours far ahead have no
    orders yet and are left out.
    """
    stores = plan.problem.stores
    if not stores:
        return ()
    steps = []
    for interval, action, stored in zip(plan.problem.intervals, plan.actions, plan.outcome.stored_wh, strict=True):
        if interval.start <= after or interval.end - interval.start != _QUARTER:
            continue
        worths = [_worth(plan, action, index, store) for index, store in enumerate(stores)]
        steps.append(
            PlanStep(
                start=interval.start,
                battery_wh=round(sum(action.battery_wh)),
                stored_wh=sum(stored),
                buy_mct_per_kwh=round(
                    max(worth * store.charge_efficiency for worth, store in zip(worths, stores, strict=True))
                ),
                sell_mct_per_kwh=round(
                    min(
                        worth / store.discharge_efficiency + store.wear_mct_per_kwh
                        for worth, store in zip(worths, stores, strict=True)
                    )
                ),
            )
        )
    return tuple(steps)


def with_loads(forecasts: Sequence[SiteForecast], plan: Plan | None) -> tuple[SiteForecast, ...]:
    """Return forecasts with what the plan has its loads take, so that orders buy it."""
    if plan is None or not plan.problem.loads:
        return tuple(forecasts)
    taken_wh = {
        interval.start: sum(action.load_wh)
        for interval, action in zip(plan.problem.intervals, plan.actions, strict=True)
        if interval.end - interval.start == _QUARTER
    }
    return tuple(replace(each, load_wh=each.load_wh + round(taken_wh.get(each.start, 0.0))) for each in forecasts)


def _worth(plan: Plan, action: Action, index: int, store: Store) -> float:
    if plan.method is Method.RULE:
        return plan.problem.end_mct_per_kwh * store.discharge_efficiency
    return action.stored_mct_per_kwh[index]


def later_batteries(batteries: Sequence[Battery] | None, plan: Plan, *, before: datetime) -> tuple[Battery, ...] | None:
    """Return the batteries as the plan leaves them when an interval begins, unchanged where they are not planned."""
    if batteries is None:
        return None
    index = next(
        (index for index, interval in enumerate(plan.problem.intervals) if interval.end == before),
        None,
    )
    if index is None or len(plan.problem.stores) != len(batteries):
        return tuple(batteries)
    stored = plan.outcome.stored_wh[index]
    return tuple(
        replace(battery, soc_percent=100 * stored_wh / battery.capacity_wh)
        for battery, stored_wh in zip(batteries, stored, strict=True)
    )
