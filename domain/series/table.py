"""Text of a file to a header and rows: separator, quotes, blank lines, what stands before the header."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.series.errors import SeriesError
from domain.series.numbers import Decimal, is_missing, number
from domain.series.spreadsheet import DAY_NUMBERS, dated
from domain.series.times import looks_like_time

SEPARATORS = ";\t|,"
_QUOTED = re.compile(r'"[^"]*"')
HEADER_WITHIN = 60  # A header stands among the first rows, below what an export says about itself.
ROWS_MAX = 5_000_000
CELL_MAX = 100_000
USUAL_SHARE = 0.8  # Of the rows, those that have as many cells as the series has.
WIDE_SHARE = 0.01  # So many rows may have a cell more than there are names.


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns by name and rows of cells, each with the line it stood on.

    ``zone`` is the time zone that a known format writes its naive times in; ``ends`` says that a row is stamped with
    the end of its step; ``end`` is the column of ends where rows tell both; ``price`` is the market's price where there
    are several, with and without taxes; ``units`` names the unit of a column whose header does not; ``said`` is what
    was understood of its times.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    separator: str = ","
    form: str = ""
    zone: str = ""
    time: str = ""
    end: str = ""
    price: str = ""
    dates: str = ""
    ends: bool = False
    units: tuple[tuple[str, str], ...] = ()
    counters: tuple[str, ...] = ()
    preamble: tuple[tuple[str, ...], ...] = ()
    said: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        position = self.header.index(name)
        return [row[position] if position < len(row) else "" for row in self.rows]

    def with_rows(self, rows: Sequence[tuple[str, ...]], lines: Sequence[int]) -> "Table":
        """Return the same columns over other rows."""
        return replace(self, rows=tuple(rows), lines=tuple(lines))


def parse(text: str) -> Table:
    """Return the table of a text.

    Raises:
        SeriesError: It has no header, no rows, or a quote that is never closed.
    """
    separator = _separator(text)
    rows, lines = _rows(text, separator)
    if not rows:
        raise SeriesError("it holds no rows")
    first = _first_data(rows)
    said: tuple[str, ...] = ()
    if first is None and (numbered := dated(rows)) is not None:
        rows, first, said = numbered, _first_data(numbered), (DAY_NUMBERS,)
    if first is None:
        return _table(rows, lines, header=0, first=1, separator=separator)
    if first == 0:
        raise SeriesError(
            f"its first line is data ({separator.join(rows[0])[:60]}), not names; put a header above it, as in time,kW"
        )
    at = _header(rows, first)
    return replace(_table(rows, lines, header=at, first=first, separator=separator), said=said)


def _table(rows: list[list[str]], lines: list[int], *, header: int, first: int, separator: str) -> Table:
    names = [" ".join(cell.split())[:120] for cell in rows[header]]
    for below in rows[header + 1 : first]:
        # A second line of a header has the units.
        if len(below) == len(names) and any(cell.strip().startswith("[") for cell in below):
            names = [f"{name} {unit.strip()}".strip() for name, unit in zip(names, below, strict=True)]
    counted = Counter(names)
    unique = [
        name if counted[name] == 1 and name else f"{name or 'column'} {place + 1}" for place, name in enumerate(names)
    ]
    wide = [place for place in range(first, len(rows)) if any(cell.strip() for cell in rows[place][len(unique) :])]
    if len(wide) > max(1, WIDE_SHARE * (len(rows) - first)):
        shown = rows[wide[0]]
        raise SeriesError(
            f"line {lines[wide[0]]} has {len(shown)} cells under {len(unique)} names ({separator.join(shown)[:40]}): "
            "are its commas decimals? put values into quotes or semicolons between columns, or name every column"
        )
    body = [(tuple(row), line) for row, line in zip(rows[first:], lines[first:], strict=True)]
    return Table(
        header=tuple(unique),
        rows=tuple(row for row, _ in body),
        lines=tuple(line for _, line in body),
        separator=separator,
        preamble=tuple(tuple(row) for row in rows[:header]),
    )


def _rows(text: str, separator: str) -> tuple[list[list[str]], list[int]]:
    """Return the rows that are not blank and the lines that they end on."""
    reader = csv.reader(io.StringIO(text.replace("\x00", ""), newline=""), delimiter=separator, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    before = 0
    try:
        for row in reader:
            began, before = before + 1, reader.line_num
            if reader.line_num - began > 50 or any(len(cell) > CELL_MAX for cell in row):
                raise SeriesError(f"line {began} opens a quote that is not closed")
            if any(cell.strip() for cell in row) and not (row[0].lstrip().startswith("#") and not rows):
                rows.append(row)
                lines.append(reader.line_num)
            if len(rows) > ROWS_MAX:
                raise SeriesError(f"it holds more than {ROWS_MAX} rows; cut it into years")
    except csv.Error as error:
        raise SeriesError(f"line {reader.line_num} is no line of a table: {error}; is a quote not closed?") from error
    return rows, lines


def _separator(text: str) -> str:
    """Return the separator that cuts most lines into equally many columns; a comma may be a decimal's.

    What stands in quotes separates nothing, as in ``"BZN|BE"``. A bar inside of one cell cuts into fewer columns than a
    comma does.
    """
    sample = [line for line in text.splitlines()[:200] if line.strip()][:80]
    if sample and sample[0].lower().startswith("sep=") and len(sample[0].strip()) == 5:
        return sample[0].strip()[-1]
    bare = [_QUOTED.sub("", line) for line in sample]
    shares: dict[str, float] = {}
    widths: dict[str, int] = {}
    for mark in SEPARATORS:
        counts = Counter(line.count(mark) + 1 for line in bare)
        widths[mark], lines = max(counts.items(), key=lambda item: (item[1] if item[0] > 1 else 0, item[0]))
        shares[mark] = lines / len(bare) if widths[mark] > 1 else 0.0
    best = max(shares.values())
    if not best:
        return ","
    found = next(mark for mark in SEPARATORS if shares[mark] >= best - 0.02)
    return "," if found == "|" and shares[","] >= best - 0.02 and widths[","] > widths["|"] else found


def _first_data(rows: list[list[str]]) -> int | None:
    """Return the first row with a time and a value; a block of facts, of another width than most rows, has none.

    A block of facts has dates too, from when to when the file is.
    """
    found = [index for index, row in enumerate(rows[:HEADER_WITHIN]) if _is_data(row)]
    usual, count = Counter(len(row) for row in rows).most_common(1)[0]
    like_most = [index for index in found if len(rows[index]) == usual]
    if count > USUAL_SHARE * len(rows) and like_most and _named_above(rows, like_most[0], usual):
        return like_most[0]
    return found[0] if found else None


def _named_above(rows: list[list[str]], first: int, width: int) -> bool:
    """Return whether a row of names of the same width stands right above."""
    return first > 0 and len(rows[first - 1]) == width and not _is_data(rows[first - 1])


def is_time(cell: str) -> bool:
    """Return whether a cell reads as a time; a bare small number does not."""
    return looks_like_time(cell)


def _is_data(row: Sequence[str]) -> bool:
    """Return whether a row has a time and, in another cell, a number or a word for none."""
    for place, cell in enumerate(row):
        if is_time(cell):
            others = [other for index, other in enumerate(row) if index != place]
            return any(_is_value(other) for other in others)
    return False


def _is_value(cell: str) -> bool:
    return is_missing(cell) or number(cell) is not None or number(cell, Decimal.COMMA) is not None


def _header(rows: list[list[str]], first: int) -> int:
    """Return the row of names above the first row of data: the widest of the last rows before it."""
    width = len(rows[first]) if first < len(rows) else max(len(row) for row in rows[:first])
    above = [index for index in range(first) if len(rows[index]) >= min(2, width)]
    if not above:
        raise SeriesError("its first line does not name a time and a value")
    wide = [index for index in above if len(rows[index]) >= width - 1]
    chosen = (wide or above)[-1]
    # Of two header lines the one in brackets has the units.
    while chosen > 0 and any(cell.strip().startswith("[") for cell in rows[chosen][:3]) and chosen - 1 in above:
        chosen -= 1
    return chosen
