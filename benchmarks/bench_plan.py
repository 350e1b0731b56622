"""The plan: how long one takes for two batteries and three loads over 48 hours, and what a day of them is worth.

    python -m benchmarks plan [--json]

CPU time of one core of this machine, model building, rounding and the simulator's check included; four times that is
taken as a Raspberry Pi's. A machine's speed cancels in the ratio to the bare solver: the time of HiGHS alone for the
first of the two programmes of each plan. The days are drawn from a seed: load, sun, prices, a car, a washer, a heat
pump. *Deciding the present too* is a plan of a site with a history, as gateways make it: the ways in which the days may
come out of four weeks of quarters, what stored energy is worth in each, and a further programme where that changes the
present interval. Every other of these plans finds what was looked up in the past for the one before it. Beside it
stands what the same days cost when storage serves the house alone and the loads run in the hours that are cheapest by
their price, without a solver.
"""

import math
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from edge.trading.model import IntervalEnergy
from edge.trading.plan.plan import end_value, make_plan, resting_plan
from edge.trading.plan.problem import Band, Connection, FlexibleLoad, Method, Need, PlanInterval, Problem, Store
from edge.trading.plan.scenarios import DAYS_BACK, Past, scenarios

PROBLEMS: Final = 60
SEED: Final = 15
PI_FACTOR: Final = 4
_T0: Final = datetime(2026, 3, 1, tzinfo=UTC)
_NEAR: Final = 96
_FAR: Final = 24


def run() -> Mapping[str, float]:
    """Return the figures by name."""
    draw = random.Random(SEED)
    took_s: list[float] = []
    bare_s: list[float] = []
    planned_ct = ruled_ct = 0.0
    by_solver = 0
    decided_s: list[float] = []
    make_plan(_problem(random.Random(0)))
    for _ in range(PROBLEMS):
        problem = _problem(draw)
        began = time.process_time()
        plan = make_plan(problem)
        took_s.append(time.process_time() - began)
        bare_s.append(_bare_s(problem))
        past = _past(draw)
        for _ in range(2):
            began = time.process_time()
            make_plan(replace(problem, scenarios=scenarios(problem.intervals, past)))
            decided_s.append(time.process_time() - began)
        by_solver += plan.method is Method.LINEAR
        planned_ct += plan.outcome.cost_mct / 1000
        ruled_ct += resting_plan(problem, why="").outcome.cost_mct / 1000
    slowest_s, decided_slowest_s = _99th(took_s), _99th(decided_s)
    return {
        "plans by the solver, of 60": float(by_solver),
        "ms of one core, median": 1000 * statistics.median(took_s),
        "ms of one core, 99 %": 1000 * slowest_s,
        "times the bare solver, median": statistics.median(took_s) / statistics.median(bare_s),
        "ms on a Raspberry Pi (x 4), 99 %": 1000 * PI_FACTOR * slowest_s,
        "ms of one core, deciding the present too, median": 1000 * statistics.median(decided_s),
        "ms of one core, deciding the present too, 99 %": 1000 * decided_slowest_s,
        "ms on a Raspberry Pi (x 4), deciding the present too, 99 %": 1000 * PI_FACTOR * decided_slowest_s,
        "EUR for two days, planned, mean": planned_ct / PROBLEMS / 100,
        "EUR for two days, by the rule, mean": ruled_ct / PROBLEMS / 100,
    }


def _99th(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def _past(draw: random.Random) -> Past:
    """Return four weeks of quarters before the plan, as its own days are drawn, each day with its own sun."""
    energies = {}
    for back in range(1, DAYS_BACK + 1):
        sky = draw.uniform(0.1, 1.0)
        for step in range(96):
            hour = step / 4
            pv_wh = -2_000 * sky * math.sin((hour - 7) / 10 * math.pi) if 7 < hour < 17 else 0.0
            energies[_T0 - back * timedelta(days=1) + step * timedelta(minutes=15)] = IntervalEnergy(
                load_wh=100 + draw.uniform(0, 150) + (450 if 17 <= hour < 22 else 0), pv_wh=pv_wh
            )
    return Past(energies=energies)


def _bare_s(problem: Problem) -> float:
    """Return the CPU time of the solver alone for the relaxed programme of a problem."""
    from edge.trading.plan.highs import Model
    from edge.trading.plan.linear import TIE_BREAK_CT_PER_KWH, built

    programme, _ = built(problem, set(), TIE_BREAK_CT_PER_KWH)
    model = Model(programme, time_limit_s=10.0)
    began = time.process_time()
    model.solve()
    return time.process_time() - began


def _problem(draw: random.Random) -> Problem:
    intervals = _intervals(draw)
    stores = tuple(
        Store(
            id=f"battery {number}",
            capacity_wh=capacity_wh,
            charge_w_max=capacity_wh / 2,
            discharge_w_max=capacity_wh / 2,
            stored_wh=draw.uniform(0.1, 0.9) * capacity_wh,
            stored_wh_min=0.05 * capacity_wh,
            stored_wh_max=capacity_wh,
        )
        for number, capacity_wh in enumerate((8_000.0, 12_000.0), start=1)
    )
    car = FlexibleLoad(
        id="car",
        rated_w=11_000,
        least_w=4_140,
        needs=(_need(draw.uniform(5_000, 40_000), from_h=0, due_h=draw.randint(6, 20)),),
    )
    washer = FlexibleLoad(
        id="washer", rated_w=2_000, least_w=2_000, needs=(_need(1_500, from_h=9, due_h=17, in_one_go=True),)
    )
    pump = FlexibleLoad(
        id="pump",
        rated_w=2_850,
        least_w=2_850,
        band=Band(drain_w=draw.uniform(300, 1_200), ahead_wh=draw.uniform(-1_000, 1_000), reach_wh=3_000),
    )
    return Problem(
        intervals=intervals,
        stores=stores,
        connection=Connection(import_w_max=25_000, export_w_max=15_000),
        end_mct_per_kwh=end_value(intervals),
        loads=(car, washer, pump),
    )


def _need(energy_wh: float, *, from_h: int, due_h: int, in_one_go: bool = False) -> Need:
    return Need(
        from_at=_T0 + timedelta(hours=from_h),
        due_at=_T0 + timedelta(hours=due_h),
        energy_wh=energy_wh,
        in_one_go=in_one_go,
    )


def _intervals(draw: random.Random) -> tuple[PlanInterval, ...]:
    sun, level = draw.uniform(500, 9_000), draw.uniform(15_000, 35_000)
    found = []
    start = _T0
    for index in range(_NEAR + _FAR):
        hours = 0.25 if index < _NEAR else 1.0
        hour = start.hour + start.minute / 60
        load_w = 400 + draw.uniform(0, 600) + (1_800 if 17 <= hour < 22 else 0)
        pv_w = max(0.0, sun * math.sin((hour - 7) / 10 * math.pi)) * draw.uniform(0.5, 1.0) if 7 < hour < 17 else 0.0
        buy = level - 8_000 * math.sin((hour - 1) / 12 * math.pi) + draw.uniform(-2_000, 2_000)
        found.append(
            PlanInterval(
                start=start,
                hours=hours,
                load_wh=load_w * hours,
                pv_wh=-pv_w * hours,
                buy_mct_per_kwh=buy,
                sell_mct_per_kwh=min(8_000.0, buy - 1_000),
            )
        )
        start += timedelta(hours=hours)
    return tuple(found)
