"""Times of one column: styles of dates, epochs, ranges, and naive local times in a zone."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from domain.series.errors import SeriesError, Undecided

YEAR_MIN, YEAR_MAX = 1990, 2100
# One zone for each rule of summer time; whose offsets a file carries tells its local days.
ZONES_TRIED = (
    "Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "Australia/Sydney", "Australia/Adelaide", "Pacific/Auckland", "America/Santiago",
    "America/Halifax", "Europe/Istanbul", "Europe/Chisinau",
)  # fmt: skip
_EPOCHS = ((0.6e9, 5e9, 1.0), (0.6e12, 5e12, 1e3), (0.6e15, 5e15, 1e6), (0.6e18, 5e18, 1e9))
_NUMERIC = re.compile(
    r"(?P<a>\d{1,4})[./-](?P<b>\d{1,2})[./-](?P<c>\d{2,4})\.?"
    r"(?:[T ,]+(?P<h>\d{1,2})[:.h](?P<m>\d{2})(?:[:.](?P<s>\d{2})(?:[.,]\d{1,9})?)?\s*(?P<half>[aApP]\.?[mM]\.?)?)?"
)
_NAMED = re.compile(
    r"(?:(?P<d>\d{1,2})[ .-]+(?P<mon>[A-Za-zäé]{3,9})\.?[ ,.-]+|(?P<mon2>[A-Za-zäé]{3,9})\.? (?P<d2>\d{1,2}),? +)"
    r"(?P<y>\d{4}),?(?:[T ]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}))?\s*(?P<half>[aApP]\.?[mM]\.?)?)?"
)
# With a letter or seconds before it the end of an ISO instant is its offset, else perhaps the end of a range.
_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?| \d{2}:\d{2}:\d{2})-(?:0\d|1[0-2]):\d{2}")
_OFFSET_OR_END = re.compile(r"\d{4}-\d{2}-\d{2} (\d{2}):(\d{2})-(\d{2}):(\d{2})")
_ISO_SHORT = re.compile(r"(?:\d{8}|\d{4}-?W\d{2}-?\d)T\d")
# Of a range (ENTSO-E) the beginning counts; its end may be a time of day alone.
_RANGE = re.compile(r"\s+[-–]\s+(?=\d{1,4}[./-])|(?<=:\d\d)\s*[-–]\s*(?=\d{1,2}:\d\d(?::\d\d)?$)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:[T ]?(\d{2})(\d{2})(\d{2})?)?")
_ZONE_WORD = re.compile(r"\s*\(?\b(UTC|GMT|Z|CET|CEST|MEZ|MESZ|AEST|AEDT)\)?$")
_ZONE_HOURS = {"UTC": 0, "GMT": 0, "Z": 0, "CET": 1, "MEZ": 1, "CEST": 2, "MESZ": 2, "AEST": 10, "AEDT": 11}
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_MONTH_WORDS = {"mär": 3, "mrz": 3, "maa": 3, "mei": 5, "mai": 5, "okt": 10, "dez": 12, "déc": 12, "fév": 2, "avr": 4}


class DayOrder(StrEnum):
    """Which of ``03/04/2025`` is the day."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


@dataclass(frozen=True, kw_only=True)
class Times:
    """The instants of a column in the order of its rows, ``None`` where a row has none, and what was understood."""

    at: tuple[datetime | None, ...]
    naive: bool
    zone: str
    words: tuple[str, ...] = ()


