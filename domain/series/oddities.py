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
# Values in another unit stand apart from all others by this gap, and are so many times what is usual at their hour.
UNIT_GAP = 50.0
UNIT_FACTORS = (1_000.0, 1_000_000.0)
UNIT_SLACK = 2.0
UNIT_SHARE_MAX = 0.3
LEVELS_MIN = 12
# A counter that begins each day anew was seen to do so on so many days.
DAYS_ANEW_MIN = 2
# A counter in coarse steps was seen at so many levels.
COARSE_LEVELS_MIN = 4
# What devices and programs write for "no value", also with one, two or three decimals. It counts as such where it
# stands so many times above all else.
SENTINELS = frozenset(
    {999, 9_999, 99_999, 999_999, 9_999_999, 32_767, 32_768, 65_534, 65_535, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1}
)
SENTINEL_FACTOR = 10.0
NET_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """A series without what cannot be true, each oddity named, and whether it goes below zero by its nature."""

    series: Series
    notes: tuple[str, ...]
    net: bool


def rises_without_end(at: Floats, values: Floats) -> bool:
    """Return whether values look like a counter: they never fall but for a reset, and stand far above their steps.

    One that counts in coarse steps mostly stands still; no use stays for days without falling once.
    """
    finite = np.isfinite(values)
    known, since = values[finite], at[finite]
    if len(known) < COUNTER_STEPS_MIN:
        return False
    rise = np.diff(known)
    falls = int((rise < 0).sum())
    lasts = len(known) >= STEPS_JUDGED_MIN and since[-1] - since[0] >= DAYS_ANEW_MIN * DAY_S
    if lasts and not falls and len(np.unique(known)) >= COARSE_LEVELS_MIN:
        return True
    if falls > max(0, len(rise) // 100) or (rise > 0).mean() < 0.2:
        return False
    steps = np.abs(rise[rise > 0])
    return bool(np.median(np.abs(known)) > 3 * np.median(steps) and known.max() - known.min() > 3 * np.median(steps))


def begins_each_day(at: Floats, values: Floats) -> bool:
    """Return whether values look like a counter that begins at zero each day: they fall once a day, to almost nothing.

    Args:
        at: Seconds since the epoch, rising.
        values: What was read then.
    """
    known = np.isfinite(values)
    at, values = at[known], values[known]
    if len(values) < COUNTER_STEPS_MIN or (values < 0).any():
        return False
    steps = np.diff(values)
    falls = np.flatnonzero(steps < 0)
    # A load that runs once a day rises to its level at once.
    if len(falls) < DAYS_ANEW_MIN or (steps > 0).sum() < 4 * (len(falls) + 1):
        return False
    apart = np.diff(at[falls + 1])
    days = np.round(apart / DAY_S)
    daily = bool((days >= 1).all() and np.median(days) == 1 and (np.abs(apart - days * DAY_S) <= 2 * 3_600).all())
    return daily and bool((values[falls + 1] <= 0.2 * values[falls]).all())


def clean(series: Series, *, unit: str, measures: Measures | None) -> Cleaned:
    """Return a series with outliers and a sensor that stands still taken as missing, and a word about each.

    Raises:
        SeriesError: No step has a value, or a unit changes and neither part is the odd one.
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
    for sentinel in _sentinels(values):
        alike = values == sentinel
        count = int(alike.sum())
        notes.append(f"{sentinel:g} in {count} step{'s' if count > 1 else ''}, a word for no value? taken as missing")
        values[alike] = np.nan
    other = [] if price else _in_another_unit(values, series.step_s)
    if other:
        at = _at(series, other[0])
        notes.append(
            f"{len(other)} values from {at} on are a thousand times off the others, another unit? taken as missing"
        )
        values[other] = np.nan
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


def _sentinels(values: Floats) -> list[float]:
    """Return the values far beyond all others that stand for no value."""
    known = values[np.isfinite(values)]
    words = [level for level in np.unique(known).tolist() if _is_sentinel(level)]
    others = known[~np.isin(known, words)]
    if len(others) < STEPS_JUDGED_MIN:
        return []
    bound = SENTINEL_FACTOR * float(np.abs(others).max())
    return [level for level in words if abs(level) > bound]


def _is_sentinel(level: float) -> bool:
    return any(round(abs(level) * factor, 6) in SENTINELS for factor in (1, 10, 100, 1000))


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


def _in_another_unit(values: Floats, step_s: int) -> list[int]:
    """Return the values, a minority, that are what the others are at their hour of the day times a unit's factor.

    A device that mostly stands by and at times runs has two levels as well; its lower one does not vary.
    """
    size = np.abs(values)
    places = np.flatnonzero(np.isfinite(values) & (size > 0))
    if len(places) < STEPS_JUDGED_MIN:
        return []
    # By logarithms: the quotient of two numbers that a file may hold may be none.
    log = np.full(len(size), -np.inf)
    log[places] = np.log(size[places])
    ordered = np.sort(log[places])
    apart = np.diff(ordered)
    cut = int(apart.argmax())
    if apart[cut] < np.log(UNIT_GAP):
        return []
    high = log > float(ordered[cut] + ordered[cut + 1]) / 2
    odd, usual = (high, ~high) if high[places].mean() < 0.5 else (~high, high)
    odd, usual = odd & np.isin(np.arange(len(size)), places), usual & np.isin(np.arange(len(size)), places)
    many = bool(odd[places].mean() > UNIT_SHARE_MAX)
    # Of two long stretches none is the odd one; use that comes and goes changes more than once.
    once = int(np.count_nonzero(np.diff(odd[places].astype(int)))) == 1
    if not _varies(size[usual]) or (many and not (once and _varies(size[odd]))):
        return []
    of_day = np.arange(len(size)) % max(1, DAY_S // step_s)
    ratios = [
        log[place] - float(np.median(alike))
        for place in np.flatnonzero(odd)
        if len(alike := log[usual & (of_day == of_day[place])])
    ]
    if not ratios:
        return []
    off = abs(float(np.median(ratios)))
    alike = any(abs(off - np.log(factor)) <= np.log(UNIT_SLACK) for factor in UNIT_FACTORS)
    if alike and many:
        later = int(places[1:][np.diff(odd[places].astype(int)) != 0][0])
        raise SeriesError(
            f"its values from step {later} on, of {len(values)}, are a thousand times off those before: another unit? "
            "give one unit, or cut the file there"
        )
    return [int(place) for place in np.flatnonzero(odd)] if alike else []


def _varies(size: Floats) -> bool:
    """Return whether values are spread over their range, as use is, and not one level."""
    low, middle, high = np.quantile(size, (0.1, 0.5, 0.9))
    return bool(high > 1.5 * low and len(np.unique(size)) >= LEVELS_MIN and middle > low)


def _stuck(values: Floats, step_s: int) -> list[tuple[int, int]]:
    """Return the stretches of a day and more on which a value that else varies stands still."""
    least = max(COUNTER_STEPS_MIN, STUCK_S // step_s)
    same = np.concatenate([[False], values[1:] == values[:-1], [False]])
    edges = np.flatnonzero(same[1:] != same[:-1])
    begins, ends = edges[::2], edges[1::2] + 1
    return [(int(first), int(last)) for first, last in zip(begins, ends, strict=False) if last - first >= least]
