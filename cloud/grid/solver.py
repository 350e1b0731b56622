"""One linear programme, solved by HiGHS without a word on standard output."""

from dataclasses import dataclass

import highspy
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Programme:
    """Minimise cost times x, with 0 <= x <= upper, and each row's sum at or above its lower bound.

    ``columns`` holds for each variable its (row, coefficient) pairs.
    """

    cost: tuple[float, ...]
    upper: tuple[float, ...]
    rows_lower: tuple[float, ...]
    columns: tuple[tuple[tuple[int, float], ...], ...]


class _QuietHighs(highspy.Highs):
    """The solver, silenced before its constructor sets the callbacks, which is when it prints its banner."""

    def enableCallbacks(self) -> None:
        """Turn the output off, then go on as the solver does."""
        self.silent()
        super().enableCallbacks()  # type: ignore[no-untyped-call]


def minimise(programme: Programme) -> list[float] | None:
    """Return the best value of each variable, or ``None`` where the solver found no optimum."""
    count, rows = len(programme.cost), len(programme.rows_lower)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = count, rows
    model.col_cost_ = np.array(programme.cost)
    model.col_lower_ = np.zeros(count)
    model.col_upper_ = np.array(programme.upper)
    model.row_lower_ = np.array(programme.rows_lower)
    model.row_upper_ = np.full(rows, highspy.kHighsInf)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.cumsum([0, *(len(column) for column in programme.columns)])
    model.a_matrix_.index_ = np.array([row for column in programme.columns for row, _ in column], dtype=np.int32)
    model.a_matrix_.value_ = np.array([value for column in programme.columns for _, value in column])
    solver = _QuietHighs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("threads", 1)
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return [float(value) for value in solver.getSolution().col_value]
