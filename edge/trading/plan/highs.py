"""HiGHS at work on one programme. Importing this needs highspy and numpy, which a 32-bit board has not."""

from typing import Any

import highspy
import numpy as np

from edge.trading.plan.programme import Programme, SolverFailed

# How far an integer plan may be from the best. Source: the project's own bound for a plan in the site process.
GAP = 0.005
_highs: Any = highspy  # It carries no types.


class _QuietHighs(highspy.Highs):
    """The solver, silenced before its constructor sets the callbacks, which is when it prints its banner."""

    def enableCallbacks(self) -> None:
        """Turn the output off, then go on as the solver does."""
        self.silent()
        super().enableCallbacks()  # type: ignore[no-untyped-call]


def solve(programme: Programme, *, time_limit_s: float) -> tuple[list[float], list[float]]:
    """Return the best value of each column, and of each row what the cost gains from a unit more in its bound.

    Raises:
        SolverFailed: No optimum in time.
    """
    solver: Any = _QuietHighs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", time_limit_s)
    solver.setOptionValue("mip_rel_gap", GAP)
    solver.passModel(_model(programme))
    solver.run()
    _demand_optimum(solver)
    solution = solver.getSolution()
    if programme.integer:
        # Choices have no duals: with them fixed, what is left is linear and tells what stored energy is worth.
        chosen = np.array(programme.integer, dtype=np.int32)
        fixed = np.round(np.array(solution.col_value)[chosen])
        solver.changeColsIntegrality(len(chosen), chosen, np.zeros(len(chosen), dtype=np.uint8))
        solver.changeColsBounds(len(chosen), chosen, fixed, fixed)
        solver.run()
        _demand_optimum(solver)
        solution = solver.getSolution()
    return list(solution.col_value), list(solution.row_dual)


def _model(programme: Programme) -> Any:
    model = _highs.HighsLp()
    model.num_col_, model.num_row_ = len(programme.cost), len(programme.row_lower)
    model.col_cost_ = np.array(programme.cost)
    model.col_lower_, model.col_upper_ = np.array(programme.lower), np.array(programme.upper)
    model.row_lower_, model.row_upper_ = np.array(programme.row_lower), np.array(programme.row_upper)
    model.a_matrix_.format_ = _highs.MatrixFormat.kRowwise
    model.a_matrix_.num_col_, model.a_matrix_.num_row_ = model.num_col_, model.num_row_
    model.a_matrix_.start_ = np.array(programme.starts, dtype=np.int32)
    model.a_matrix_.index_ = np.array(programme.indices, dtype=np.int32)
    model.a_matrix_.value_ = np.array(programme.values)
    if programme.integer:
        kinds = [_highs.HighsVarType.kContinuous] * model.num_col_
        for index in programme.integer:
            kinds[index] = _highs.HighsVarType.kInteger
        model.integrality_ = kinds
    return model


def _demand_optimum(solver: Any) -> None:
    status = solver.getModelStatus()
    if status != _highs.HighsModelStatus.kOptimal:
        raise SolverFailed(f"HiGHS ended with: {solver.modelStatusToString(status)}")
