"""What looks wrong in a series: nothing known, a counter, an outlier, a sensor that stands still, a net meter."""

from dataclasses import dataclass

import numpy as np

from domain.forecasting.series import DAY_S, Floats, Series
from domain.series.errors import SeriesError
from domain.series.units import Measures

OUTLIER_FACTOR = 5.0
PRICE_FACTOR = 20.0
OUTLIERS_PER_MILLE = 5
STEPS_JUDGED_MIN = 48
COUNTER_STEPS_MIN = 12
STUCK_S = DAY_S
NET_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A series without what cannot be true, each oddity named, and whether it goes below zero by its nature."""

    series: Series
    notes: tuple[str, ...]
    net: bool


def rises_without_end(values: Floats) -> bool:
    """Return whether values look like a counter: they never fall but for a reset, and stand far above their steps."""
    known = values[np.isfinite(values)]
    if len(known) < COUNTER_STEPS_MIN:
        return False
    rise = np.diff(known)
    falls = int((rise < 0).sum())
    if falls > max(0, len(rise) // 100) or (rise > 0).mean() < 0.2:
        return False
    steps = np.abs(rise[rise > 0])
    return bool(np.median(np.abs(known)) > 3 * np.median(steps) and known.max() - known.min() > 3 * np.median(steps))


def clean(series: Series, *, unit: str, measures: Measures | None) -> Cleaned:
    """Return a series with outliers and a sensor that stands still taken as missing, and a word about each.

    Raises:
        SeriesError: No step has a value.
    """
    values = series.values.copy()
    known = np.isfinite(values)
    if not known.any():
        raise SeriesError("it holds no value: every step is empty or no number")
    notes = []
    price = measures is Measures.PRICE
    for place in _outliers(values, PRICE_FACTOR if price else OUTLIER_FACTOR):
        at = _at(series, int(place))
        notes.append(f"outlier {values[place]:g}{_unit(unit)} at {at} taken as missing")
        values[place] = np.nan
    for first, last in _stuck(values, series.step_s):
        hours = (last - first) * series.step_s / 3600
        value, at = values[first], _at(series, first)
        whole = (last - first) > 0.5 * known.sum()
        told = f"flat line: {value:g}{_unit(unit)} for {hours:.0f} h from {at}"
        if whole or value == 0:
            notes.append(told + ", a stuck sensor?")
            continue
        notes.append(told + ", a stuck sensor? taken as missing")
        values[first:last] = np.nan
    if not np.isfinite(values).any():
        values = series.values
    below = float((values[np.isfinite(values)] < 0).mean())
    net = not price and below > NET_SHARE
    if net and below < 0.99:
        notes.append(f"net values: below zero in {100 * below:.0f} % of the steps, kept as export")
    return Cleaned(
        series=Series(start=series.start, step_s=series.step_s, values=values), notes=tuple(notes[:12]), net=net
    )


def gaps(series: Series) -> int:
    """Return how many stretches without a value there are."""
    missing = ~np.isfinite(series.values)
    return int((missing[1:] & ~missing[:-1]).sum() + (missing[0] if len(missing) else 0))


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _at(series: Series, place: int) -> str:
    instant = series.start.timestamp() + place * series.step_s
    return f"{np.datetime64(int(instant), 's')}Z"


def _outliers(values: Floats, factor: float) -> list[int]:
    """Return the few values that lie far above all others; many high values are use, not faults."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < STEPS_JUDGED_MIN:
        return []
    size = np.abs(values[known])
    rank = max(3, len(known) * OUTLIERS_PER_MILLE // 1000)
    usual = float(np.partition(size, len(size) - 1 - rank)[len(size) - 1 - rank])
    if usual <= 0:
        return []
    return [int(place) for place in known[size > factor * usual]]


def _stuck(values: Floats, step_s: int) -> list[tuple[int, int]]:
    """Return the stretches of a day and more on which a value that else varies stands still."""
    least = max(COUNTER_STEPS_MIN, STUCK_S // step_s)
    same = np.concatenate([[False], values[1:] == values[:-1], [False]])
    edges = np.flatnonzero(same[1:] != same[:-1])
    begins, ends = edges[::2], edges[1::2] + 1
    return [(int(first), int(last)) for first, last in zip(begins, ends, strict=False) if last - first >= least]
