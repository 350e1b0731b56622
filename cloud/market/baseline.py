"""What a site would have used had there been no demand-response event, from like days before it.

Everything is net import in whole Wh per interval, positive for import. Averages are rounded half to even, once.

Source: CAISO ten-in-ten (ten like weekdays, four like weekend days, 45 days back, same-day ratio from four to two hours
before the event within 0.8 to 1.2); PJM high four of five with a symmetric additive adjustment. Both leave out event
days and holidays, and weekdays and weekends are never mixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

INTERVALS_PER_HOUR = 4
INTERVALS_PER_DAY = 96
WEEKEND = 5
PERMILLE = 1000
FLAG_PERCENTILE = 95

# Net import per interval of one local day; ``None`` where no reading exists. Days of 92 and 100 intervals exist.
Day = Sequence[int | None]


class Adjustment(StrEnum):
    """How the mean of like days is moved to the day of the event."""

    NONE = "none"
    RATIO = "ratio"
    ADDITIVE = "additive"


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to choose days and to adjust.

    Args:
        name: Stands in the ledger beside the result.
        days: The highest ``days`` of the ``of`` most recent like days; equal numbers take them all.
        of: How many like weekdays are looked at.
        weekend_days: The same for weekends.
        weekend_of: The same for weekends.
        look_back_days: How far back a like day may lie.
        days_min: With fewer like days there is no baseline.
        adjustment: How the day of the event moves the mean.
        adjust_from_h: The adjustment window begins so many hours before the event.
        adjust_to_h: The window ends so many hours before the event.
        cap_permille: The ratio stays within ``1000 ± cap``, the addition within that share of the mean.
    """

    name: str
    days: int
    of: int
    weekend_days: int
    weekend_of: int
    look_back_days: int = 45
    days_min: int = 5
    adjustment: Adjustment = Adjustment.RATIO
    adjust_from_h: int = 4
    adjust_to_h: int = 2
    cap_permille: int = 200


TEN_OF_TEN = Method(name="10-of-10", days=10, of=10, weekend_days=4, weekend_of=4)
HIGH_FOUR_OF_FIVE = Method(
    name="high-4-of-5",
    days=4,
    of=5,
    weekend_days=2,
    weekend_of=3,
    days_min=4,
    adjustment=Adjustment.ADDITIVE,
    adjust_from_h=4,
    adjust_to_h=1,
)
METHODS = {method.name: method for method in (TEN_OF_TEN, HIGH_FOUR_OF_FIVE)}
PRE_EVENT = "pre-event"


class Flag(StrEnum):
    """Why someone should look at a baseline before it is paid on."""

    HIGH_ADJUSTMENT_LOAD = "high-adjustment-load"
    ABOVE_CONNECTION = "above-connection"
    FEW_DAYS = "few-days"
    CAPPED = "capped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A baseline per interval of the event, how it was made, and what looks odd."""

    method: str
    intervals_wh: tuple[int, ...]
    days: tuple[date, ...]
    ratio_permille: int = PERMILLE
    addition_wh: int = 0
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TooFewDays:
    """Why there is no baseline: this many like days, of those needed."""

    found: int
    needed: int


def like_days(
    history: Mapping[date, Day], *, event_day: date, method: Method, excluded: frozenset[date] = frozenset()
) -> list[date]:
    """Return the most recent days of the same type with complete readings, without event days and holidays."""
    weekend = event_day.weekday() >= WEEKEND
    wanted = method.weekend_of if weekend else method.of
    found: list[date] = []
    for back in range(1, method.look_back_days + 1):
        day = event_day - timedelta(days=back)
        if len(found) == wanted:
            break
        if (day.weekday() >= WEEKEND) is not weekend or day in excluded or day not in history:
            continue
        if len(history[day]) == INTERVALS_PER_DAY and None not in history[day]:
            found.append(day)
    return found


