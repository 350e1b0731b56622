"""What a plan does to the site, worked out without the planner: every plan passes here before it is used.

It shares the question (``Problem``) with the planners and no arithmetic, so that a wrong model is found by it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge.trading.plan.problem import PENALTY_MCT, Action, FlexibleLoad, PlanInterval, Problem, Soft, Store, Violation

# Solvers leave this much behind; a plan is not refused for it.
TOLERANCE_WH = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a plan.

    Args:
        cost_mct: Energy, wear and peak, less what the storage is worth more at the end than at the beginning.
        grid_wh: Of each interval at the connection point, import positive.
        stored_wh: At the end of each interval, of each store.
        violations: Limits passed.
        impossible: What no device could do, in words; such a plan must not be used.
    """

    cost_mct: float
    grid_wh: tuple[float, ...]
    stored_wh: tuple[tuple[float, ...], ...]
    violations: tuple[Violation, ...]
    impossible: tuple[str, ...]

    @property
    def score_mct(self) -> float:
        """Return the cost with what the passed limits count."""
        return self.cost_mct + sum(PENALTY_MCT[each.limit] * each.amount / 1000 for each in self.violations)


def simulate(problem: Problem, actions: Sequence[Action]) -> Outcome:
    """Return what the actions cost and whether the devices can do them."""
    stored = [store.stored_wh for store in problem.stores]
    power = [store.power_w for store in problem.stores]
    cost, peak_w = 0.0, problem.connection.peak_w
    grid, states, violations, impossible = [], [], [], []
    if len(actions) != len(problem.intervals):
        impossible.append(f"the plan has {len(actions)} intervals, {len(problem.intervals)} were asked for")
    for interval, action in zip(problem.intervals, actions, strict=False):
        impossible += _at(interval, _impossible(problem, interval, action))
        for index, store in enumerate(problem.stores):
            moved_wh = action.battery_wh[index]
            impossible += _at(interval, _beyond_window(store, interval, stored[index], moved_wh))
            stored[index] = _after(store, stored[index], moved_wh, interval.hours)
            cost += max(0.0, -moved_wh) * store.wear_mct_per_kwh / 1000
            violations += _store_violations(store, interval, stored[index])
            if store.ramp_w_max is not None:
                beyond_w = abs(moved_wh / interval.hours - power[index]) - store.ramp_w_max
                violations += _violation(Soft.RAMP, interval, beyond_w, store.id)
            power[index] = moved_wh / interval.hours
        drawn_wh = sum(action.battery_wh) + sum(action.load_wh)
        grid_wh = interval.load_wh + interval.pv_wh + action.curtailed_wh + drawn_wh
        cost += grid_wh * (interval.buy_mct_per_kwh if grid_wh > 0 else interval.sell_mct_per_kwh) / 1000
        peak_w = max(peak_w, interval.peak_weight * grid_wh / interval.hours)
        violations += _violation(Soft.IMPORT, interval, grid_wh - problem.connection.import_wh_max(interval))
        violations += _violation(Soft.EXPORT, interval, -grid_wh - problem.connection.export_wh_max(interval))
        grid.append(grid_wh)
        states.append(tuple(stored))
    for number, load in enumerate(problem.loads):
        taken_wh = [action.load_wh[number] for action in actions]
        violations += _load_violations(load, problem.intervals, taken_wh)
        if load.band is not None:
            cost -= sum(taken_wh) * problem.end_mct_per_kwh / 1000
    cost += (peak_w - problem.connection.peak_w) * problem.connection.peak_mct_per_kw / 1000
    for store, left_wh in zip(problem.stores, stored, strict=True):
        cost -= (left_wh - store.stored_wh) * store.discharge_efficiency * problem.end_mct_per_kwh / 1000
    return Outcome(
        cost_mct=cost,
        grid_wh=tuple(grid),
        stored_wh=tuple(states),
        violations=tuple(violations),
        impossible=tuple(impossible),
    )


def _at(interval: PlanInterval, sentences: list[str]) -> list[str]:
    return [f"{interval.start:%d %b %H:%M}: {sentence}" for sentence in sentences]


def _after(store: Store, stored_wh: float, moved_wh: float, hours: float) -> float:
    if moved_wh > 0:
        stored_wh += moved_wh * store.charge_efficiency
    else:
        stored_wh += moved_wh / store.discharge_efficiency
    return stored_wh - store.standby_w * hours


