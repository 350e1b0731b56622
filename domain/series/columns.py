"""What a file's table holds before it is a series: its time, its columns, and which of them is meant. Without numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.series.column_unit import is_of_something_else
from domain.series.decode import decode
from domain.series.documents import read_document
from domain.series.errors import SeriesError
from domain.series.known import recognise
from domain.series.numbers import is_missing, number
from domain.series.spreadsheet import without_times
from domain.series.table import Table, parse
from domain.series.times import looks_like_time, read_times
from domain.series.units import Measures, unit_in

# What a column is named that holds what is asked for, the surest first.
_WORDS = {
    "price": ("price", "preis", "marketprice", "value_inc_vat", "total"),
    "pv": ("pv", "solar", "produc", "yield", "generation", "erzeugung"),
    "load": ("load", "consumption", "consommation", "verbrauch", "bezug", "afname", "usage", "demand"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person says about a file; empty where the file shall tell.

    ``wanted`` is what the series is for (``load``, ``pv``, ``price``): it chooses among columns.
    """

    column: str = ""
    time_column: str = ""
    timezone: str = ""
    unit: str = ""
    measures: str = ""
    decimal: str = ""
    dates: str = ""
    wanted: str = ""


def table_of(data: bytes) -> tuple[Table, str]:
    text, encoding = decode(data)
    document = read_document(text)
    return (document if document is not None else recognise(parse(text))), encoding


def column_named(table: Table, name: str, choice: Sequence[str]) -> str:
    if name in table.header:
        return name
    alike = [known for known in table.header if known.lower() == name.lower()]
    if len(alike) != 1:
        raise SeriesError(f"it has no column {name!r}, only {', '.join(choice[:12])}")
    return alike[0]


def time_column(table: Table, asked: str) -> str:
    if asked:
        return column_named(table, asked, table.header)
    if table.time:
        return table.time
    for name in table.header:
        cells = [cell for cell in table.column(name)[:60] if cell.strip()]
        if cells and sum(looks_like_time(cell) for cell in cells) >= 0.6 * len(cells):
            return name
    for name in table.header:
        if told := without_times(table.column(name)):
            raise SeriesError(f"its column {name!r} {told}")
    raise SeriesError(
        f"none of its columns ({', '.join(table.header[:8])}) is a time as 2025-10-31 14:00; name one by --time-column"
        if table.rows
        else "it holds a header and no rows"
    )


def value_columns(table: Table, time: str) -> list[str]:
    """Return the columns that hold numbers, times of an end left out."""
    found = []
    for name in table.header:
        if name in {time, table.end}:
            continue
        cells = [cell for cell in table.column(name)[:400] if not is_missing(cell)]
        numbers = sum(number(cell) is not None or _comma(cell) for cell in cells)
        if (not cells and name) or (numbers >= 0.5 * len(cells) and not _is_times(cells)):
            found.append(name)
    return found or [name for name in table.header if name != time]


def _comma(cell: str) -> bool:
    return number(cell.replace(".", "").replace(",", ".")) is not None


def _is_times(cells: Sequence[str]) -> bool:
    return sum(looks_like_time(cell) for cell in cells[:20]) > len(cells[:20]) // 2


def column_of(table: Table, time: str, options: Options) -> str:
    values = value_columns(table, time)
    if not values:
        raise SeriesError(f"it has no column of values beside {time}")
    if options.column:
        return column_named(table, options.column, [name for name in table.header if name != time])
    if options.wanted == "price" and table.price:
        return table.price
    full = [name for name in values if any(not is_missing(cell) for cell in table.column(name))] or values
    full = [name for name in full if not is_of_something_else(table, name)] or full
    for name in full:
        unit = unit_in(name)
        if options.wanted == "price" and unit is not None and unit.measures is Measures.PRICE:
            return name
    for word in _WORDS.get(options.wanted, ()):
        for name in full:
            if word in name.lower():
                return name
    return next((name for name in full if _may_be(table, name, options.wanted)), full[0])


def _may_be(table: Table, name: str, wanted: str) -> bool:
    """Return whether a column may hold what is asked for: a load is a power or an energy, and no generation."""
    if wanted != "load":
        return True
    unit = unit_in(dict(table.units).get(name, "")) or unit_in(name)
    flows = unit is not None and unit.measures in {Measures.POWER, Measures.ENERGY}
    return flows and not any(word in name.lower() for word in _WORDS["pv"])


def oldest_first(table: Table, time: str, dates: str) -> Table:
    """Return the rows the other way round where the file has the newest first: order tells autumn's hours apart."""
    cells = table.column(time)
    sample = read_times(cells[:: max(1, len(cells) // 500)], zone="UTC", order=dates).at
    at = [instant for instant in sample if instant is not None]
    falls = sum(later < earlier for earlier, later in pairwise(at))
    if at and falls > (len(at) - 1) / 2:
        return table.with_rows(table.rows[::-1], table.lines[::-1])
    return table
