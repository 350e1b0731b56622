"""The plan as a linear programme, solved by HiGHS; energy inside in kWh, money in ct.

Two things are not linear: one meter does not take and give at once, and one battery does not charge and discharge at
once. Prices and losses usually make both pointless. Only where they would pay (a kWh bought is cheaper than one sold,
or must be got rid of) a yes-or-no variable forbids them, so that almost every plan stays without one. Nor does a load
run at any little power: a first programme lets it, then its real steps are chosen near to that, and storage is planned
around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.trading.plan.flexible import allowed, runnable, step_wh
from edge.trading.plan.problem import PENALTY_MCT, Action, Band, FlexibleLoad, PlanInterval, Problem, Soft, Store
from edge.trading.plan.programme import Programme, SolverMissing

# Moving early is preferred by this much over the whole horizon, in ct per kWh: without it, a plan on a wrong forecast
# waits for a surplus or a price that does not come. Source: the project's measurements, 0.01 to 0.02 EUR per kWh.
TIE_BREAK_CT_PER_KWH = 1.5
# A battery that would move both ways at once is told not to in those intervals, at last in all, and the programme is
# solved again.
ROUNDS = 3
_LEAST_KWH = 1e-4
_CT = 1 / 1000
_KWH = 1 / 1000


@dataclass(frozen=True, kw_only=True)
class _StoreColumns:
    charge: list[int]
    discharge: list[int]
    balance_rows: list[int]


def linear_plan(
    problem: Problem, *, time_limit_s: float = 2.0, tie_break_ct_per_kwh: float = TIE_BREAK_CT_PER_KWH
) -> tuple[Action, ...]:
    """Return the cheapest actions.

    Args:
        problem: What to plan.
        time_limit_s: Of the solver, for each of at most ``ROUNDS``.
        tie_break_ct_per_kwh: How much moving early is preferred; none where the future is known.

    Raises:
        SolverMissing: On a board without HiGHS.
        SolverFailed: No plan in time.
    """
    relaxed, worth = _solved(problem, time_limit_s=time_limit_s, tie_break_ct_per_kwh=tie_break_ct_per_kwh)
    if not problem.loads:
        return relaxed
    taken = [
        runnable(
            load,
            problem.intervals,
            wanted_wh=[action.load_wh[number] for action in relaxed],
            worth_mct_per_kwh=worth,
        )
        for number, load in enumerate(problem.loads)
    ]
    by_interval = tuple(zip(*taken, strict=True))
    fixed = replace(
        problem,
        loads=(),
        intervals=[
            replace(interval, load_wh=interval.load_wh + sum(energies))
            for interval, energies in zip(problem.intervals, by_interval, strict=True)
        ],
    )
    actions, _ = _solved(fixed, time_limit_s=time_limit_s, tie_break_ct_per_kwh=tie_break_ct_per_kwh)
    return tuple(replace(action, load_wh=energies) for action, energies in zip(actions, by_interval, strict=True))


def _solved(
    problem: Problem, *, time_limit_s: float, tie_break_ct_per_kwh: float
) -> tuple[tuple[Action, ...], list[float]]:
    """Return the cheapest actions, and what one more kWh of load costs in each interval, in mct."""
    try:
        from edge.trading.plan.highs import solve
    except ImportError as missing:
        raise SolverMissing("highspy is not installed") from missing
    one_way = {
        (index, t)
        for t, interval in enumerate(problem.intervals)
        if interval.buy_mct_per_kwh < 0 or interval.sell_mct_per_kwh < 0
        for index in range(len(problem.stores))
    }
    for attempt in range(ROUNDS):
        programme = Programme()
        stores = [
            _store(programme, problem, index, one_way, tie_break_ct_per_kwh) for index in range(len(problem.stores))
        ]
        loads = [_load(programme, problem, load, tie_break_ct_per_kwh) for load in problem.loads]
        curtailed, balance_rows = _connection(programme, problem, stores, loads)
        values, duals = solve(programme, time_limit_s=time_limit_s)
        both_ways = {
            (index, t)
            for index, each in enumerate(stores)
            for t in range(len(problem.intervals))
            if min(values[each.charge[t]], values[each.discharge[t]]) > _LEAST_KWH
        }
        if not both_ways:
            break
        one_way |= both_ways
        if attempt == ROUNDS - 2:
            one_way = {(index, t) for index in range(len(stores)) for t in range(len(problem.intervals))}
    actions = tuple(
        Action(
            battery_wh=tuple((values[each.charge[t]] - values[each.discharge[t]]) / _KWH for each in stores),
            curtailed_wh=values[curtailed[t]] / _KWH,
            # A row's dual is what the cost rises by with one more kWh in the balance, so its sign turns.
            stored_mct_per_kwh=tuple(max(0.0, -duals[each.balance_rows[t]]) / _CT for each in stores),
            load_wh=tuple(values[each[t]] / _KWH for each in loads),
        )
        for t in range(len(problem.intervals))
    )
    return actions, [duals[row] / _CT for row in balance_rows]


def _store(
    programme: Programme, problem: Problem, index: int, one_way: set[tuple[int, int]], tie_break_ct_per_kwh: float
) -> _StoreColumns:
    """Add one battery: what it charges, discharges and holds in each interval."""
    store = problem.stores[index]
    count = len(problem.intervals)
    charge, discharge, rows = [], [], []
    before = short = None
    for t, interval in enumerate(problem.intervals):
        tie = tie_break_ct_per_kwh * t / count
        charge_max = store.charge_w_max * interval.hours * _KWH
        discharge_max = store.discharge_w_max * interval.hours * _KWH
        taken = programme.column(upper=charge_max, cost=tie)
        given = programme.column(upper=discharge_max, cost=tie + store.wear_mct_per_kwh * _CT)
        if (index, t) in one_way:
            programme.either(taken, given, one_max=charge_max, other_max=discharge_max)
        last = t == count - 1
        worth = problem.end_mct_per_kwh * _CT * store.discharge_efficiency if last else 0.0
        held = programme.column(lower=-float("inf"), cost=-worth)
        drained = store.standby_w * interval.hours * _KWH
        terms = [(held, 1.0), (taken, -store.charge_efficiency), (given, 1 / store.discharge_efficiency)]
        start = store.stored_wh * _KWH if before is None else 0.0
        if before is not None:
            terms.append((before, -1.0))
        rows.append(programme.row(terms, lower=start - drained, upper=start - drained))
        _above_window(programme, store, given, before, short)
        short = _window(programme, store, interval, held)
        charge.append(taken)
        discharge.append(given)
        before = held
    _ramp(programme, problem, store, charge, discharge)
    return _StoreColumns(charge=charge, discharge=discharge, balance_rows=rows)


def _above_window(programme: Programme, store: Store, given: int, before: int | None, short: int | None) -> None:
    """Let nothing be given of what is stored below the window, which only a late start or standing by leaves there."""
    if store.stored_wh >= store.stored_wh_min and store.standby_w == 0:
        return
    taken_out = (given, -1 / store.discharge_efficiency)
    if before is None or short is None:
        available = max(0.0, store.stored_wh - store.stored_wh_min) * _KWH
        programme.row([taken_out], lower=-available)
    else:
        programme.row([(before, 1.0), (short, 1.0), taken_out], lower=store.stored_wh_min * _KWH)


def _window(programme: Programme, store: Store, interval: PlanInterval, held: int) -> int:
    """Bound what is held; return the column of what lies beyond the window."""
    beyond = _slack(programme, Soft.WINDOW)
    programme.row([(held, 1.0), (beyond, 1.0)], lower=store.stored_wh_min * _KWH)
    programme.row([(held, 1.0), (beyond, -1.0)], upper=store.stored_wh_max * _KWH)
    if store.reserve_wh > store.stored_wh_min:
        programme.row([(held, 1.0), (_slack(programme, Soft.RESERVE), 1.0)], lower=store.reserve_wh * _KWH)
    if store.target_at is not None and interval.start < store.target_at <= interval.end:
        programme.row([(held, 1.0), (_slack(programme, Soft.TARGET), 1.0)], lower=store.target_wh * _KWH)
    return beyond


def _ramp(programme: Programme, problem: Problem, store: Store, charge: list[int], discharge: list[int]) -> None:
    if store.ramp_w_max is None:
        return
    ramp_kw = store.ramp_w_max * _KWH
    for t, interval in enumerate(problem.intervals):
        terms = [(charge[t], 1 / interval.hours), (discharge[t], -1 / interval.hours)]
        start_kw = store.power_w * _KWH if t == 0 else 0.0
        if t > 0:
            hours = problem.intervals[t - 1].hours
            terms += [(charge[t - 1], -1 / hours), (discharge[t - 1], 1 / hours)]
        beyond = _slack(programme, Soft.RAMP)
        programme.row([*terms, (beyond, 1.0)], lower=start_kw - ramp_kw)
        programme.row([*terms, (beyond, -1.0)], upper=start_kw + ramp_kw)


def _load(programme: Programme, problem: Problem, load: FlexibleLoad, tie_break_ct_per_kwh: float) -> Sequence[int]:
    """Add one flexible load: what it takes in each interval, any power up to its rating allowed."""
    count = len(problem.intervals)
    spans = [(allowed(need, problem.intervals), need) for need in load.needs]
    taken = []
    for t, interval in enumerate(problem.intervals):
        runs = load.band is not None or any(t in span for span, _ in spans)
        most = load.rated_w * interval.hours * _KWH if runs else 0.0
        taken.append(programme.column(upper=most, cost=tie_break_ct_per_kwh * t / count))
    for span, need in spans:
        terms = [(taken[t], 1.0) for t in span]
        wanted = need.energy_wh * _KWH
        programme.row([*terms, (_slack(programme, Soft.NEED), 1.0)], lower=wanted)
        programme.row(terms, upper=wanted)
    if load.band is not None:
        _band(programme, problem, load, load.band, taken)
    return taken


def _band(programme: Programme, problem: Problem, load: FlexibleLoad, band: Band, taken: Sequence[int]) -> None:
    """Keep a load within its band; a step that it can only take whole needs room on either side."""
    reach = max(0.0, band.reach_wh - step_wh(load) / 2) * _KWH
    before = None
    for t, interval in enumerate(problem.intervals):
        last = t == len(problem.intervals) - 1
        # What it is ahead at the end need not be bought then.
        worth = problem.end_mct_per_kwh * _CT if last else 0.0
        ahead = programme.column(lower=-float("inf"), cost=-worth)
        terms = [(ahead, 1.0), (taken[t], -1.0)]
        start = band.ahead_wh * _KWH if before is None else 0.0
        if before is not None:
            terms.append((before, -1.0))
        level = start - band.drain_w * interval.hours * _KWH
        programme.row(terms, lower=level, upper=level)
        beyond = _slack(programme, Soft.COMFORT)
        programme.row([(ahead, 1.0), (beyond, 1.0)], lower=-reach)
        programme.row([(ahead, 1.0), (beyond, -1.0)], upper=reach)
        before = ahead


def _connection(
    programme: Programme, problem: Problem, stores: list[_StoreColumns], loads: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]]:
    """Add the connection point in each interval; return the columns of curtailed generation, and the balance's rows."""
    connection = problem.connection
    paid_kw = connection.peak_w * _KWH
    peak = programme.column(lower=paid_kw, cost=connection.peak_mct_per_kw * _CT)
    curtailed, rows = [], []
    for t, interval in enumerate(problem.intervals):
        import_max = connection.import_wh_max(interval) * _KWH
        export_max = connection.export_wh_max(interval) * _KWH
        buy, sell = interval.buy_mct_per_kwh * _CT, interval.sell_mct_per_kwh * _CT
        pv = -interval.pv_wh * _KWH if connection.curtailable else 0.0
        # The least preference against curtailing, so that it is never planned for nothing.
        unused = programme.column(upper=pv, cost=1e-4)
        taken = programme.column(cost=buy)
        given = programme.column(cost=-sell)
        moved = [(each.charge[t], 1.0) for each in stores] + [(each.discharge[t], -1.0) for each in stores]
        net = interval.net_wh * _KWH
        drawn = [*moved, *((each[t], 1.0) for each in loads)]
        balance = [(taken, 1.0), (given, -1.0), (unused, -1.0), *((c, -v) for c, v in drawn)]
        rows.append(programme.row(balance, lower=net, upper=net))
        if buy < sell:
            most = abs(net) + pv + import_max + export_max + _moved_max(problem, interval)
            programme.either(taken, given, one_max=most, other_max=most)
        programme.row([(taken, 1.0), (_slack(programme, Soft.IMPORT), -1.0)], upper=import_max)
        programme.row([(given, 1.0), (_slack(programme, Soft.EXPORT), -1.0)], upper=export_max)
        if connection.peak_mct_per_kw > 0:
            programme.row([(peak, interval.hours), (taken, -interval.peak_weight)], lower=0.0)
        if stores and not connection.grid_charging:
            # Above the surplus nothing is charged; curtailing makes the surplus smaller.
            programme.row([*moved, (unused, 1.0 if net < 0 else 0.0)], upper=max(0.0, -net))
        if stores and not connection.grid_discharging:
            programme.row([*((c, -v) for c, v in moved)], upper=max(0.0, net))
        curtailed.append(unused)
    return curtailed, rows


def _moved_max(problem: Problem, interval: PlanInterval) -> float:
    stores_w = sum(max(store.charge_w_max, store.discharge_w_max) for store in problem.stores)
    return (stores_w + sum(load.rated_w for load in problem.loads)) * interval.hours * _KWH


def _slack(programme: Programme, limit: Soft) -> int:
    return programme.column(cost=PENALTY_MCT[limit] * _CT)
