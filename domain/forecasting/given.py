"""What a person gives beside a series: covariates in columns, and hourly weather, on the grid of the series."""

import csv
import math
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from domain.forecasting.pv import Weather, quarters_of_hours
from domain.forecasting.series import Series, regular
from domain.weather.answers import HOUR, WeatherHour

COLUMNS_MAX = 20
HOLD_S_MAX = 3600  # A value told by the hour holds for its hour in a series of shorter steps.


class GivenFault(ValueError):
    """A file of covariates or weather cannot be used; the sentence names the line or the column."""


def covariates_of(text: str, *, step_s: int) -> dict[str, Series]:
    """Return each column of a CSV on the grid of a series: ``start`` with an offset first, then numbers.

    Raises:
        GivenFault: A line cannot be read, or there is nothing in the file.
    """
    lines = csv.reader(text.lstrip("\ufeff").splitlines())
    header = [name.strip() for name in next(lines, [])]
    if len(header) < 2 or len(header) > COLUMNS_MAX + 1:
        raise GivenFault(f"covariates name {max(0, len(header) - 1)} columns, must be 1 to {COLUMNS_MAX}")
    rows: list[tuple[datetime, list[float | None]]] = []
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"covariates line {lines.line_num}"
        if len(cells) != len(header):
            raise GivenFault(f"{where} has {len(cells)} columns, the header {len(header)}")
        try:
            at = datetime.fromisoformat(cells[0].strip())
            values = [float(cell) if cell.strip() else None for cell in cells[1:]]
        except ValueError as error:
            raise GivenFault(f"{where}: {error}") from error
        if at.tzinfo is None:
            raise GivenFault(f"{where}: {cells[0].strip()!r} names no offset")
        if any(value is not None and not math.isfinite(value) for value in values):
            raise GivenFault(f"{where} holds a number that is not finite")
        rows.append((at.astimezone(UTC), values))
    if len(rows) < 2:
        raise GivenFault(f"covariates hold {len(rows)} lines, fewer than 2")
    gap_s = round(min((later[0] - earlier[0]).total_seconds() for earlier, later in pairwise(rows)))
    if gap_s <= 0:
        raise GivenFault("the lines of the covariates are not in the order of time")
    repeats = max(1, min(gap_s, HOLD_S_MAX) // step_s)
    return {
        name: regular(
            [
                (datetime.fromtimestamp(at.timestamp() + step_s * repeat, UTC), values[index])
                for at, values in rows
                for repeat in range(repeats)
            ],
            step_s=step_s,
        )
        for index, name in enumerate(header[1:])
    }


def weather_on_grid(hours: list[WeatherHour], *, latitude_deg: float, longitude_deg: float, step_s: int) -> Weather:
    """Return hourly weather on the grid of a series.

    Raises:
        GivenFault: There is none, or the series' steps do not divide an hour.
    """
    if not hours:
        raise GivenFault("the weather file holds no hour")
    if HOUR.seconds % step_s:
        raise GivenFault(f"weather by the hour does not fit steps of {step_s} s")
    first = min(hour.start for hour in hours)
    if first.minute or first.second:
        raise GivenFault(f"weather begins at {first:%H:%M}, must begin with a full hour")
    count = (max(hour.start for hour in hours) - first) // HOUR + 1
    ghi, air = np.full(count, np.nan), np.full(count, np.nan)
    for hour in hours:
        index = (hour.start - first) // HOUR
        ghi[index], air[index] = hour.ghi_w_m2, hour.air_temperature_c
    return quarters_of_hours(first, ghi, air, latitude_deg=latitude_deg, longitude_deg=longitude_deg, step_s=step_s)