def _beyond_window(store: Store, interval: PlanInterval, stored_wh: float, moved_wh: float) -> list[str]:
    """Return what the battery's own management would refuse: moving on at an end of the window."""
    if moved_wh < 0 and stored_wh + moved_wh / store.discharge_efficiency < store.stored_wh_min - TOLERANCE_WH:
        if moved_wh < -TOLERANCE_WH:
            return [f"{store.id} would discharge {-moved_wh:.0f} Wh, to below its window"]
    elif moved_wh > TOLERANCE_WH:
        drained_wh = store.standby_w * interval.hours
        if stored_wh + moved_wh * store.charge_efficiency - drained_wh > store.stored_wh_max + TOLERANCE_WH:
            return [f"{store.id} would charge {moved_wh:.0f} Wh, to above its window"]
    return []


def _impossible(problem: Problem, interval: PlanInterval, action: Action) -> list[str]:
    """Return what no device can do and no rule allows."""
    found = []
    values = (*action.battery_wh, action.curtailed_wh, *action.load_wh)
    if not all(math.isfinite(value) for value in values):
        return ["a planned energy is no number"]
    for load, taken_wh in zip(problem.loads, action.load_wh, strict=True):
        if not -TOLERANCE_WH <= taken_wh <= load.rated_w * interval.hours + TOLERANCE_WH:
            found.append(f"{load.id} would take {taken_wh:.0f} Wh, beyond its {load.rated_w:.0f} W")
    for store, moved_wh in zip(problem.stores, action.battery_wh, strict=True):
        if moved_wh > store.charge_w_max * interval.hours + TOLERANCE_WH:
            found.append(f"{store.id} would charge {moved_wh:.0f} Wh, above {store.charge_w_max:.0f} W")
        if moved_wh < -store.discharge_w_max * interval.hours - TOLERANCE_WH:
            found.append(f"{store.id} would discharge {-moved_wh:.0f} Wh, above {store.discharge_w_max:.0f} W")
    connection = problem.connection
    curtailable_wh = -interval.pv_wh if connection.curtailable else 0.0
    if not -TOLERANCE_WH <= action.curtailed_wh <= curtailable_wh + TOLERANCE_WH:
        found.append(f"{action.curtailed_wh:.0f} Wh curtailed of {curtailable_wh:.0f} Wh that can be")
    own_wh = interval.load_wh + sum(action.load_wh) + interval.pv_wh + action.curtailed_wh
    moved_wh = sum(action.battery_wh)
    if not connection.grid_charging and moved_wh > max(0.0, -own_wh) + TOLERANCE_WH:
        found.append(f"{moved_wh:.0f} Wh charged, above the surplus, where charging from the grid is forbidden")
    if not connection.grid_discharging and -moved_wh > max(0.0, own_wh) + TOLERANCE_WH:
        found.append(f"{-moved_wh:.0f} Wh discharged, above the need, where giving it to the grid is forbidden")
    return found


def _store_violations(store: Store, interval: PlanInterval, stored_wh: float) -> list[Violation]:
    beyond_wh = max(store.stored_wh_min - stored_wh, stored_wh - store.stored_wh_max)
    found = _violation(Soft.WINDOW, interval, beyond_wh, store.id)
    if store.reserve_wh > store.stored_wh_min:
        found += _violation(Soft.RESERVE, interval, store.reserve_wh - stored_wh, store.id)
    if store.target_at is not None and interval.start < store.target_at <= interval.end:
        found += _violation(Soft.TARGET, interval, store.target_wh - stored_wh, store.id)
    return found


def _load_violations(
    load: FlexibleLoad, intervals: Sequence[PlanInterval], taken_wh: Sequence[float]
) -> list[Violation]:
    """Return what a load lacks at the time of each need, and how far it leaves its band."""
    found = []
    for need in load.needs:
        inside = [
            index
            for index, each in enumerate(intervals)
            if each.end > need.from_at and each.end <= need.due_at and (index == 0 or each.start >= need.from_at)
        ]
        if inside:
            missing_wh = need.energy_wh - sum(taken_wh[index] for index in inside)
            found += _violation(Soft.NEED, intervals[inside[-1]], missing_wh, load.id)
    if load.band is not None:
        ahead_wh = load.band.ahead_wh
        for interval, energy_wh in zip(intervals, taken_wh, strict=True):
            ahead_wh += energy_wh - load.band.drain_w * interval.hours
            found += _violation(Soft.COMFORT, interval, abs(ahead_wh) - load.band.reach_wh, load.id)
    return found


def _violation(limit: Soft, interval: PlanInterval, amount: float, device: str | None = None) -> list[Violation]:
    if amount <= TOLERANCE_WH:
        return []
    return [Violation(limit=limit, start=interval.start, amount=amount, device=device)]
