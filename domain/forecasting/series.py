"""A measured quantity on a regular grid, and the same folded into days that end where a forecast begins."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_S = 86_400
STEPS_MAX = 400 * 96  # What is older than some 400 days of quarters says nothing about tomorrow.


@dataclass(frozen=True, eq=False, kw_only=True)
class Series:
    """Values over consecutive steps, each stamped with the start of its step; a missing one is NaN.

    Raises:
        ValueError: The start has no time zone, or the step does not divide a day.
    """

    start: datetime
    step_s: int
    values: Floats

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise ValueError(f"series starts at {self.start.isoformat()}, which has no time zone")
        if self.step_s <= 0 or DAY_S % self.step_s:
            raise ValueError(f"series has a step of {self.step_s} s, which does not divide a day")

    @property
    def end(self) -> datetime:
        """Return the first instant after the last step."""
        return self.start + timedelta(seconds=self.step_s * len(self.values))

    @property
    def steps_per_day(self) -> int:
        """Return how many steps a day has."""
        return DAY_S // self.step_s

    def before(self, instant: datetime) -> "Series":
        """Return the steps that had ended at an instant: all that a forecaster may know then."""
        count = int((instant - self.start).total_seconds() // self.step_s)
        return Series(start=self.start, step_s=self.step_s, values=self.values[: max(0, count)])


def regular(samples: Iterable[tuple[datetime, float | None]], *, step_s: int, steps_max: int = STEPS_MAX) -> Series:
    """Return the mean of the samples of each step; a step without a sample is missing.

    Of more than ``steps_max`` steps the newest count.

    Raises:
        ValueError: There is no sample.
    """
    sums: dict[int, float] = {}
    counts: dict[int, int] = {}
    first: int | None = None
    last = 0
    for at, value in samples:
        index = int(at.timestamp()) // step_s
        first = index if first is None else min(first, index)
        last = max(last, index)
        if value is not None and np.isfinite(value):
            sums[index] = sums.get(index, 0.0) + value
            counts[index] = counts.get(index, 0) + 1
    if first is None:
        raise ValueError("a series of no samples has no start")
    first = max(first, last + 1 - steps_max)
    values = np.full(last - first + 1, np.nan)
    for index, total in sums.items():
        if index >= first:
            values[index - first] = total / counts[index]
    return Series(start=datetime.fromtimestamp(first * step_s, UTC), step_s=step_s, values=values)


def first_step(issued_at: datetime, *, step_s: int) -> datetime:
    """Return the start of the first step that begins at or after an instant."""
    seconds = int(issued_at.timestamp())
    whole = -(-(seconds + (1 if issued_at.microsecond else 0)) // step_s) * step_s
    return datetime.fromtimestamp(whole, UTC)


def until(series: Series, start: datetime, *, steps_max: int = STEPS_MAX) -> Floats:
    """Return the values up to ``start``, missing ones filled in with NaN where the series ends before."""
    known = series.before(start)
    gap = round((start - known.end).total_seconds() / series.step_s)
    values = np.concatenate([known.values, np.full(max(0, gap), np.nan)])
    return values[-steps_max:]


def days(values: Floats, *, steps_per_day: int) -> Floats:
    """Return whole days of values, the newest first, each ending where the one before begins.

    Row 0 is the day just before the end of the values; an incomplete oldest day is padded with NaN.
    """
    missing = -len(values) % steps_per_day
    padded = np.concatenate([np.full(missing, np.nan), values])
    return padded.reshape(-1, steps_per_day)[::-1]


def without_slips(values: Floats, *, step_s: int) -> Floats:
    """Return values whose last hour is drawn to within reach of all before it: one slip would set the whole level.

    A value may lie beyond the range of the past by twice that range; with less than two hours before it all is kept.
    """
    count = max(1, 3600 // step_s)
    before = values[:-count]
    before = before[np.isfinite(before)]
    if len(before) < 2 * count:
        return values
    low, high = float(before.min()), float(before.max())
    reach = 2.0 * (high - low) or 2.0 * abs(high)
    out = values.copy()
    out[-count:] = np.clip(out[-count:], low - reach, high + reach)
    return out
