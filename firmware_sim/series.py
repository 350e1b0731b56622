"""Measured sample weeks, shipped with the package: what loads and PV did in three real weeks.

Where they come from stands in ``data/SOURCES.md``.
"""

import csv
import importlib.resources
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from itertools import pairwise

from firmware_sim.errors import PlantError

_FILES = ("pv_golden.csv", "factory_steel.csv", "homes_fontana.csv")
_WEEK_S = 7 * 86400


class Week(StrEnum):
    """Which of the sample weeks a plant lives through, over and over."""

    SUNNY = "sunny"
    CHANGING = "changing"
    DARK = "dark"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One week of mean powers, Monday 00:00 local time first.

    ``values_w`` are as measured: loads and PV generation both positive.
    """

    name: str
    step_s: float
    values_w: tuple[float, ...]

    @property
    def peak_w(self) -> float:
        """Return the highest value of the week."""
        return max(self.values_w)

    def at(self, week_s: float) -> float:
        """Return the power in W so many seconds after Monday 00:00, repeating weekly.

        A value stands for the middle of its interval; between the middles the power runs straight.
        """
        position = week_s / self.step_s - 0.5
        index = int(position // 1)
        count = len(self.values_w)
        left, right = self.values_w[index % count], self.values_w[(index + 1) % count]
        return left + (right - left) * (position - index)


def power_w(name: str, week: Week, local: datetime) -> float:
    """Return the power of a series at a local instant, joined by weekday and clock time.

    Raises:
        PlantError: There is no series of that name.
    """
    return series(name, week).at(week_seconds(local))


def week_seconds(local: datetime) -> float:
    """Return the seconds since Monday 00:00 of a local instant."""
    day_s = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
    return local.weekday() * 86400 + day_s


def series(name: str, week: Week) -> Series:
    """Return one series of one week.

    Raises:
        PlantError: There is no series of that name.
    """
    found = _all_series().get((name, week))
    if found is None:
        raise PlantError(f"series {name!r} is not shipped; there are {', '.join(series_names())}")
    return found


def series_names() -> tuple[str, ...]:
    """Return the names of all series that are shipped."""
    return tuple(sorted({name for name, _ in _all_series()}))


@cache
def peak_over_weeks_w(name: str) -> float:
    """Return the highest value of a series over all its weeks: what ``peak_w`` of a plant is a multiple of."""
    return max(series(name, week).peak_w for week in Week)


@cache
def _all_series() -> dict[tuple[str, Week], Series]:
    found: dict[tuple[str, Week], Series] = {}
    for file in _FILES:
        text = (importlib.resources.files("firmware_sim") / "data" / file).read_text(encoding="utf-8")
        rows = list(csv.DictReader(text.splitlines()))
        names = [name for name in rows[0] if name not in ("week", "local_time")]
        for week in Week:
            of_week = [row for row in rows if row["week"] == week]
            step_s = _step_s(file, [datetime.fromisoformat(row["local_time"]) for row in of_week])
            for name in names:
                values = tuple(float(row[name]) for row in of_week)
                found[name, week] = Series(name=name, step_s=step_s, values_w=values)
    return found


def _step_s(file: str, times: list[datetime]) -> float:
    """Return the step of a week, having proven that it is whole and starts on a Monday."""
    steps = {(later - earlier).total_seconds() for earlier, later in pairwise(times)}
    step_s = min(steps)
    if len(steps) != 1 or step_s * len(times) != _WEEK_S or week_seconds(times[0]) != 0:
        raise PlantError(f"{file} does not hold a whole week from Monday 00:00 in even steps; unusable")
    return step_s
