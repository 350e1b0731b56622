"""What a site would have used had there been no demand-response event, from like days before it.

Everything is net import in whole Wh per interval, positive for import. Averages are rounded half to even, once.

Source: CAISO ten-in-ten (ten like weekdays, four like weekend days, 45 days back, same-day ratio from four to two hours
before the event within 0.8 to 1.2); PJM high four of five with a symmetric additive adjustment. Both leave out event
days, and weekdays are never mixed with weekends and holidays, which are alike.

Days are compared by the clock on the wall: the interval of an event at 18:00 stands beside 18:00 of a day before the
clock changed. Of the hour that comes twice in autumn the mean counts.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from cloud.market.flags import Flag
from domain.calendar.wall import DAY_QUARTERS, usual_quarters

INTERVALS_PER_HOUR = 4
INTERVALS_PER_DAY = 96
WEEKEND = 5
PERMILLE = 1000
SPRING_MONTHS = (3, 9, 10)  # In which clocks go forward, north and south.
FLAG_PERCENTILE = 95

# Net import per interval of one local day; ``None`` where no reading exists. Days of 92 and 100 intervals exist.
Day = Sequence[int | None]
# Which quarter of the wall clock each interval of a local day is, for a day and how many values are known of it.
Clock = Callable[[date, int], Sequence[int]]
Walls = dict[date, list[int | None]]


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


def wall_clock(day: date, count: int) -> Sequence[int]:
    """Return the quarters of a day by its number of intervals alone; clocks change on Sundays, before 3 o'clock."""
    return usual_quarters(count) if day.weekday() == 6 or count > DAY_QUARTERS else range(count)


def like_days(
    history: Mapping[date, Day],
    *,
    event_day: date,
    method: Method,
    excluded: Container[date] = frozenset(),
    holidays: Container[date] = frozenset(),
    clock: Clock = wall_clock,
    needed: Sequence[int] = (),
) -> list[date]:
    """Return the most recent days of the same type with complete readings, without event days.

    Args:
        history: Local days of readings.
        event_day: The day to compare with.
        method: How many days, how far back.
        excluded: Days with events.
        holidays: Days that are like weekends.
        clock: Tells the wall clock of each interval.
        needed: Quarters from a day's midnight on that must be known; below zero they are of the evening before.
    """
    rest = _rests(event_day, holidays)
    wanted = method.weekend_of if rest else method.of
    walls = _walls(history, clock)
    found: list[date] = []
    for back in range(1, method.look_back_days + 1):
        day = event_day - timedelta(days=back)
        if len(found) == wanted:
            break
        if _rests(day, holidays) is not rest or day in excluded or day not in history:
            continue
        shown = clock(day, len(history[day]))
        ends = max(shown, default=0) == DAY_QUARTERS - 1  # A day may be there without a reading.
        complete = ends and None not in history[day] and len(shown) == len(history[day])
        if complete and None not in _cells(walls, day, needed):
            found.append(day)
    return found


def _rests(day: date, holidays: Container[date]) -> bool:
    return day.weekday() >= WEEKEND or day in holidays


def _walls(history: Mapping[date, Day], clock: Clock) -> Walls:
    """Return each day by quarters of the wall clock: the mean of those that come twice, nothing for those skipped."""
    found: Walls = {}
    for day, values in history.items():
        quarters = clock(day, len(values))
        cells: list[list[int]] = [[] for _ in range(DAY_QUARTERS)]
        for quarter, value in zip(quarters, values, strict=False):
            if value is not None:
                cells[quarter].append(value)
        found[day] = [mean(cell) if cell else None for cell in cells]
    return found


def _cells(walls: Walls, day: date, quarters: Sequence[int]) -> list[int | None]:
    """Return quarters counted from a day's midnight; before it are those of the evening before."""
    found: list[int | None] = []
    for quarter in quarters:
        days, place = divmod(quarter, DAY_QUARTERS)
        of_day = walls.get(day + timedelta(days=days)) if days else walls[day]
        found.append(None if of_day is None else of_day[place])
    return found


