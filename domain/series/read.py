"""The reader of every series that a person brings: bytes and a few options in, a series and what was understood out."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from domain.forecasting.series import Series
from domain.series.column_unit import column_unit, is_of_something_else
from domain.series.columns import Options, column_of, oldest_first, table_of, time_column, value_columns
from domain.series.errors import SeriesError, Undecided
from domain.series.grid import ANEW, Samples, lay_out
from domain.series.numbers import decimal_of, is_missing, number
from domain.series.oddities import begins_each_day, clean, gaps, rises_without_end
from domain.series.table import Table
from domain.series.times import Times, day_order, read_times, zone_named
from domain.series.units import Measures, Unit

ODD_SHARE = 0.01
ODD_ROWS = 20  # Below so many rows none is odd: the file is wrong.
VALUE_MAX = 1e15  # Of what a person may bring, in any unit: far above the counter of a country in Wh, exact in a float.


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A column as a regular series: energies and counters as power, a missing step as NaN.

    ``understood`` is one line; ``notes`` name each oddity; ``net`` says that values below zero are meant;
    ``removed`` is the share of the values that were taken as missing.
    """

    series: Series
    column: str
    unit: str
    zone: str
    understood: str
    notes: tuple[str, ...]
    net: bool
    removed: float = 0.0


def columns_of(data: bytes, options: Options) -> tuple[str, ...]:
    """Return the columns of a file that hold values.

    Raises:
        SeriesError: The file is no table.
    """
    table, _ = table_of(data)
    time = time_column(table, options.time_column)
    return tuple(value_columns(table, time))


def read(data: bytes, options: Options) -> Reading:
    """Return one column of a file as a series.

    Raises:
        Undecided: The file can be read in more than one way; the message names the option that decides.
        SeriesError: It is no series; the message names the line or the column.
    """
    table, encoding = table_of(data)
    time = time_column(table, options.time_column)
    column = column_of(table, time, options)
    others = [name for name in value_columns(table, time) if name != column and not is_of_something_else(table, name)]
    unit = column_unit(table, column, asked=options.unit, others=others)
    if options.timezone:
        zone_named(options.timezone)
    dates = options.dates or table.dates or day_order(table.column(time))
    table = oldest_first(table, time, dates)
    times = read_times(table.column(time), zone=options.timezone, hint=table.zone, order=dates)
    samples, notes = _samples(table, time, column, times, options)
    measures = _measures(samples, column, unit, table, options)
    grid = lay_out(samples, measures)
    series = _ends(grid.series) if table.ends else grid.series
    power = unit.hourly if unit is not None and measures in {Measures.ENERGY, Measures.COUNTER} else ""
    name = power or ("" if unit is None else unit.name)
    cleaned = clean(series, unit=name, measures=measures)
    empty = gaps(series)
    words = [
        table.form,
        grid.step_words,
        times.zone or ("times without a zone taken as UTC, add --timezone" if times.naive else "UTC"),
        _quantity(unit, measures, name, endless=ANEW not in grid.notes),
        "" if encoding == "UTF-8" else encoding,
        f"{empty} gap{'s' if empty > 1 else ''}" if empty else "no gaps",
        *table.said,
        *times.words,
        *notes,
        *grid.notes,
        *cleaned.notes,
    ]
    said = tuple(dict.fromkeys([*table.said, *times.words, *notes, *grid.notes, *cleaned.notes]))
    return Reading(
        series=cleaned.series,
        column=column,
        unit=name,
        zone=times.zone,
        understood=", ".join(word for word in words if word),
        notes=said,
        net=cleaned.net,
        removed=float((np.isfinite(series.values) & ~np.isfinite(cleaned.series.values)).mean()),
    )


