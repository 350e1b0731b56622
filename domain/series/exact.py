"""Columns of a file as they stand, row by row, for prices and weather: nothing merged, averaged or taken out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.series.columns import Options, oldest_first, time_column
from domain.series.errors import SeriesError
from domain.series.numbers import decimal_of, is_missing, number
from domain.series.table import Table
from domain.series.times import day_order, looks_like_time, read_times, zone_named

# Words for a missing value that a calculation writes where it went wrong.
_NO_NUMBERS = ("nan", "inf")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: the line it stands on, the span it tells of as far as it says, and a value a column, ``None`` if empty."""

    line: int
    start: datetime
    end: datetime | None
    values: tuple[float | None, ...]


def exact_rows(table: Table, columns: Sequence[str], options: Options) -> list[Row]:
    """Return the rows of some columns, in the order of time.

    Args:
        table: A file, as ``table_of`` reads it.
        columns: Names of its header.
        options: What a person says about the file.

    Raises:
        SeriesError: A cell is neither a number nor empty, a row is cut short or too long, or a time has no zone; the
            message names the line.
        Undecided: Days or decimals can be read in more than one way.
    """
    time = time_column(table, options.time_column)
    if options.timezone:
        zone_named(options.timezone)
    dates = options.dates or table.dates or day_order(table.column(time))
    table = oldest_first(table, time, dates)
    places = [table.header.index(name) for name in columns]
    needed = 1 + max(places)
    for row, line in zip(table.rows, table.lines, strict=True):
        if len(row) < needed:
            raise SeriesError(f"line {line}: {len(row)} column{'s' if len(row) > 1 else ''}, fewer than {needed}")
        if any(cell.strip() for cell in row[len(table.header) :]):
            wide = f"line {line} has {len(row)} cells under {len(table.header)} names"
            raise SeriesError(f"{wide}: are its commas decimals? put values into quotes")
    starts = _instants(table, time, options, dates)
    ends = _instants(table, table.end, options, dates) if table.end else [None] * len(starts)
    values = [_numbers(table, name, options) for name in columns]
    rows = []
    for line, start, end, *of_row in zip(table.lines, starts, ends, *values, strict=True):
        known = tuple(of_row)
        if start is None and any(value is not None for value in known):
            raise SeriesError(f"line {line}: its time is in an hour that the clock skips, or beyond 1990 to 2100")
        if start is not None:
            rows.append(Row(line=line, start=start, end=end, values=known))
    return sorted(rows, key=lambda row: row.start)


def _instants(table: Table, column: str, options: Options, dates: str) -> list[datetime | None]:
    """Return the instants of a column; ``None`` in an hour that the clock skips."""
    cells = table.column(column)
    times = read_times(cells, zone=options.timezone, hint=table.zone, order=dates)
    if times.naive and not times.zone:
        raise SeriesError(
            f"line {table.lines[0]}: {cells[0].strip()[:40]!r} names no time zone; write offsets, or say which timezone"
        )
    for cell, line, at in zip(cells, table.lines, times.at, strict=True):
        if at is None and not looks_like_time(cell):
            raise SeriesError(f"line {line}: {cell.strip()[:40]!r} is no instant")
    return [None if at is None else at.astimezone(UTC) for at in times.at]


def _numbers(table: Table, column: str, options: Options) -> list[float | None]:
    cells = table.column(column)
    known = [cell for cell in cells if not is_missing(cell)]
    decimal = decimal_of(known, separator=table.separator, asked=options.decimal)
    found: list[float | None] = []
    for cell, line in zip(cells, table.lines, strict=True):
        value = number(cell, decimal)
        if value is None and (not is_missing(cell) or any(word in cell.lower() for word in _NO_NUMBERS)):
            raise SeriesError(f"line {line}: {column} {cell.strip()[:20]!r} is no number")
        found.append(value)
    return found
