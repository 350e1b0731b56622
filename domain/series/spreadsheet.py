"""Times as a spreadsheet keeps them: days counted since 1900, and the hour as a fraction of a day.

Source: the 1900 date system of Excel, in which 1 January 2024 is 45292; LibreOffice counts likewise from 30 December
1899. Files of the 1904 system (old Macintosh) count 1,462 days less and cannot be told apart: what was read is named.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from domain.series.times import YEAR_MAX, YEAR_MIN, looks_like_time

DAY_NUMBERS = "times are day numbers of a spreadsheet (1900 system)"
_EPOCH = date(1899, 12, 30)
_FIRST, _LAST = ((date(year, 1, 1) - _EPOCH).days for year in (YEAR_MIN, YEAR_MAX + 1))
_SERIAL = re.compile(r"\d{5}(?:[.,](\d{1,17}))?")
_FRACTION = re.compile(r"(?:0?[.,](\d{1,17})|[01]|\d(?:[.,]\d{1,17})?[eE]-\d{1,2})")
DAY_S = 86_400
STEP_S_MIN = 60
ROWS_MIN = 3
REGULAR_SHARE = 0.6  # So many rows follow the one before by the usual step; counters and loads do not.
FITTING_SHARE = 0.97  # Of the rows below the header.
# Of so many decimals of a day as a sheet shows, the step that its times are whole multiples of.
_ROUNDED_TO_S = {2: 900, 3: 300, 4: 60}


def dated(rows: Sequence[Sequence[str]]) -> list[list[str]] | None:
    """Return the rows with the column of day numbers written as dates; ``None`` where no column is one.

    A whole column must be of plausible days, 1990 to 2100, that follow one another in equal steps of a minute to a
    day, or stand for several rows each. Its times are local ones, as all that a spreadsheet has.
    """
    width = max((len(row) for row in rows), default=0)
    for place in range(width):
        cells = [row[place].strip() if place < len(row) else "" for row in rows]
        found = [_SERIAL.fullmatch(cell) for cell in cells]
        first = next((index for index, match in enumerate(found) if match), len(rows))
        days = [_number(match[0]) for match in found[first:] if match]
        if len(days) < max(ROWS_MIN, FITTING_SHARE * sum(bool(cell) for cell in cells[first:])):
            continue
        decimals = max(len(match[1] or "") for match in found[first:] if match)
        if all(_FIRST <= day < _LAST for day in days) and _in_steps(days, decimals):
            written = [
                cell if match is None else _written(_number(match[0]), decimals)
                for cell, match in zip(cells, found, strict=True)
            ]
            return [
                [*row[:place], text, *row[place + 1 :]] if place < len(row) else list(row)
                for row, text in zip(rows, written, strict=True)
            ]
    return None


def clock_of(cells: Sequence[str], days: Sequence[str]) -> list[str] | None:
    """Return a column of fractions of a day as times of day; ``None`` where it is no such column.

    Args:
        cells: Of the column, ``0.0416667`` for one o'clock.
        days: The day of each row, as text; within each day the fractions rise, or fall, by equal steps.
    """
    matches = [_FRACTION.fullmatch(cell.strip()) for cell in cells]
    fractions = [_number(match[0]) for match in matches if match]
    if len(fractions) < len(cells) or len(set(fractions)) < ROWS_MIN or not all(0 <= part < 1 for part in fractions):
        return None
    rises = [
        round((later - earlier) * DAY_S)
        for (earlier, later), (day, next_day) in zip(pairwise(fractions), pairwise(days), strict=True)
        if day == next_day
    ]
    decimals = max(len(match[1] or "") for match in matches if match)
    if not _equal([rise for rise in rises if rise], of=len(rises), slack_s=_slack_s(decimals)):
        return None
    return [_clock(_rounded_s(part, decimals)) for part in fractions]


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _in_steps(days: Sequence[float], decimals: int) -> bool:
    steps = [round((later - earlier) * DAY_S) for earlier, later in pairwise(days)]
    moved = [step for step in steps if step]
    # A day that stands in several rows has its hour in another column.
    whole = not decimals or all(day == int(day) for day in days)
    return _equal(moved, of=len(moved) if whole else len(steps), slack_s=_slack_s(decimals))


def _equal(steps: Sequence[int], *, of: int, slack_s: int) -> bool:
    """Return whether most steps are alike, all but few in one direction, and such as divide a day."""
    if not steps:
        return False
    rising = sum(step > 0 for step in steps)
    usual = abs(Counter(steps).most_common(1)[0][0])
    alike = [step for step in steps if abs(abs(step) - usual) <= slack_s]
    exact = round(sum(map(abs, alike)) / len(alike))
    divides = abs(DAY_S / exact - round(DAY_S / exact)) < 0.05 * DAY_S / exact if exact else False
    return (
        len(alike) >= REGULAR_SHARE * of
        and max(rising, len(steps) - rising) >= 0.9 * len(steps)
        and STEP_S_MIN - 1 <= exact <= DAY_S
        and divides
    )


def _slack_s(decimals: int) -> int:
    """Return by how many seconds two equal steps may differ where a sheet shows so many decimals of a day."""
    return 2 if decimals == 0 else max(2, round(2 * DAY_S / 10**decimals))


def _rounded_s(day: float, decimals: int) -> int:
    step_s = _ROUNDED_TO_S.get(decimals, 1)
    return round(day * DAY_S / step_s) * step_s


def _written(day: float, decimals: int) -> str:
    days, second = divmod(_rounded_s(day, decimals), DAY_S)
    at = (_EPOCH + timedelta(days=days)).isoformat()
    return f"{at} {_clock(second)}" if decimals else at


def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def without_times(cells: Sequence[str]) -> str:
    """Return what a spreadsheet did to a column that would be the times, or nothing."""
    shown = [cell.strip() for cell in cells[:60] if cell.strip()]
    if not shown or any(looks_like_time(cell) for cell in shown):
        return ""
    if all(re.fullmatch(r"#{3,}", cell) for cell in shown):
        return "has ### in place of its times: the sheet's column was too narrow; make it wider and save again"
    if all(re.fullmatch(r"\d[.,]\d{1,6}E\+\d{2}", cell, re.IGNORECASE) for cell in shown):
        return f"is rounded ({shown[0]}): a spreadsheet cut its digits off; save whole numbers or take the export"
    if all(re.fullmatch(r"\d{1,2}:\d{2}(?::\d{2})?", cell) for cell in shown):
        return f"has times of day without a date ({shown[0]}); add a column of dates"
    return ""
