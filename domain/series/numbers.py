"""Numbers of one column: decimal comma or point, thousands, units behind them, words for a missing value."""

import re
from collections.abc import Sequence
from enum import StrEnum

from domain.series.errors import Undecided

MISSING = frozenset(
    {
        "", "-", "--", "—", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "unavailable", "unknown", "undefined",
        "n/e", "#n/a", "#wert!", "#value!", "missing", "inf", "+inf", "-inf", "infinity", "-infinity", "nd", "k.a.",
        "?",
    }
)  # fmt: skip
_JUNK = re.compile(r"[\s\u00a0\u202f'’_€$£]|kr|EUR", re.IGNORECASE)
_TAIL = re.compile(r"(?<=\d)\s*(?:[kKmMgG]?[wW][hH]?|p|ct)$")
_UNIT_TAIL = re.compile(r"\d\s*([kKmMgG]?[wW][hH]?)$")
_OTHER_TAIL = re.compile(r"^[-+\d.,\s]*\d\s*([^\W\d_]{1,5}[23²³]?|%|°[CF])$")
_MONEY = re.compile(r"€|\$|£|EUR|kr|(?<=\d)\s*(?:ct|p)$", re.IGNORECASE)
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


class Decimal(StrEnum):
    """What stands between whole and fraction."""

    POINT = "point"
    COMMA = "comma"


def is_missing(text: str) -> bool:
    """Return whether a cell says that there is no value."""
    return text.strip().lower() in MISSING


def bare(text: str) -> str:
    """Return a cell without spaces, currency signs and the unit behind its number; ``="…"`` of spreadsheets opened."""
    text = text.strip()
    if text.startswith("="):
        text = text[1:].strip('"')
    text = text.replace("\u2212", "-")
    return _JUNK.sub("", _TAIL.sub("", text))


def unit_behind(text: str) -> str:
    """Return the unit of power or energy that stands behind a cell's number, in its usual letters, or nothing."""
    found = _UNIT_TAIL.search(text.strip())
    if found is None:
        return ""
    letters = found[1].replace("K", "k").replace("w", "W").replace("H", "h").replace("g", "G")
    # A thousandth of a watt is no megawatt, but ``mwh`` is somebody's megawatt-hours.
    return letters if found[1].startswith("mW") else letters.replace("m", "M")


def letters_behind(text: str) -> str:
    """Return the letters or the sign that stand behind a number, of whatever unit, or nothing."""
    found = _OTHER_TAIL.search(text.strip())
    return found[1] if found else ""


def money_beside(text: str) -> str:
    """Return the sign of money that stands beside a cell's number, or nothing."""
    found = _MONEY.search(text.strip())
    return found[0].strip() if found else ""


def number(text: str, decimal: Decimal = Decimal.POINT) -> float | None:
    """Return a number, or ``None`` where the cell is none."""
    text = bare(text)
    text = text.replace(".", "").replace(",", ".") if decimal is Decimal.COMMA else text.replace(",", "")
    return float(text) if _PLAIN.fullmatch(text) else None


def decimal_of(cells: Sequence[str], *, separator: str, asked: str = "") -> Decimal:
    """Return how a column writes its decimals.

    Args:
        cells: The column's cells as they stand.
        separator: The file's separator: beside a semicolon a comma is a decimal's.
        asked: What the person said.

    Raises:
        Undecided: ``1,234`` throughout may be 1234 or 1.234.
    """
    if asked:
        return Decimal(asked)
    # A comma or a point followed by exactly three digits may be a thousands separator, anything else is a decimal.
    thousands = False
    for cell in cells:
        text = bare(cell)
        comma, point = text.rfind(","), text.rfind(".")
        if comma < 0 and point < 0:
            continue
        if comma >= 0 and point >= 0:
            return Decimal.COMMA if comma > point else Decimal.POINT
        mark = "," if comma >= 0 else "."
        if text.count(mark) > 1:
            return Decimal.POINT if mark == "," else Decimal.COMMA
        if mark == ".":
            if not re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text):
                return Decimal.POINT
        elif re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
            thousands = True
        else:
            return Decimal.COMMA
    if not thousands:
        return Decimal.POINT
    if separator == ";":
        return Decimal.COMMA
    raise Undecided("its commas may be decimals or thousands (1,234); add --decimal comma or --decimal point")
