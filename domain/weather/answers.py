"""Weather by the hour: global irradiance as the mean of an hour, air temperature at its beginning.

What a provider answers and what a file holds is decoded by the reader of all series; each row is taken as it stands, or
``WeatherFault`` is raised and nothing is used. What is empty is not known and is left out.

Source: open-meteo.com/en/docs (``shortwave_radiation`` is the mean of the hour before its time); brightsky.dev/docs
(``solar`` is the energy of the hour before in kWh/m2).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from domain.series.columns import Options, table_of
from domain.series.errors import SeriesError
from domain.series.exact import exact_rows
from domain.series.table import Table
from domain.weather.source import WeatherProvider

HOUR: Final = timedelta(hours=1)
GHI_W_M2_MAX: Final = 1500.0
AIR_C_MIN: Final = -90.0
AIR_C_MAX: Final = 60.0
HOURS_MAX: Final = 24 * 400
# The form that the reader tells an answer by, and the columns of each with their units: irradiance, then temperature.
FORMS: Final[Mapping[WeatherProvider, str]] = {
    WeatherProvider.OPEN_METEO: "Open-Meteo",
    WeatherProvider.BRIGHTSKY: "Bright Sky",
}
_COLUMNS: Final = {
    "Open-Meteo": {"shortwave_radiation": "W/m²", "temperature_2m": "°C"},
    "Bright Sky": {"solar": "kWh/m²", "temperature": "°C"},
}
_OWN: Final = ("ghi_w_m2", "air_temperature_c")


class WeatherFault(ValueError):
    """An answer does not hold what its provider documents; nothing of it is used."""


@dataclass(frozen=True, kw_only=True)
class WeatherHour:
    """The hour that begins at ``start``."""

    start: datetime
    ghi_w_m2: float
    air_temperature_c: float


def answered_weather(body: bytes, provider: WeatherProvider) -> list[WeatherHour]:
    """Decode a provider's answer.

    Raises:
        WeatherFault: It is not what the provider documents; nothing of it is used.
    """
    try:
        table, _ = table_of(body)
        if table.form != FORMS[provider]:
            raise SeriesError(f"it is {table.form or 'a table'}, no answer of {FORMS[provider]}")
        return _hours(_known(table, Options()))
    except SeriesError as error:
        raise WeatherFault(f"{provider}: {error}; the answer is not used") from error


def filed_weather(data: bytes, options: Options) -> list[WeatherHour]:
    """Decode a file of hours: ``start``, ``ghi_w_m2`` and ``air_temperature_c``, or a provider's export or answer.

    Raises:
        WeatherFault: It cannot be read; the sentence names line or column. Nothing of it is used.
    """
    try:
        table, _ = table_of(data)
        if table.form in FORMS.values():
            return _hours(_known(table, options))
        for name in ("start", *_OWN):
            if name not in table.header:
                raise SeriesError(f"it has no column {name}")
        rows = exact_rows(table, _OWN, replace(options, time_column=options.time_column or "start"))
        return _hours((row.start, row.values[0], row.values[1]) for row in rows)
    except SeriesError as error:
        raise WeatherFault(f"weather file: {error}; the file is not used") from error


def _known(table: Table, options: Options) -> Iterator[tuple[datetime, float | None, float | None]]:
    """Yield the hours of a known form, which stamps the mean irradiance with the end of its hour."""
    columns = _COLUMNS[table.form]
    units = dict(table.units)
    for name, unit in columns.items():
        if name not in table.header:
            raise SeriesError(f"it has no {name}")
        if table.rows and units.get(name) != unit:
            raise SeriesError(f"{name} in {units.get(name, '')[:20]!r}, expected {unit}")
    rows = exact_rows(table, list(columns), options)
    if table.form == FORMS[WeatherProvider.BRIGHTSKY]:
        for row in rows:
            solar, air = row.values
            yield row.start - HOUR, None if solar is None else solar * 1000, air
        return
    for before, row in pairwise(rows):
        yield row.start - HOUR, row.values[0], before.values[1]


def _hours(rows: Iterable[tuple[datetime, float | None, float | None]]) -> list[WeatherHour]:
    found = []
    for start, ghi, air in rows:
        if ghi is None or air is None:
            continue
        if not -20.0 <= ghi <= GHI_W_M2_MAX or not AIR_C_MIN <= air <= AIR_C_MAX:
            raise SeriesError(
                f"{start:%Y-%m-%dT%H:%MZ}: {ghi:g} W/m2, {air:g} degrees is outside 0 to {GHI_W_M2_MAX:g} W/m2, "
                f"{AIR_C_MIN:g} to {AIR_C_MAX:g} degrees"
            )
        found.append(WeatherHour(start=start, ghi_w_m2=max(0.0, ghi), air_temperature_c=air))
        if len(found) > HOURS_MAX:
            raise SeriesError(f"it holds more than {HOURS_MAX} hours")
    return found
