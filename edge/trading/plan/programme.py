"""A linear programme as it grows, with yes-or-no variables where something is not linear."""

from dataclasses import dataclass, field

Terms = list[tuple[int, float]]
"""Columns and what each counts in a sum."""


class SolverMissing(Exception):
    """HiGHS is not installed on this board; the caller falls back to the rule."""


class SolverFailed(Exception):
    """HiGHS ended without a plan, in time or at all; the caller falls back to the rule."""


@dataclass(kw_only=True)
class Programme:
    """Columns with bounds and cost, rows with bounds and terms; least cost is best."""

    cost: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[int] = field(default_factory=list)
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def column(self, *, lower: float = 0.0, upper: float = float("inf"), cost: float = 0.0) -> int:
        """Add a variable; return its index."""
        self.cost.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.cost) - 1

    def choice(self) -> int:
        """Add a yes-or-no variable; return its index."""
        index = self.column(upper=1.0)
        self.integer.append(index)
        return index

    def row(self, terms: Terms, *, lower: float = -float("inf"), upper: float = float("inf")) -> int:
        """Add a bound on a sum of variables; return its index."""
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        for index, value in terms:
            self.indices.append(index)
            self.values.append(value)
        self.starts.append(len(self.indices))
        return len(self.row_lower) - 1

    def either(self, one: Terms, other: Terms, *, one_max: float, other_max: float) -> None:
        """Let only one of two sums of columns be above zero."""
        chosen = self.choice()
        self.row([*one, (chosen, -one_max)], upper=0.0)
        self.row([*other, (chosen, other_max)], upper=other_max)


def negative(terms: Terms) -> Terms:
    """Return a sum with its sign turned."""
    return [(column, -value) for column, value in terms]
