"""A history of local days from a file of readings, for a command that compares days."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cloud.market.tools.inputs import BadInput, mapping, only, text
from contracts.units import DELIVERY_INTERVAL_S
from domain.series.columns import Options
from domain.series.errors import SeriesError
from domain.series.read import Reading, read
from domain.series.times import zone_named

KEYS = ("file", "column", "time_column", "timezone", "unit", "measures", "decimal", "dates")
WH_PER_UNIT = {"W": 0.25, "kW": 250.0, "MW": 250_000.0, "GW": 250_000_000.0}


def with_history(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a baseline's file with the history that it names, ``{"file": "load.csv", "timezone": …}``, read.

    Raises:
        BadInput: The file cannot be read as energies; the message says what to add.
        OSError: It cannot be opened.
    """
    source = data.get("history")
    if not isinstance(source, Mapping) or "file" not in source:
        return data
    reading = reading_of(source, "history", timezone=str(data.get("timezone") or ""))
    zone = reading.zone or "UTC"
    days = _days(reading, zone, text(source, "file", "history"))
    event = mapping(data.get("event", {}), "event")
    today = event.get("day")
    first = min(days, default="")
    # A day that the file begins or ends in is no whole day; that of the event may end with it.
    kept = {
        day: values
        for day, values in days.items()
        if day == today or (day < str(today or "") and (day != first or None not in values))
    }
    return {**data, "history": kept, "timezone": zone}


def reading_of(source: Mapping[str, Any], where: str, *, timezone: str = "") -> Reading:
    """Return the series of a file that a place of another file names, ``{"file": "load.csv", "timezone": …}``.

    Raises:
        BadInput: It cannot be read; the message says what to add.
        OSError: It cannot be opened.
    """
    only(source, KEYS, where)
    name = text(source, "file", where)
    given = {key: text(source, key, where) for key in source if key != "file"}
    given.setdefault("timezone", timezone)
    try:
        return read(Path(name).read_bytes(), Options(wanted="load", **given))
    except SeriesError as error:
        raise BadInput(f"{name} cannot be read: {error}") from error


def quarters_wh(reading: Reading, name: str) -> list[float]:
    """Return the energies of a file's quarters of an hour in Wh, not a number where one is missing.

    Raises:
        BadInput: Its unit or its steps say nothing of them.
    """
    factor = WH_PER_UNIT.get(reading.unit)
    try:
        if factor is None:
            told = f"is {reading.unit}, none of power or energy" if reading.unit else "is unknown"
            raise SeriesError(f"the unit of {reading.column!r} {told}; add unit: kW, kWh, W or Wh beside the file")
        return [float(value) for value in _quarters(reading.series.values, reading.series.step_s) * factor]
    except SeriesError as error:
        raise BadInput(f"{name} cannot be read: {error}") from error


def _days(reading: Reading, zone: str, name: str) -> dict[str, list[int | None]]:
    values, local = quarters_wh(reading, name), zone_named(zone)
    start = reading.series.start.timestamp()
    days: dict[str, list[int | None]] = {}
    for index, value in enumerate(values):
        at = datetime.fromtimestamp(start + index * DELIVERY_INTERVAL_S, UTC).astimezone(local)
        of_day = days.setdefault(at.date().isoformat(), [])
        if index == 0:
            # The first day of the file has nothing before the file.
            of_day += [None] * ((at.hour * 3600 + at.minute * 60) // DELIVERY_INTERVAL_S)
        of_day.append(round(float(value)) if np.isfinite(value) else None)
    last = max(days)
    return {day: of_day for day, of_day in days.items() if day != last or len(of_day) >= 92} | {last: days[last]}


def _quarters(values: "np.ndarray[Any, np.dtype[np.float64]]", step_s: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return mean powers of quarters: those of longer steps repeated, those of shorter ones averaged."""
    if step_s >= DELIVERY_INTERVAL_S:
        if step_s % DELIVERY_INTERVAL_S or step_s > 3600:
            raise SeriesError(f"steps of {step_s} s say nothing of quarters of an hour; hourly ones do")
        return np.repeat(values, step_s // DELIVERY_INTERVAL_S)
    count = DELIVERY_INTERVAL_S // step_s
    whole = values[: len(values) // count * count].reshape(-1, count)
    mean: np.ndarray[Any, np.dtype[np.float64]] = whole.mean(axis=1)
    return mean
