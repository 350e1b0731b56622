"""Make a plan: by the solver where there is one and it is in time, checked by the simulator, else self-consumption."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.trading.plan.linear import TIE_BREAK_CT_PER_KWH, around, linear_plan
from edge.trading.plan.problem import Action, Method, PlanInterval, Problem
from edge.trading.plan.programme import SolverFailed, SolverMissing
from edge.trading.plan.rule import self_consumption
from edge.trading.plan.simulate import Outcome, simulate
from edge.trading.plan.worth import hedged

SOLVE_S_MAX = 2.0
# Of the price of a kWh that one left at the end will save. Both ways' losses are more than what is taken off here.
END_SHARE = 0.9
WEAR_MCT_PER_KWH = 1000
# A present interval that is to do otherwise by less than this is left as planned.
_SAME_WH = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan that the simulator has passed.

    Args:
        problem: What it was made from.
        actions: Of each interval.
        outcome: What the simulator says that comes of them.
        method: How it was made.
        why: Why it was made that way, where it is not the solver's; empty otherwise.
    """

    problem: Problem
    actions: tuple[Action, ...]
    outcome: Outcome
    method: Method
    why: str = ""


def make_plan(problem: Problem, *, time_limit_s: float = SOLVE_S_MAX) -> Plan:
    """Return the best plan that can be had; on its forecast it is never worse than self-consumption by the simulator.

    Under scenarios the present interval does what is best on their average, and the later ones follow the forecast.
    """
    rule = resting_plan(problem, why="")
    if not problem.intervals:
        return rule
    try:
        actions = linear_plan(problem, time_limit_s=time_limit_s)
    except SolverMissing as missing:
        return replace(rule, why=str(missing))
    except SolverFailed as failed:
        return replace(rule, why=str(failed))
    outcome = simulate(problem, actions)
    if outcome.impossible:
        return replace(rule, why=f"the solver's plan cannot be done: {outcome.impossible[0]}")
    rests = rule.outcome.score_mct < outcome.score_mct and not rule.outcome.impossible
    sure = replace(rule, why="no plan is cheaper") if rests else _linear(problem, actions, outcome)
    return _hedged(sure, time_limit_s=time_limit_s) or sure


def _linear(problem: Problem, actions: tuple[Action, ...], outcome: Outcome) -> Plan:
    return Plan(problem=problem, actions=actions, outcome=outcome, method=Method.LINEAR)


def _hedged(sure: Plan, *, time_limit_s: float) -> Plan | None:
    """Return the plan whose present interval is best on the average of the scenarios, ``None`` where it is the same."""
    problem = sure.problem
    first_wh = hedged(problem, sure.actions, tie_break_mct_per_kwh=1000 * TIE_BREAK_CT_PER_KWH)
    if first_wh is None:
        return None
    if abs(sum(first_wh) - sum(sure.actions[0].battery_wh)) < _SAME_WH:
        return None  # How they share it is decided better by the programme.
    taken_wh = [action.load_wh for action in sure.actions]
    try:
        actions = linear_plan(around(problem, taken_wh), time_limit_s=time_limit_s, first_wh=first_wh)
    except SolverFailed:
        return None
    actions = tuple(replace(action, load_wh=energies) for action, energies in zip(actions, taken_wh, strict=True))
    outcome = simulate(problem, actions)
    return None if outcome.impossible else _linear(problem, actions, outcome)


def resting_plan(problem: Problem, *, why: str) -> Plan:
    """Return self-consumption as a plan, and why there is no better."""
    ruled = self_consumption(problem)
    return Plan(problem=problem, actions=ruled, outcome=simulate(problem, ruled), method=Method.RULE, why=why)


def end_value(intervals: Sequence[PlanInterval]) -> float:
    """Return what a kWh that can still be given after the last interval is worth, in mct.

    It saves buying later, when energy is cheapest: in the cheapest quarter of the plan's last day. A share of that and
    the wear are taken off, so that no plan buys energy, or keeps it from a need, for the end alone; what is left still
    makes storing a surplus better than feeding it in, against a sun or a load that comes otherwise than forecast.
    """
    if not intervals:
        return 0.0
    end = intervals[-1].end
    day = [each for each in intervals if (end - each.end).total_seconds() < 86_400]
    prices = sorted((each.buy_mct_per_kwh, each.hours) for each in day)
    quarter_h = sum(hours for _, hours in prices) / 4
    total, used_h = 0.0, 0.0
    for price, hours in prices:
        taken_h = min(hours, quarter_h - used_h)
        total += price * taken_h
        used_h += taken_h
    return max(0.0, END_SHARE * total / quarter_h - WEAR_MCT_PER_KWH)