def baseline(
    history: Mapping[date, Day],
    *,
    event_day: date,
    first: int,
    count: int,
    method: Method = TEN_OF_TEN,
    excluded: frozenset[date] = frozenset(),
    connection_wh: int | None = None,
) -> Baseline | TooFewDays:
    """Return the baseline of an event from like days, or why there is none.

    Args:
        history: Local days of readings, the event day up to the event among them for the adjustment.
        event_day: The local day of the event.
        first: Index of the event's first interval in its day.
        count: How many intervals the event lasts.
        method: Which days, which adjustment.
        excluded: Days with events, and holidays.
        connection_wh: What the connection can import in one interval; a baseline above it is flagged.
    """
    candidates = like_days(history, event_day=event_day, method=method, excluded=excluded)
    weekend = event_day.weekday() >= WEEKEND
    needed = min(method.days_min, method.weekend_of if weekend else method.of)
    if len(candidates) < needed:
        return TooFewDays(found=len(candidates), needed=needed)
    keep = method.weekend_days if weekend else method.days
    span = range(first, first + count)
    by_load = sorted(candidates, key=lambda day: (-_sum(history[day], span), -day.toordinal()))
    days = sorted(by_load[:keep])
    means = [mean([_value(history[day], index) for day in days]) for index in span]
    window = range(first - method.adjust_from_h * INTERVALS_PER_HOUR, first - method.adjust_to_h * INTERVALS_PER_HOUR)
    adjusted, ratio, addition, capped = _adjusted(
        history.get(event_day, ()), window, [history[day] for day in days], means, method
    )
    flags = [
        *([Flag.CAPPED] if capped else []),
        *([Flag.HIGH_ADJUSTMENT_LOAD] if _unusual(history, event_day, window, candidates) else []),
        *([Flag.ABOVE_CONNECTION] if connection_wh is not None and max(adjusted) > connection_wh else []),
    ]
    return Baseline(
        method=f"{method.name}/{method.adjustment.value}",
        intervals_wh=tuple(adjusted),
        days=tuple(days),
        ratio_permille=ratio,
        addition_wh=addition,
        flags=tuple(flags),
    )


def pre_event(before_wh: Sequence[int], *, count: int, connection_wh: int | None = None) -> Baseline | TooFewDays:
    """Return the mean of the intervals right before an event, for a site with too short a history.

    Always flagged ``FEW_DAYS``: it knows nothing of the time of day, and an operator decides whether to pay on it.
    """
    if not before_wh:
        return TooFewDays(found=0, needed=1)
    level = mean(list(before_wh))
    above = connection_wh is not None and level > connection_wh
    return Baseline(
        method=PRE_EVENT,
        intervals_wh=(level,) * count,
        days=(),
        flags=(Flag.FEW_DAYS, *([Flag.ABOVE_CONNECTION] if above else [])),
    )


def mean(values: Sequence[int]) -> int:
    """Return the mean, rounded half to even."""
    return ratio(sum(values), len(values))


def ratio(numerator: int, denominator: int) -> int:
    """Return a quotient rounded half to even; the denominator is above zero."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def _adjusted(
    today: Day, window: range, like: list[Day], means: list[int], method: Method
) -> tuple[list[int], int, int, bool]:
    """Return the means moved to the day of the event, the ratio, the addition, and whether a cap held them."""
    usable = window.start >= 0 and len(today) >= window.stop and None not in today[window.start : window.stop]
    if method.adjustment is Adjustment.NONE or not usable:
        return means, PERMILLE, 0, False
    actual = _sum(today, window)
    usual = mean([_sum(day, window) for day in like])
    if method.adjustment is Adjustment.ADDITIVE:
        difference = ratio(actual - usual, len(window))
        bound = ratio(abs(sum(means)) * method.cap_permille, PERMILLE * len(means))
        addition = max(-bound, min(bound, difference))
        return [value + addition for value in means], PERMILLE, addition, addition != difference
    # A ratio of net flows of unlike sign, or to nothing, says nothing about the day.
    if usual == 0 or (actual < 0) != (usual < 0):
        return means, PERMILLE, 0, False
    moved = ratio(abs(actual) * PERMILLE, abs(usual))
    held = max(PERMILLE - method.cap_permille, min(PERMILLE + method.cap_permille, moved))
    return [ratio(value * held, PERMILLE) for value in means], held, 0, held != moved


def _unusual(history: Mapping[date, Day], event_day: date, window: range, candidates: list[date]) -> bool:
    """Return whether the load in the adjustment window lies above the 95th percentile of the like days' intervals."""
    today = history.get(event_day, ())
    if window.start < 0 or len(today) < window.stop or None in today[window.start : window.stop]:
        return False
    usual = sorted(value for day in candidates for value in history[day] if value is not None)
    bound = usual[(len(usual) - 1) * FLAG_PERCENTILE // 100]
    return _sum(today, window) > bound * len(window)


def _sum(day: Day, span: range) -> int:
    return sum(_value(day, index) for index in span)


def _value(day: Day, index: int) -> int:
    value = day[index]
    assert value is not None, "days with gaps were left out before"
    return value
