"""What a person gives beside a series: covariates in columns, and hourly weather, on the grid of the series."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from domain.forecasting.pv import Weather, quarters_of_hours
from domain.forecasting.series import Series, regular
from domain.series.columns import Options, table_of, time_column
from domain.series.errors import SeriesError
from domain.series.exact import exact_rows
from domain.weather.answers import HOUR, WeatherHour

COLUMNS_MAX = 20
HOLD_S_MAX = 3600  # A value told by the hour holds for its hour in a series of shorter steps.


class GivenFault(ValueError):
    """A file of covariates or weather cannot be used; the sentence names the line or the column."""


def covariates_of(data: bytes, options: Options, *, step_s: int) -> dict[str, Series]:
    """Return each column of a file beside its time on the grid of a series.

    Raises:
        GivenFault: A line cannot be read, or there is nothing in the file.
    """
    try:
        table, _ = table_of(data)
        time = time_column(table, options.time_column)
        names = [name for name in table.header if name != time]
        if not 1 <= len(names) <= COLUMNS_MAX:
            raise GivenFault(f"covariates name {len(names)} columns, must be 1 to {COLUMNS_MAX}")
        rows = exact_rows(table, names, options)
    except SeriesError as error:
        raise GivenFault(f"covariates: {error}") from error
    if len(rows) < 2:
        raise GivenFault(f"covariates hold {len(rows)} lines, fewer than 2")
    gap_s = round(min((later.start - earlier.start).total_seconds() for earlier, later in pairwise(rows)))
    if gap_s <= 0:
        raise GivenFault("two lines of the covariates are of one time")
    repeats = max(1, min(gap_s, HOLD_S_MAX) // step_s)
    return {
        name: regular(
            [
                (datetime.fromtimestamp(row.start.timestamp() + step_s * repeat, UTC), row.values[index])
                for row in rows
                for repeat in range(repeats)
            ],
            step_s=step_s,
        )
        for index, name in enumerate(names)
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
