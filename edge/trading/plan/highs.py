"""HiGHS at work on one programme. Importing this needs highspy and numpy, which a 32-bit board has not."""

from collections.abc import Sequence
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


class Model:
    """One programme in the solver, which goes on from its last solution when something was changed."""

    def __init__(self, programme: Programme, *, time_limit_s: float) -> None:
        """Hand the programme over; the limit counts for each solution."""
        self._choices = np.array(programme.integer, dtype=np.int32)
        self._time_limit_s = time_limit_s
        self._solver: Any = _QuietHighs()  # type: ignore[no-untyped-call]
        self._solver.setOptionValue("threads", 1)
        self._solver.setOptionValue("mip_rel_gap", GAP)
        self._solver.passModel(_model(programme))

    @property
    def is_linear(self) -> bool:
        """Return whether there is nothing to choose in it, so that changing it keeps its meaning."""
        return not len(self._choices)

    def fix(self, columns: Sequence[int], values: Sequence[float]) -> None:
        """Give columns their values."""
        bounds = np.array(values)
        self._solver.changeColsBounds(len(columns), np.array(columns, dtype=np.int32), bounds, bounds)

    def free(self, rows: Sequence[int]) -> None:
        """Drop rows."""
        endless = np.full(len(rows), np.inf)
        self._solver.changeRowsBounds(len(rows), np.array(rows, dtype=np.int32), -endless, endless)

    def solve(self) -> tuple[Sequence[float], Sequence[float]]:
        """Return the best value of each column, and of each row what the cost gains from a unit more in its bound.

        Raises:
            SolverFailed: No optimum in time.
        """
        self._run()
        solution = self._solver.getSolution()
        if not self.is_linear:
            # Choices have no duals: with them fixed, what is left is linear and tells what stored energy is worth.
            choices, count = self._choices, len(self._choices)
            self._solver.changeColsIntegrality(count, choices, np.zeros(count, dtype=np.uint8))
            fixed = np.round(np.array(solution.col_value)[choices])
            self._solver.changeColsBounds(count, choices, fixed, fixed)
            self._run()
            solution = self._solver.getSolution()
        return list(solution.col_value), list(solution.row_dual)

    def _run(self) -> None:
        # The solver's clock runs on from one solution to the next.
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + self._time_limit_s)
        self._solver.run()
        status = self._solver.getModelStatus()
        if status != _highs.HighsModelStatus.kOptimal:
            raise SolverFailed(f"HiGHS ended with: {self._solver.modelStatusToString(status)}")


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
