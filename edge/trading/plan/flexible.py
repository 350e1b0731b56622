"""Loads whose energy is needed by a time or within a band: when each shall run, by what energy costs then.

A relaxed plan says how much a load takes in each interval, and any little power is allowed there. A charger below its
least current pauses, a relay is on or off, an appliance runs through once begun: ``runnable`` makes of the relaxed
plan one that the load can follow.
"""

from collections.abc import Sequence

from edge.trading.plan.problem import FlexibleLoad, Need, PlanInterval

_SMALL_WH = 1.0
_QUARTER_H = 0.25


def allowed(need: Need, intervals: Sequence[PlanInterval]) -> range:
    """Return the intervals that lie wholly within the time of a need; the present one counts from now on."""
    inside = [index for index, each in enumerate(intervals) if each.end > need.from_at and each.end <= need.due_at]
    inside = [index for index in inside if intervals[index].start >= need.from_at or index == 0]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def cheapest(load: FlexibleLoad, intervals: Sequence[PlanInterval]) -> tuple[float, ...]:
    """Return when a load runs without a solver: in the cheapest intervals of each need, evenly where a band counts."""
    if load.band is not None:
        return tuple(min(load.band.drain_w, load.rated_w) * each.hours for each in intervals)
    taken = [0.0] * len(intervals)
    prices = [each.sell_mct_per_kwh if each.net_wh < -_SMALL_WH else each.buy_mct_per_kwh for each in intervals]
    for need in load.needs:
        _meet(load, need, intervals, taken, prices)
    return tuple(taken)


def runnable(
    load: FlexibleLoad,
    intervals: Sequence[PlanInterval],
    *,
    wanted_wh: Sequence[float],
    worth_mct_per_kwh: Sequence[float],
) -> tuple[float, ...]:
    """Return the energy of each interval that a load can really take, near to what is wanted.

    Args:
        load: Which.
        intervals: Of the plan.
        wanted_wh: Of the relaxed plan.
        worth_mct_per_kwh: What one more kWh costs in each interval, by that plan.
    """
    taken = [0.0] * len(intervals)
    one_go = [need for need in load.needs if need.in_one_go]
    if one_go:
        for need in one_go:
            _run_through(load, need, intervals, taken, worth_mct_per_kwh)
        for need in load.needs:
            if not need.in_one_go:
                _meet(load, need, intervals, taken, worth_mct_per_kwh)
        return tuple(taken)
    owed_wh = 0.0
    for index, each in enumerate(intervals):
        owed_wh += wanted_wh[index]
        least_wh = _least_wh(load, each)
        if owed_wh > _SMALL_WH and owed_wh >= least_wh / 2 and (wanted_wh[index] > 0 or load.band is not None):
            taken[index] = min(max(owed_wh, least_wh), load.rated_w * each.hours)
            owed_wh -= taken[index]
    for need in load.needs:
        _meet(load, need, intervals, taken, worth_mct_per_kwh)
    return tuple(taken)


def step_wh(load: FlexibleLoad) -> float:
    """Return the least energy of a quarter of an hour in which a load runs."""
    return load.least_w * _QUARTER_H


def _least_wh(load: FlexibleLoad, interval: PlanInterval) -> float:
    """Return the least that a load takes in an interval if it runs; of an hour, it may run a quarter."""
    return load.least_w * min(interval.hours, _QUARTER_H)


def _meet(
    load: FlexibleLoad, need: Need, intervals: Sequence[PlanInterval], taken: list[float], prices: Sequence[float]
) -> None:
    """Add what is missing of a need, in its cheapest intervals."""
    if need.in_one_go:
        _run_through(load, need, intervals, taken, prices)
        return
    inside = allowed(need, intervals)
    missing_wh = need.energy_wh - sum(taken[index] for index in inside)
    for index in sorted(inside, key=lambda index: (prices[index], index)):
        if missing_wh <= _SMALL_WH:
            return
        least_wh, most_wh = _least_wh(load, intervals[index]), load.rated_w * intervals[index].hours
        if taken[index] == 0.0 and missing_wh < least_wh:
            added_wh = least_wh
        else:
            added_wh = min(missing_wh, most_wh - taken[index])
        taken[index] += added_wh
        missing_wh -= added_wh


def _run_through(
    load: FlexibleLoad, need: Need, intervals: Sequence[PlanInterval], taken: list[float], prices: Sequence[float]
) -> None:
    """Place one run at full power where it costs least; one that has begun goes on at once."""
    inside = allowed(need, intervals)
    if need.energy_wh <= _SMALL_WH or not inside:
        return
    runs = [_run(load, need, intervals, begin, inside.stop) for begin in inside]
    whole = [run for run in runs if sum(run.values()) >= need.energy_wh - _SMALL_WH] or runs[:1]
    best = whole[0] if need.begun else min(whole, key=lambda run: sum(prices[t] * wh for t, wh in run.items()))
    for index, energy_wh in best.items():
        taken[index] = energy_wh


def _run(load: FlexibleLoad, need: Need, intervals: Sequence[PlanInterval], begin: int, end: int) -> dict[int, float]:
    left_wh, run = need.energy_wh, {}
    for index in range(begin, end):
        if left_wh <= _SMALL_WH:
            break
        run[index] = min(left_wh, load.rated_w * intervals[index].hours)
        left_wh -= run[index]
    return run