def zone_named(name: str) -> ZoneInfo:
    """Return an IANA time zone.

    Raises:
        SeriesError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise SeriesError(f"--timezone {name!r} is no IANA time zone, as Europe/Berlin is") from error


def looks_like_time(text: str) -> bool:
    """Return whether a cell may be a date or an instant, an epoch among them."""
    return _parse(text, DayOrder.DAY_FIRST) is not None or _parse(text, DayOrder.MONTH_FIRST) is not None


def read_times(cells: Sequence[str], *, zone: str, hint: str = "", order: str) -> Times:
    """Return the instants of a column.

    Args:
        cells: One text a row, oldest first as far as the file has an order.
        zone: The zone of times that have none; empty where the person named none.
        hint: The zone that a known format uses.
        order: Day first or month first.

    Raises:
        SeriesError: The zone does not exist.
    """
    style = DayOrder(order)
    parsed = [_parse(cell, style) for cell in _with_offsets(cells)]
    naive = [at for at in parsed if at is not None and at.tzinfo is None]
    name = zone or hint
    if not naive:
        found = tuple(None if at is None else _utc(at) for at in parsed)
        return Times(at=found, naive=False, zone=zone or _zone_of_offsets(parsed))
    local: tzinfo = zone_named(name) if name else UTC
    instants, skipped = _in_zone(parsed, local)
    words = [f"{skipped} rows in an hour that the clock skips left out"] if skipped else []
    return Times(at=tuple(instants), naive=True, zone=name, words=tuple(words))


def _with_offsets(cells: Sequence[str]) -> Sequence[str]:
    """Return ``2026-03-18 14:00-05:00`` as an instant with an offset, unless it is ``14:00-15:00`` in all rows."""
    found = [_OFFSET_OR_END.fullmatch(cell.strip()) for cell in cells]
    minutes = [[int(part) for part in match.groups()] for match in found if match]
    if all(0 < ((end - hour) * 60 + late - minute) % (24 * 60) <= 60 for hour, minute, end, late in minutes):
        return cells
    return [cell if match is None else cell.strip().replace(" ", "T") for cell, match in zip(cells, found, strict=True)]


def _in_zone(parsed: Sequence[datetime | None], local: tzinfo) -> tuple[list[datetime | None], int]:
    """Return naive local times as instants: of a time that comes twice in autumn the second is the later.

    Where the clock goes back by less than the file's step (Lord Howe) such a time stands once: it is the one that is a
    step after the row before.
    """
    seen: dict[datetime, int] = {}
    times = Counter(parsed)
    found: list[datetime | None] = []
    skipped = 0
    for at in parsed:
        if at is None or at.tzinfo is not None:
            found.append(None if at is None else _utc(at))
            continue
        first, second = (at.replace(tzinfo=local, fold=fold) for fold in (0, 1))
        early, late = _utc(first), _utc(second)
        if early == late:
            found.append(early)
            continue
        if late is not None and early is not None and late < early:
            skipped += 1
            found.append(None)
            continue
        seen[at] = seen.get(at, 0) + 1
        is_late = seen[at] > 1 or (times[at] == 1 and _a_step_on(found, late) and not _a_step_on(found, early))
        found.append(late if is_late else early)
    return found, skipped


def _a_step_on(found: Sequence[datetime | None], at: datetime | None) -> bool:
    """Return whether an instant is as far after the last one as that was after the one before."""
    if len(found) < 2 or at is None:
        return False
    before, last = found[-2:]
    return before is not None and last is not None and at - last == last - before


def _zone_of_offsets(parsed: Sequence[datetime | None]) -> str:
    """Return a zone whose clock changes as the offsets of the stamps do; none where they are all the same."""
    aware = [at for at in parsed if at is not None and at.utcoffset() is not None]
    changes = [at for before, at in pairwise(aware) if before.utcoffset() != at.utcoffset()]
    if not changes:
        return ""
    probes = [*changes, *aware[:: max(1, len(aware) // 50)]]
    for name in ZONES_TRIED:
        if all(at.astimezone(ZoneInfo(name)).utcoffset() == at.utcoffset() for at in probes):
            return name
    return ""


def _utc(at: datetime) -> datetime | None:
    try:
        utc = at.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return utc if YEAR_MIN <= utc.year <= YEAR_MAX else None


def day_order(cells: Sequence[str]) -> DayOrder:
    """Return which number is the day, told by one that is above twelve, or by which changes from day to day.

    Raises:
        Undecided: Days and months cannot be told apart.
    """
    pairs = []
    for cell in cells:
        match = _NUMERIC.match(cell.strip())
        if match and len(match["a"]) <= 2 and len(match["c"]) in {2, 4}:
            if "." in cell[: match.end("c")]:
                return DayOrder.DAY_FIRST
            pairs.append((int(match["a"]), int(match["b"]), match["c"]))
    if any(a > 12 for a, _, _ in pairs):
        return DayOrder.DAY_FIRST
    if any(b > 12 for _, b, _ in pairs):
        return DayOrder.MONTH_FIRST
    kinds = list(dict.fromkeys(pairs))
    if len(kinds) < 2:
        if kinds and kinds[0][0] != kinds[0][1]:
            raise Undecided(_either(cells))
        return DayOrder.DAY_FIRST
    steps = {order: [_day(one, order) for one in kinds] for order in (DayOrder.DAY_FIRST, DayOrder.MONTH_FIRST)}
    gaps = {order: _widest(days) for order, days in steps.items()}
    best = min(gaps, key=lambda order: gaps[order])
    if len(set(gaps.values())) == 1:
        raise Undecided(_either(cells))
    return best


def _either(cells: Sequence[str]) -> str:
    shown = next((cell.strip()[:30] for cell in cells if cell.strip()), "")
    return f"its dates may begin with day or month ({shown}); add --dates day-first|month-first"


def _day(pair: tuple[int, int, str], order: DayOrder) -> int | None:
    day, month = pair[:2] if order is DayOrder.DAY_FIRST else pair[1::-1]
    try:
        return date(_year(pair[2]), month, day).toordinal()
    except ValueError:
        return None


def _widest(days: Sequence[int | None]) -> int:
    known = sorted(day for day in days if day is not None)
    return max((later - earlier for earlier, later in pairwise(known)), default=0)


def _year(text: str) -> int:
    return int(text) + 2000 if len(text) == 2 else int(text)


def _parse(text: str, order: DayOrder) -> datetime | None:
    """Return an instant, without a zone where the text has none; ``None`` where it is no time."""
    # An instant may name its zone beside its offset, in brackets.
    text = re.sub(r"\[[A-Za-z_/+-]{3,40}\]$", "", text.strip().strip('"'))
    if len(text) < 6 or len(text) > 80:
        return None
    if not _OFFSET.fullmatch(text):
        text = _RANGE.split(text, maxsplit=1)[0]
    try:
        return _iso(text) or _epoch(text) or _written(text, order)
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d{2}-\d{2}", text) and not _ISO_SHORT.match(text):
        return None
    try:
        return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" +", "+"))
    except ValueError:
        return None


def _epoch(text: str) -> datetime | None:
    if not re.fullmatch(r"\d{9,19}(?:\.\d{1,9})?", text):
        return None
    value = float(text)
    for low, high, scale in _EPOCHS:
        if low <= value < high:
            return datetime.fromtimestamp(value / scale, UTC)
    return None


def _written(text: str, order: DayOrder) -> datetime | None:
    word = _ZONE_WORD.search(text)
    zone = timezone(timedelta(hours=_ZONE_HOURS[word[1]])) if word else None
    text = text[: word.start()] if word else text
    match = _NUMERIC.fullmatch(text)
    if match:
        a, b, c = match["a"], match["b"], match["c"]
        if len(a) == 4:
            year, month, day = int(a), int(b), int(c)
        elif len(a) > 2 or len(c) == 3:
            return None
        else:
            day, month = (int(a), int(b)) if order is DayOrder.DAY_FIRST else (int(b), int(a))
            year = _year(c)
        return _at(year, month, day, match, zone)
    match = _NAMED.fullmatch(text)
    if match:
        name = (match["mon"] or match["mon2"])[:3].lower()
        month = _MONTHS.index(name) + 1 if name in _MONTHS else _MONTH_WORDS.get(name, 0)
        return _at(int(match["y"]), month, int(match["d"] or match["d2"]), match, zone) if month else None
    compact = _COMPACT.fullmatch(text)
    if compact:
        year, month, day, hour, minute, second = (int(part or 0) for part in compact.groups())
        known = YEAR_MIN <= year <= YEAR_MAX
        return datetime(year, month, day, hour, minute, second, tzinfo=zone) if known else None
    return None


def _at(year: int, month: int, day: int, match: re.Match[str], zone: tzinfo | None) -> datetime:
    hour, minute, second = (int(match[part] or 0) for part in ("h", "m", "s"))
    half = (match["half"] or "").lower()[:1]
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    # 24:00 is the end of the day.
    extra = timedelta(days=1) if hour == 24 else timedelta()
    return datetime(year, month, day, hour % 24 if extra else hour, minute, second, tzinfo=zone) + extra