def _samples(table: Table, time: str, column: str, times: Times, options: Options) -> tuple[Samples, list[str]]:
    """Return the rows that have a time, and what was left out; a bad cell of a good file is named and missing."""
    cells = table.column(column)
    decimal = decimal_of(
        [cell for cell in cells if not is_missing(cell)], separator=table.separator, asked=options.decimal
    )
    at, values, lines = [], [], []
    bad_times, bad_values, too_large = [], [], []
    endless = 0
    for line, stamp, instant, cell in zip(table.lines, table.column(time), times.at, cells, strict=True):
        if instant is None:
            if stamp.strip() or cell.strip():
                bad_times.append((line, stamp or cell))
            continue
        value = None if is_missing(cell) else number(cell, decimal)
        if value is None and not is_missing(cell):
            bad_values.append((line, cell))
        elif value is not None and VALUE_MAX < abs(value) < np.inf:
            too_large.append((line, cell))
            value = None
        endless += "inf" in cell.lower()
        at.append(instant.timestamp())
        values.append(np.nan if value is None or not np.isfinite(value) else value)
        lines.append(line)
    notes = _odd(bad_times, len(table.rows), "no time") + _odd(bad_values, len(table.rows), "no number")
    notes += _odd(too_large, len(table.rows), f"beyond {VALUE_MAX:g}, more than any meter tells")
    if endless:
        notes.append(f"{endless} infinite values taken as missing")
    if not at:
        raise SeriesError("it holds no row with a time" if table.rows else "it holds a header and no rows")
    order = np.argsort(np.asarray(at), kind="stable")
    return (
        Samples(at=np.asarray(at)[order], values=np.asarray(values)[order], lines=np.asarray(lines)[order]),
        notes,
    )


def _odd(rows: list[tuple[int, str]], total: int, what: str) -> list[str]:
    if not rows:
        return []
    line, cell = rows[0]
    if total < ODD_ROWS or len(rows) > max(1, ODD_SHARE * total):
        raise SeriesError(f"line {line}: {cell.strip()[:40]!r} is {what}")
    return [f"{len(rows)} row{'s' if len(rows) > 1 else ''} left out: line {line}, {cell.strip()[:40]!r} is {what}"]


def _measures(samples: Samples, column: str, unit: Unit | None, table: Table, options: Options) -> Measures | None:
    """Return what the column holds.

    Raises:
        Undecided: It rises without end, and its unit is none of energy.
    """
    if options.measures:
        asked = Measures(options.measures)
        if asked in {Measures.ENERGY, Measures.COUNTER} and (unit is None or not unit.hourly):
            told = "unknown" if unit is None else unit.name
            raise Undecided(f"the unit of {column!r} is {told}, none of energy; add --unit Wh, kWh or MWh")
        return asked
    energy = unit is not None and unit.measures is Measures.ENERGY
    price = unit is not None and unit.measures is Measures.PRICE
    anew = not price and begins_each_day(samples.at, samples.values)
    if energy and (column in table.counters or rises_without_end(samples.at, samples.values) or anew):
        return Measures.COUNTER
    if not price and rises_without_end(samples.at, -samples.values):
        known = samples.values[np.isfinite(samples.values)]
        raise Undecided(
            f"{column!r} falls without end, from {known[0]:g} to {known[-1]:g}: a counter of what was fed in, or of "
            "what is left of a credit? turn its sign so that it rises and add --measures counter --unit kWh, or add "
            "--measures power or energy where it is none"
        )
    if anew:
        raise Undecided(
            f"{column!r} falls to almost nothing once a day and rises in between: a counter that begins each day anew? "
            "add --measures counter --unit kWh, or --measures power where it is none"
        )
    if not energy and rises_without_end(samples.at, samples.values) and not price:
        known = samples.values[np.isfinite(samples.values)]
        raise Undecided(
            f"{column!r} rises without end, from {known[0]:g} to {known[-1]:g}: a counter? add --measures counter "
            "--unit kWh, or --measures power where it is none"
        )
    if unit is None and options.wanted == "price":
        return Measures.PRICE
    return None if unit is None else unit.measures


def _ends(series: Series) -> Series:
    """Return a series whose rows were stamped with the end of their steps."""
    return Series(start=series.start - timedelta(seconds=series.step_s), step_s=series.step_s, values=series.values)


def _quantity(unit: Unit | None, measures: Measures | None, power: str, *, endless: bool) -> str:
    if unit is None:
        return "unit unknown"
    if measures is Measures.COUNTER:
        return f"{'rises without end: ' if endless else ''}{unit.name} counter → {power}"
    if measures is Measures.ENERGY:
        return f"{unit.name} a step → {power}"
    return unit.name
