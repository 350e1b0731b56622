"""A baseline from a file: local days of readings in, what would have been used out."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from cloud.market import baseline as market
from cloud.market.baseline import METHODS, PRE_EVENT, TEN_OF_TEN, Adjustment, Baseline, Method, TooFewDays
from cloud.market.tools.inputs import BadInput, mapping, only, text, whole
from domain.calendar.holidays import Holidays, NoSuchCalendar, split
from domain.calendar.wall import quarters_of

FILE_KEYS = (
    "method",
    "adjustment",
    "event",
    "history",
    "excluded",
    "holidays",
    "timezone",
    "connection_wh",
    "before_wh",
    "comment",
)
EVENT_KEYS = ("day", "first", "count")
HOLIDAY_KEYS = ("country", "subdivision", "days")
DAY_LENGTHS = (92, 94, 96, 98, 100)
COUNT_MAX = 96


def baseline_of(data: Mapping[str, Any]) -> Baseline | TooFewDays:
    """Return the baseline of a file's event.

    Args:
        data: ``event`` of ``day, first, count``; ``history`` of local days, each a list of whole Wh per interval (92
            and 100 of them where the clock changes), the event's day up to the event; optionally ``method``,
            ``adjustment``, ``excluded`` days with events, ``holidays`` (days, a code like ``DE-BY``, or an object of
            ``country, subdivision, days``), ``timezone``, ``connection_wh``; ``before_wh`` for ``pre-event``.

    Raises:
        BadInput: The file is not of that form.
    """
    event = mapping(data.get("event", {}), "event")
    only(data, FILE_KEYS, "the file")
    only(event, EVENT_KEYS, "event")
    count = whole(event, "count", "event", least=1)
    connection = None if data.get("connection_wh") is None else whole(data, "connection_wh", "the file", least=0)
    if data.get("method") == PRE_EVENT:
        before = data.get("before_wh", [])
        if not isinstance(before, list) or not all(type(value) is int for value in before):
            raise BadInput(f"before_wh is {before!r}, not a list of whole numbers")
        return market.pre_event(before, count=count, connection_wh=connection)
    first = whole(event, "first", "event", least=0)
    clock = _clock(data)
    excluded = frozenset(_days(data, "excluded"))
    history = {
        _day(name): _readings(name, values) for name, values in mapping(data.get("history", {}), "history").items()
    }
    event_day = _day(text(event, "day", "event"))
    _check_lengths(history, event_day, clock if data.get("timezone") else None)
    length = max(market.INTERVALS_PER_DAY, len(history.get(event_day, ())))
    length = len(clock(event_day, length)) if data.get("timezone") else length
    if first >= length or count > COUNT_MAX:
        raise BadInput(f"event of {count} intervals from {first} does not begin within the {length} of its day")
    return market.baseline(
        history,
        event_day=event_day,
        first=first,
        count=count,
        method=_method(data),
        excluded=excluded,
        holidays=_holidays(data, event_day, excluded),
        clock=clock,
        connection_wh=connection,
    )


def answer_of(data: Mapping[str, Any], made: Baseline) -> dict[str, Any]:
    """Return a baseline as plain values, with the reduction where the event is metered."""
    answer: dict[str, Any] = {
        "method": made.method,
        "baseline_wh": list(made.intervals_wh),
        "days": [day.isoformat() for day in made.days],
        "ratio_permille": made.ratio_permille,
        "addition_wh": made.addition_wh,
        "flags": [flag.value for flag in made.flags],
    }
    event = data["event"]
    history = data.get("history", {})
    today = list(history.get(event.get("day"), []))
    first = event.get("first", 0)
    metered = today[first : first + event["count"]]
    if len(metered) == event["count"] and None not in metered:
        reductions = [max(0, usual - used) for usual, used in zip(made.intervals_wh, metered, strict=True)]
        answer |= {"metered_wh": metered, "reduction_wh": reductions}
    return answer


def _clock(data: Mapping[str, object]) -> Callable[[date, int], Sequence[int]]:
    if data.get("timezone") is None:
        return market.wall_clock
    name = text(data, "timezone", "the file")
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadInput(f"timezone {name!r} is no IANA time zone, as Europe/Berlin is") from error
    return lambda day, _: quarters_of(day, zone)


def _holidays(data: Mapping[str, object], event_day: date, excluded: frozenset[date]) -> Container[date]:
    """Return the days that are like weekends; an event's own day that is listed as excluded is a holiday, too."""
    own = [event_day] if event_day in excluded else []
    given = data.get("holidays", [])
    if isinstance(given, str):
        country, part = split(given)
        given = {"country": country, "subdivision": part}
    if isinstance(given, list):
        return Holidays(days=[*own, *_days(data, "holidays")])
    rule = mapping(given, "holidays")
    only(rule, HOLIDAY_KEYS, "holidays")
    try:
        return Holidays(
            country=text(rule, "country", "holidays").upper(),
            subdivision=str(rule.get("subdivision") or "").upper(),
            days=[*own, *_days(rule, "days")],
        )
    except NoSuchCalendar as error:
        raise BadInput(str(error)) from error


def _check_lengths(
    history: Mapping[date, Sequence[int | None]], event_day: date, clock: Callable[[date, int], Sequence[int]] | None
) -> None:
    """Refuse days of another step, or of another length than the clock gave them; today ends with the event."""
    for day, values in history.items():
        if day == event_day:
            continue
        full = None if clock is None else len(clock(day, len(values)))
        if full is not None and len(values) not in {0, full}:
            raise BadInput(f"history of {day} has {len(values)} values, its day has {full} quarters of an hour")
        if full is None and values and len(values) not in DAY_LENGTHS:
            raise BadInput(f"days have {len(values)} values, not 96 ({day}): one a quarter hour")


def _method(data: Mapping[str, Any]) -> Method:
    name = data.get("method", TEN_OF_TEN.name)
    method = METHODS.get(name) if isinstance(name, str) else None
    if method is None:
        raise BadInput(f"method is {name!r}, none of {', '.join([*METHODS, PRE_EVENT])}")
    adjustment = data.get("adjustment", method.adjustment.value)
    if adjustment not in set(Adjustment):
        raise BadInput(f"adjustment is {adjustment!r}, none of {', '.join(Adjustment)}")
    return replace(method, adjustment=Adjustment(adjustment))


def _days(data: Mapping[str, object], name: str) -> list[date]:
    days = data.get(name, [])
    if not isinstance(days, list):
        raise BadInput(f"{name} is {days!r}, not a list of days")
    return [_day(day) for day in days]


def _day(name: Any) -> date:
    try:
        return date.fromisoformat(name)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name!r} is not a day like 2025-03-31") from error


def _readings(name: str, values: object) -> list[int | None]:
    if not isinstance(values, list) or not all(value is None or type(value) is int for value in values):
        raise BadInput(f"history of {name} is not a list of whole Wh, null where a reading is missing")
    return values