def baseline(
    history: Mapping[date, Day],
    *,
    event_day: date,
    first: int,
    count: int,
    method: Method = TEN_OF_TEN,
    excluded: Container[date] = frozenset(),
    holidays: Container[date] = frozenset(),
    clock: Clock = wall_clock,
    anchor: int | None = None,
    connection_wh: int | None = None,
) -> Baseline | TooFewDays:
    """Return the baseline of an event from like days, or why there is none.

    Args:
        history: Local days of readings, the event day up to the event among them for the adjustment; days of 92 and
            100 intervals have as many values.
        event_day: The local day of the event.
        first: Index of the event's first interval in its day.
        count: How many intervals the event lasts; it may go on over midnight.
        method: Which days, which adjustment.
        excluded: Days with events.
        holidays: Days that are like weekends.
        clock: Tells the wall clock of each interval of a day.
        anchor: Index of the interval that the adjustment hours are counted back from, where the event began earlier;
            below zero it is of the day before.
        connection_wh: What the connection can import in one interval; a baseline above it is flagged.
    """
    begin = first if anchor is None else anchor
    window = range(begin - method.adjust_from_h * INTERVALS_PER_HOUR, begin - method.adjust_to_h * INTERVALS_PER_HOUR)
    quarters = [_quarter(history, event_day, index, clock) for index in range(first, first + count)]
    before = [_quarter(history, event_day, index, clock) for index in window]
    # The window is needed of like days only where it can be known of the event's own.
    today = [_reading(history, event_day, index, clock) for index in window]
    known = method.adjustment is not Adjustment.NONE and None not in today
    candidates = like_days(
        history,
        event_day=event_day,
        method=method,
        excluded=excluded,
        holidays=holidays,
        clock=clock,
        needed=[*quarters, *(before if known else [])],
    )
    rest = _rests(event_day, holidays)
    needed = min(method.days_min, method.weekend_of if rest else method.of)
    if len(candidates) < needed:
        return TooFewDays(found=len(candidates), needed=needed)
    walls = _walls(history, clock)
    keep = method.weekend_days if rest else method.days
    by_load = sorted(candidates, key=lambda day: (-_sum(_cells(walls, day, quarters)), -day.toordinal()))
    days = sorted(by_load[:keep])
    means = [mean(_known(column)) for column in zip(*(_cells(walls, day, quarters) for day in days), strict=True)]
    actual = _sum(today) if known else None
    usual = mean([_sum(_cells(walls, day, before)) for day in days]) if known else 0
    adjusted, ratio, addition, flags = _adjusted(actual, usual, len(window), means, method)
    if actual is not None and _unusual(history, candidates, actual, len(window)):
        flags.append(Flag.HIGH_ADJUSTMENT_LOAD)
    if connection_wh is not None and max(adjusted) > connection_wh:
        flags.append(Flag.ABOVE_CONNECTION)
    return Baseline(
        method=f"{method.name}/{method.adjustment.value}",
        intervals_wh=tuple(adjusted),
        days=tuple(days),
        ratio_permille=ratio,
        addition_wh=addition,
        flags=tuple(flags),
    )


def _length(history: Mapping[date, Day], day: date, clock: Clock) -> int:
    """Return how many intervals a local day has: by its clock where the zone is known, else by its readings."""
    full = len(clock(day, DAY_QUARTERS))
    known = len(history.get(day, ()))
    # Without a zone a short day is a Sunday of spring; any other day of so few readings ends with its event.
    short = clock is wall_clock and known in {92, 94} and day.weekday() == 6 and day.month in SPRING_MONTHS
    return full if full != DAY_QUARTERS else known if known > DAY_QUARTERS or short else DAY_QUARTERS


def _quarter(history: Mapping[date, Day], day: date, index: int, clock: Clock) -> int:
    """Return the wall quarter of an interval, counted from the midnight of its event's day."""
    length = _length(history, day, clock)
    if index < 0:
        before = day - timedelta(days=1)
        length = _length(history, before, clock)
        return clock(before, length)[length + index] - DAY_QUARTERS
    if index >= length:
        after = day + timedelta(days=1)
        return clock(after, _length(history, after, clock))[index - length] + DAY_QUARTERS
    return clock(day, length)[index]


def _reading(history: Mapping[date, Day], day: date, index: int, clock: Clock) -> int | None:
    """Return the reading of an interval of a day, below zero of the evening before."""
    if index < 0:
        day -= timedelta(days=1)
        index += _length(history, day, clock)
    values = history.get(day, ())
    return values[index] if 0 <= index < len(values) else None


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
    actual: int | None, usual: int, intervals: int, means: list[int], method: Method
) -> tuple[list[int], int, int, list[Flag]]:
    """Return the means moved to the day of the event, the ratio, the addition, and what is odd about it."""
    if method.adjustment is Adjustment.NONE:
        return means, PERMILLE, 0, []
    if actual is None:
        return means, PERMILLE, 0, [Flag.UNADJUSTED]
    if method.adjustment is Adjustment.ADDITIVE:
        difference = ratio(actual - usual, intervals)
        bound = ratio(abs(sum(means)) * method.cap_permille, PERMILLE * len(means))
        addition = max(-bound, min(bound, difference))
        flags = [Flag.CAPPED] if addition != difference else []
        return [value + addition for value in means], PERMILLE, addition, flags
    # A ratio of net flows of unlike sign, or to nothing, says nothing about the day.
    if usual == 0 or (actual < 0) != (usual < 0):
        return means, PERMILLE, 0, [] if actual == usual else [Flag.UNADJUSTED]
    moved = ratio(abs(actual) * PERMILLE, abs(usual))
    held = max(PERMILLE - method.cap_permille, min(PERMILLE + method.cap_permille, moved))
    return [ratio(value * held, PERMILLE) for value in means], held, 0, [Flag.CAPPED] if held != moved else []


def _unusual(history: Mapping[date, Day], candidates: list[date], actual: int, intervals: int) -> bool:
    """Return whether the load in the adjustment window lies above the 95th percentile of the like days' intervals."""
    usual = sorted(value for day in candidates for value in history[day] if value is not None)
    bound = usual[(len(usual) - 1) * FLAG_PERCENTILE // 100]
    return actual > bound * intervals


def _sum(values: Sequence[int | None]) -> int:
    return sum(_known(values))


def _known(values: Sequence[int | None]) -> list[int]:
    known = [value for value in values if value is not None]
    assert len(known) == len(values), "days with gaps were left out before"
    return known
