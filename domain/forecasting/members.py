"""The simple forecasts that a mix is made from, each told for past days as it would have been told then.

A history is folded into days (row 0 the newest, ending where the forecast begins). For a target in row ``r`` told
``ahead`` days ahead, rows ``r + 1 + ahead`` and older were known; the days to come are rows -1, -2, ... So one
function gives both the forecast and its own past record.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.forecasting.series import Floats, Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class Folded:
    """A history in days, and the day of the week of each of its cells and of those to come.

    ``weekday`` has ``future`` rows of days to come before the rows of the history, newest first as they are.
    ``holiday`` marks cells of the same rows that are like Sundays by the calendar.
    """

    days: Floats
    weekday: Ints
    future: int
    holiday: NDArray[np.bool_] | None = None

    def weekdays(self, rows: Ints) -> Ints:
        """Return the weekday of each cell of some rows, 0 Monday to 6 Sunday; days before the oldest go on in weeks."""
        index = rows + self.future
        beyond = np.maximum(0, index - (len(self.weekday) - 1))
        return (self.weekday[index - beyond] - beyond[:, None]) % 7

    def row(self, rows: Ints) -> Floats:
        """Return rows of the history; those that do not exist are missing."""
        inside = (rows >= 0) & (rows < len(self.days))
        taken = self.days[np.where(inside, rows, 0)]
        return np.where(inside[:, None], taken, np.nan)


Member = Callable[[Folded, Ints, int], Floats]


def yesterday(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the newest known day."""
    return folded.row(rows + 1 + ahead)


def last_week(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the newest known day of the same weekday."""
    return folded.row(rows + 7 * (ahead // 7 + 1))


def four_weeks(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the mean of the four newest known days of the same weekday."""
    first = 7 * (ahead // 7 + 1)
    return mean_of([folded.row(rows + first + 7 * week) for week in range(4)])


def seven_days(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the mean of the seven newest known days."""
    return mean_of([folded.row(rows + 1 + ahead + day) for day in range(7)])


def like_days(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the mean of the known days of the same kind (working day, Saturday, Sunday), the newer the heavier."""
    total = np.zeros((len(rows), folded.days.shape[1]))
    weight = np.zeros_like(total)
    for day in range(1 + ahead, 36):
        value = _if_alike(folded, rows, day)
        counts = np.where(np.isfinite(value), 0.9**day, 0.0)
        total += counts * np.nan_to_num(value)
        weight += counts
    mean: Floats = np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)
    return mean


def like_days_at_level(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the mean of like days, moved by how far the newest known day lay from the mean of its own kind.

    A hot week is hot on Saturday as well: the level goes on while the shape changes with the kind of day.
    """
    newest = rows + 1 + ahead
    apart = folded.row(newest) - like_days(folded, newest, 0)
    known = np.isfinite(apart)
    level = np.where(known, apart, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    moved: Floats = like_days(folded, rows, ahead) + level[:, None]
    return moved


def middle_of_like_days(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the median of the known days of the same kind in four weeks: what a skewed load does most of the time."""
    return _middle([_if_alike(folded, rows, day) for day in range(1 + ahead, 29)])


def middle_of_like_hours(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the same median over an hour before and after as well: what varies by chance varies less."""
    alike = [_if_alike(folded, rows, day) for day in range(1 + ahead, 29)]
    return _middle([shifted for value in alike for shifted in _hour_around(value)])


def smoothed_days(folded: Folded, rows: Ints, ahead: int) -> Floats:
    """Return the mean of the three newest known days, an hour before and after included: a level that changes."""
    return mean_of(_hour_around(mean_of([folded.row(rows + 1 + ahead + day) for day in range(3)])))


def _hour_around(values: Floats) -> list[Floats]:
    """Return days as they are, and an hour later and earlier; a day is closed to a ring."""
    hour = max(1, values.shape[1] // 24)
    return [values, np.roll(values, hour, axis=1), np.roll(values, -hour, axis=1)]


def _middle(parts: list[Floats]) -> Floats:
    """Return the median of what is known, cell by cell."""
    ranked = np.sort(np.stack(parts), axis=0)
    count = np.isfinite(ranked).sum(axis=0)
    # Missing values are ranked last; without any value the first one, which is missing, is the answer.
    lower = np.take_along_axis(ranked, np.maximum(0, (count - 1) // 2)[None], axis=0)[0]
    upper = np.take_along_axis(ranked, np.maximum(0, count // 2 - (count == 0))[None], axis=0)[0]
    middle: Floats = (lower + upper) / 2
    return middle


def _if_alike(folded: Folded, rows: Ints, back: int) -> Floats:
    """Return the cells of some days before, missing where they are of another kind of day."""
    source = rows + back
    same = np.maximum(folded.weekdays(source), 4) == np.maximum(folded.weekdays(rows), 4)
    return np.where(same, folded.row(source), np.nan)


def mean_of(parts: list[Floats]) -> Floats:
    """Return the mean of what is known, cell by cell."""
    stack = np.stack(parts)
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    total = np.where(known, stack, 0.0).sum(axis=0)
    mean: Floats = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean


SEASONAL: dict[str, Member] = {
    "yesterday": yesterday,
    "last week": last_week,
    "four weeks": four_weeks,
    "seven days": seven_days,
    "like days": like_days,
    "like days at level": like_days_at_level,
    "middle of like days": middle_of_like_days,
    "middle of like hours": middle_of_like_hours,
    "smoothed days": smoothed_days,
}

# Those that look at days of the target's own kind alone, holidays among the Sundays.
OF_ITS_KIND = frozenset({"like days", "like days at level", "middle of like days", "middle of like hours"})
