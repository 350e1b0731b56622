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
from edge.trading.plan.programme import Programme, SolverMissing, Terms, negative

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


@dataclass(frozen=True, kw_only=True)
class _LoadColumns:
    """What a load takes in each interval, and the rows that hold it to its needs."""

    taken: list[int]
    need_rows: list[int]


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Where each part of a problem stands in its programme."""

    stores: list[_StoreColumns]
    loads: list[_LoadColumns]
    curtailed: list[int]
    balance_rows: list[int]

    def both_ways(self, values: Sequence[float]) -> set[tuple[int, int]]:
        """Return the stores and intervals that would charge and discharge at once."""
        return {
            (index, t)
            for index, each in enumerate(self.stores)
            for t, (taken, given) in enumerate(zip(each.charge, each.discharge, strict=True))
            if values[taken] > _LEAST_KWH and values[given] > _LEAST_KWH
        }

    def actions(self, values: Sequence[float], duals: Sequence[float]) -> tuple[Action, ...]:
        """Return a solution as actions."""
        return tuple(
            Action(
                battery_wh=tuple((values[each.charge[t]] - values[each.discharge[t]]) / _KWH for each in self.stores),
                curtailed_wh=values[curtailed] / _KWH,
                # A row's dual is what the cost rises by with one more kWh in the balance, so its sign turns.
                stored_mct_per_kwh=tuple(max(0.0, -duals[each.balance_rows[t]]) / _CT for each in self.stores),
                load_wh=tuple(values[each.taken[t]] / _KWH for each in self.loads),
            )
            for t, curtailed in enumerate(self.curtailed)
        )


def linear_plan(
    problem: Problem,
    *,
    time_limit_s: float = 2.0,
    tie_break_ct_per_kwh: float = TIE_BREAK_CT_PER_KWH,
    first_wh: Sequence[float] | None = None,
) -> tuple[Action, ...]:
    """Return the cheapest actions.

    Args:
        problem: What to plan.
        time_limit_s: Of the solver, for each of at most ``ROUNDS``.
        tie_break_ct_per_kwh: How much moving early is preferred; none where the future is known.
        first_wh: What each store does in the first interval, charging positive; ``None`` to choose it.

    Raises:
        SolverMissing: On a board without HiGHS.
        SolverFailed: No plan in time.
    """
    try:
        from edge.trading.plan.highs import Model
    except ImportError as missing:
        raise SolverMissing("highspy is not installed") from missing

    def solved(problem: Problem) -> tuple[Model, _Columns, Sequence[float], Sequence[float]]:
        one_way = {
            (index, t)
            for t, interval in enumerate(problem.intervals)
            if interval.buy_mct_per_kwh < 0 or interval.sell_mct_per_kwh < 0
            for index in range(len(problem.stores))
        }
        for attempt in range(ROUNDS):
            programme, columns = built(problem, one_way, tie_break_ct_per_kwh)
            model = Model(programme, time_limit_s=time_limit_s)
            for each, moved_wh in zip(columns.stores, first_wh or (), strict=False):
                model.fix([each.charge[0], each.discharge[0]], [max(0.0, moved_wh) * _KWH, max(0.0, -moved_wh) * _KWH])
            values, duals = model.solve()
            both_ways = columns.both_ways(values)
            if not both_ways:
                break
            one_way |= both_ways
            if attempt == ROUNDS - 2:
                one_way = {(index, t) for index in range(len(problem.stores)) for t in range(len(problem.intervals))}
        return model, columns, values, duals

    model, columns, values, duals = solved(problem)
    actions = columns.actions(values, duals)
    if not problem.loads:
        return actions
    worth = [duals[row] / _CT for row in columns.balance_rows]
    taken = [
        runnable(
            load,
            problem.intervals,
            wanted_wh=[action.load_wh[number] for action in actions],
            worth_mct_per_kwh=worth,
        )
        for number, load in enumerate(problem.loads)
    ]
    if model.is_linear:
        # The solver goes on from where it stands: storage is planned around the loads in few steps.
        model.fix(
            [column for each in columns.loads for column in each.taken],
            [energy_wh * _KWH for each in taken for energy_wh in each],
        )
        model.free([row for each in columns.loads for row in each.need_rows])
        values, duals = model.solve()
        if not columns.both_ways(values):
            return columns.actions(values, duals)
    by_interval = tuple(zip(*taken, strict=True))
    _, columns, values, duals = solved(around(problem, by_interval))
    return tuple(
        replace(action, load_wh=energies)
        for action, energies in zip(columns.actions(values, duals), by_interval, strict=True)
    )


def around(problem: Problem, taken_wh: Sequence[Sequence[float]]) -> Problem:
    """Return a problem whose loads take in each interval what is given of each, so that nothing of them is to plan."""
    return replace(
        problem,
        loads=(),
        intervals=[
            replace(interval, load_wh=interval.load_wh + sum(energies))
            for interval, energies in zip(problem.intervals, taken_wh, strict=True)
        ],
    )


def built(problem: Problem, one_way: set[tuple[int, int]], tie_break_ct_per_kwh: float) -> tuple[Programme, _Columns]:
    """Return the programme of a problem; the stores and intervals of ``one_way`` may not move both ways at once."""
    programme = Programme()
    stores = [_store(programme, problem, index, one_way, tie_break_ct_per_kwh) for index in range(len(problem.stores))]
    loads = [_load(programme, problem, load, tie_break_ct_per_kwh) for load in problem.loads]
    curtailed, balance_rows = _connection(programme, problem, stores, [each.taken for each in loads])
    return programme, _Columns(stores=stores, loads=loads, curtailed=curtailed, balance_rows=balance_rows)


def _store(
    programme: Programme, problem: Problem, index: int, one_way: set[tuple[int, int]], tie_break_ct_per_kwh: float
) -> _StoreColumns:
    """Add one battery: what it charges, discharges and holds in each interval."""
    store = problem.stores[index]
    count = len(problem.intervals)
    charge, discharge, rows = [], [], []
    before: Terms = []
    start = store.stored_wh * _KWH
    for t, interval in enumerate(problem.intervals):
        tie = tie_break_ct_per_kwh * t / count
        charge_max = store.charge_w_max * interval.hours * _KWH
        discharge_max = store.discharge_w_max * interval.hours * _KWH
        taken = programme.column(upper=charge_max, cost=tie)
        given = programme.column(upper=discharge_max, cost=tie + store.wear_mct_per_kwh * _CT)
        if (index, t) in one_way:
            programme.either([(taken, 1.0)], [(given, 1.0)], one_max=charge_max, other_max=discharge_max)
        worth = problem.end_mct_per_kwh * _CT * store.discharge_efficiency if t == count - 1 else 0.0
        held = _held(programme, store, worth)
        terms = [*held, (taken, -store.charge_efficiency), (given, 1 / store.discharge_efficiency)]
        drained = store.standby_w * interval.hours * _KWH
        rows.append(programme.row([*terms, *negative(before)], lower=start - drained, upper=start - drained))
        _above_window(programme, store, given, before)
        _goals(programme, store, interval, held)
        charge.append(taken)
        discharge.append(given)
        before, start = held, 0.0
    _ramp(programme, problem, store, charge, discharge)
    return _StoreColumns(charge=charge, discharge=discharge, balance_rows=rows)


def _leaves_window(store: Store) -> bool:
    """Return whether a store can be beyond its window: only a late start or standing by brings it there."""
    return not store.stored_wh_min <= store.stored_wh <= store.stored_wh_max or store.standby_w > 0


def _held(programme: Programme, store: Store, worth: float) -> Terms:
    """Add what is held after an interval, in the window; beyond it only where it cannot be helped."""
    low, high = store.stored_wh_min * _KWH, store.stored_wh_max * _KWH
    held = [(programme.column(lower=low, upper=high, cost=-worth), 1.0)]
    if _leaves_window(store):
        held += _beyond(programme, Soft.WINDOW, worth=worth)
    return held


def _beyond(programme: Programme, limit: Soft, *, worth: float) -> Terms:
    """Add what lies above and what lies below a bounded level, each at the price of passing a limit."""
    penalty = PENALTY_MCT[limit] * _CT
    return [(programme.column(cost=penalty - worth), 1.0), (programme.column(cost=penalty + worth), -1.0)]


def _above_window(programme: Programme, store: Store, given: int, before: Terms) -> None:
    """Let nothing be given of what is stored below the window."""
    if not _leaves_window(store):
        return
    taken_out = (given, -1 / store.discharge_efficiency)
    if before:
        # Without the last term, which is what lies below.
        programme.row([*before[:-1], taken_out], lower=store.stored_wh_min * _KWH)
    else:
        available = max(0.0, store.stored_wh - store.stored_wh_min) * _KWH
        programme.row([taken_out], lower=-available)


def _goals(programme: Programme, store: Store, interval: PlanInterval, held: Terms) -> None:
    """Keep the reserve, and reach the target at its time."""
    if store.reserve_wh > store.stored_wh_min:
        programme.row([*held, (_slack(programme, Soft.RESERVE), 1.0)], lower=store.reserve_wh * _KWH)
    if store.target_at is not None and interval.start < store.target_at <= interval.end:
        programme.row([*held, (_slack(programme, Soft.TARGET), 1.0)], lower=store.target_wh * _KWH)


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


def _load(programme: Programme, problem: Problem, load: FlexibleLoad, tie_break_ct_per_kwh: float) -> _LoadColumns:
    """Add one flexible load: what it takes in each interval, any power up to its rating allowed."""
    count = len(problem.intervals)
    spans = [(allowed(need, problem.intervals), need) for need in load.needs]
    taken = []
    for t, interval in enumerate(problem.intervals):
        runs = load.band is not None or any(t in span for span, _ in spans)
        most = load.rated_w * interval.hours * _KWH if runs else 0.0
        taken.append(programme.column(upper=most, cost=tie_break_ct_per_kwh * t / count))
    rows = []
    for span, need in spans:
        wanted = need.energy_wh * _KWH
        terms = [*((taken[t], 1.0) for t in span), (_slack(programme, Soft.NEED), 1.0)]
        rows.append(programme.row(terms, lower=wanted, upper=wanted))
    if load.band is not None:
        _band(programme, problem, load, load.band, taken)
    return _LoadColumns(taken=taken, need_rows=rows)


def _band(programme: Programme, problem: Problem, load: FlexibleLoad, band: Band, taken: Sequence[int]) -> None:
    """Keep a load within its band; a step that it can only take whole needs room on either side."""
    reach = max(0.0, band.reach_wh - step_wh(load) / 2) * _KWH
    before: Terms = []
    start = band.ahead_wh * _KWH
    for t, interval in enumerate(problem.intervals):
        # What it is ahead at the end need not be bought then.
        worth = problem.end_mct_per_kwh * _CT if t == len(problem.intervals) - 1 else 0.0
        ahead = [(programme.column(lower=-reach, upper=reach, cost=-worth), 1.0)]
        ahead += _beyond(programme, Soft.COMFORT, worth=worth)
        level = start - band.drain_w * interval.hours * _KWH
        programme.row([*ahead, (taken[t], -1.0), *negative(before)], lower=level, upper=level)
        before, start = ahead, 0.0


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
        taken = _bounded(programme, Soft.IMPORT, most=import_max, cost=buy)
        given = _bounded(programme, Soft.EXPORT, most=export_max, cost=-sell)
        moved = [(each.charge[t], 1.0) for each in stores] + [(each.discharge[t], -1.0) for each in stores]
        net = interval.net_wh * _KWH
        drawn = [*moved, *((each[t], 1.0) for each in loads)]
        rows.append(programme.row([*taken, *negative(given), (unused, -1.0), *negative(drawn)], lower=net, upper=net))
        if buy < sell:
            most = abs(net) + pv + import_max + export_max + _moved_max(problem, interval)
            programme.either(taken, given, one_max=most, other_max=most)
        if connection.peak_mct_per_kw > 0:
            weighted = [(column, -interval.peak_weight * share) for column, share in taken]
            programme.row([(peak, interval.hours), *weighted], lower=0.0)
        if stores and not connection.grid_charging:
            # Above the surplus nothing is charged; curtailing makes the surplus smaller.
            programme.row([*moved, (unused, 1.0 if net < 0 else 0.0)], upper=max(0.0, -net))
        if stores and not connection.grid_discharging:
            programme.row(negative(moved), upper=max(0.0, net))
        curtailed.append(unused)
    return curtailed, rows


def _moved_max(problem: Problem, interval: PlanInterval) -> float:
    stores_w = sum(max(store.charge_w_max, store.discharge_w_max) for store in problem.stores)
    return (stores_w + sum(load.rated_w for load in problem.loads)) * interval.hours * _KWH


def _bounded(programme: Programme, limit: Soft, *, most: float, cost: float) -> Terms:
    """Add a flow up to a limit, and what of it is beyond."""
    return [
        (programme.column(upper=most, cost=cost), 1.0),
        (programme.column(cost=cost + PENALTY_MCT[limit] * _CT), 1.0),
    ]


def _slack(programme: Programme, limit: Soft) -> int:
    return programme.column(cost=PENALTY_MCT[limit] * _CT)
