"""The unit of one column: from a person, the export, its header, a column of units, or behind its numbers."""

import re
from collections.abc import Iterator, Sequence

from domain.series.errors import SeriesError
from domain.series.numbers import is_missing, letters_behind, money_beside, unit_behind
from domain.series.table import Table
from domain.series.units import Measures, OtherUnit, Unit, other_unit_in, unit_in, unit_named

UNIT_COLUMNS = frozenset({"unit", "units", "einheit", "eenheid", "unité", "unit_of_measurement"})
_BARE = re.compile(r"[-+\d.,]*")  # A number alone.
MOST = 0.5  # Of a column's cells: below it, a cell with another unit is an odd row.
# What stands beside an amount in each currency that a header may name.
_SIGNS = {
    "eur": ("€", "eur"),
    "€": ("€", "eur"),
    "gbp": ("£",),
    "usd": ("$",),
    "aud": ("$",),
    "cad": ("$",),
    "nzd": ("$",),
    "sek": ("kr",),
    "nok": ("kr",),
    "dkk": ("kr",),
}


def column_unit(table: Table, column: str, *, asked: str, others: Sequence[str]) -> Unit | None:
    """Return the unit of a column, ``None`` where nothing names it.

    Args:
        table: The file.
        column: The name of the column.
        asked: The unit that the person named; it decides.
        others: The columns of values that could be meant as well.

    Raises:
        SeriesError: It is in a unit of something else, kvarh or m³; or some of its numbers are in another unit.
    """
    if asked:
        return unit_named(asked)
    named: Unit | None = None
    for text in _words(table, column):
        if (named := unit_in(text)) is not None:
            break
        if (other := other_unit_in(text)) is not None:
            raise SeriesError(_of_something_else(column, other, others))
    cells = [cell.strip() for cell in table.column(column) if not is_missing(cell)]
    if all(_BARE.fullmatch(cell) for cell in cells):
        return named
    letters = filter(None, map(letters_behind, cells))
    behind = [other for each in letters if (other := other_unit_in(f"[{each}]")) is not None]
    if len(behind) > MOST * len(cells):
        raise SeriesError(_of_something_else(column, behind[0], others))
    _money_fits(table, column, named)
    return _of_cells(table, column, named)


def is_of_something_else(table: Table, column: str) -> bool:
    """Return whether a column's header, or what the export says of it, names a unit of another quantity."""
    text = _bracketed(dict(table.units).get(column, "")) or column
    return unit_in(text) is None and other_unit_in(text) is not None


def _bracketed(unit: str) -> str:
    return f"[{unit}]" if unit and unit_in(unit) is None else unit


def _words(table: Table, column: str) -> Iterator[str]:
    """Return what may name the unit, the surest first."""
    yield _bracketed(dict(table.units).get(column, ""))
    yield column
    for name in table.header:
        if name.lower() in UNIT_COLUMNS:
            named = {cell.strip() for cell in table.column(name) if cell.strip()}
            if len(named) == 1:
                yield _bracketed(named.pop())


def _of_something_else(column: str, other: OtherUnit, others: Sequence[str]) -> str:
    choice = f"name another column ({', '.join(others[:6])})" if others else "take a file with a power or an energy"
    return (
        f"column {column!r} is in {other.name} ({other.quantity}), neither a power nor an energy in Wh nor a price; "
        f"{choice}, or add --unit where its unit is another one"
    )


def _of_cells(table: Table, column: str, named: Unit | None) -> Unit | None:
    """Return the unit behind a column's numbers, where they have one, else the unit that the file names."""
    behind: dict[str, int] = {}
    for line, cell in zip(table.lines, table.column(column), strict=True):
        if unit := unit_behind(cell):
            behind.setdefault(unit, line)
    if not behind:
        return named
    units = sorted(behind, key=behind.__getitem__)
    if len(units) > 1:
        raise SeriesError(f"line {behind[units[1]]}: a value in {units[1]} among values in {units[0]}; give one unit")
    if units[0] == "mW":
        raise SeriesError(f"line {behind['mW']}: a value in mW, a thousandth of a W; give it in W")
    found = unit_named(units[0])
    if named is not None and named != found:
        raise SeriesError(f"line {behind[found.name]}: a value in {found.name} in a column of {named.name}; add --unit")
    return found


def _money_fits(table: Table, column: str, named: Unit | None) -> None:
    """Refuse amounts of money in a column of power or energy, and those in another currency than its header's."""
    seen: dict[str, int] = {}
    for line, cell in zip(table.lines, table.column(column), strict=True):
        if sign := money_beside(cell):
            seen.setdefault(sign.upper() if len(sign) == 3 else sign.lower(), line)
    signs = sorted(seen, key=seen.__getitem__)
    if not signs:
        return
    first = seen[signs[0]]
    if named is not None and named.measures is not Measures.PRICE:
        raise SeriesError(f"line {first}: a value in {signs[0]} in a column of {named.name}; is it a price? add --unit")
    if len({"€" if sign == "EUR" else sign for sign in signs}) > 1:
        raise SeriesError(f"line {seen[signs[1]]}: a value in {signs[1]} among values in {signs[0]}; give one unit")
    if named is not None:
        currency = named.name.split("/")[0].lower()
        fitting = _SIGNS.get(currency, (currency, "p") if currency in {"pence", "p"} else (currency,))
        if signs[0].lower() not in fitting:
            raise SeriesError(f"line {first}: a value in {signs[0]} in a column of {named.name}; add --unit")
