"""Answers of Energy-Charts and of a file: published load, wind and sun.

Source: api.energy-charts.info (OpenAPI, ``/public_power_forecast``: one production type an answer, ``unix_seconds`` and
``forecast_values`` in MW).
"""

import json
from typing import Any, Final

from domain.prices.steps import PriceFault, ends_of, instant_s
from domain.published.power import PowerStep, PublishedFault, Quantity, power_of
from domain.series.columns import Options, table_of
from domain.series.errors import SeriesError
from domain.series.exact import exact_rows

# Energy-Charts tells each production type in an answer of its own.
PRODUCTION_TYPES: Final = {
    Quantity.LOAD: ("load",),
    Quantity.WIND_AND_SUN: ("solar", "wind_onshore", "wind_offshore"),
}
FILE_COLUMNS: Final = ("load_mw", "wind_and_sun_mw")


def energy_charts_power(body: bytes, *, production_type: str) -> list[PowerStep]:
    """Decode ``/public_power_forecast``; a value that is empty is not known yet and is left out.

    Raises:
        PublishedFault: The answer is cut short, of another production type, or holds what is no power.
    """
    where = "energy-charts"
    try:
        answer = _object(body, where=where)
        if answer.get("production_type") not in {production_type, None}:
            raise PublishedFault(f"{where}: the answer is of {str(answer['production_type'])[:40]}, not used")
        seconds, values = answer.get("unix_seconds"), answer.get("forecast_values")
        if not isinstance(seconds, list) or not isinstance(values, list) or len(seconds) != len(values):
            raise PublishedFault(f"{where}: unix_seconds and forecast_values are not two lists of one length")
        starts = [instant_s(value, where=where) for value in seconds]
        ends = ends_of(starts)
    except PriceFault as error:
        raise PublishedFault(str(error)) from error
    return [
        PowerStep(start=start, end=end, power_mw=power_of(value, where=where))
        for start, end, value in zip(starts, ends, values, strict=True)
        if value is not None
    ]


def power_file(data: bytes) -> dict[Quantity, list[PowerStep]]:
    """Decode a file ``start,load_mw,wind_and_sun_mw``, either column alone too; an empty cell is not known.

    Raises:
        PublishedFault: A line cannot be read; the sentence names it and why.
    """
    where = "published file"
    try:
        table, _ = table_of(data)
        names = {name.lower(): name for name in table.header}
        columns = {
            quantity: names[name] for quantity, name in zip(Quantity, FILE_COLUMNS, strict=True) if name in names
        }
        if "start" not in names or not columns:
            raise SeriesError(f"its columns are not start,{','.join(FILE_COLUMNS)}")
        rows = exact_rows(table, list(columns.values()), Options(time_column=names["start"]))
        ends = ends_of([row.start for row in rows])
    except SeriesError as error:
        raise PublishedFault(f"{where}: {error}; the file is not used") from error
    except PriceFault as error:
        raise PublishedFault(str(error)) from error
    return {
        quantity: [
            PowerStep(start=row.start, end=end, power_mw=power_of(value, where=where))
            for row, end in zip(rows, ends, strict=True)
            if (value := row.values[place]) is not None
        ]
        for place, quantity in enumerate(columns)
    }


def _object(body: bytes, *, where: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PublishedFault(f"{where}: the answer of {len(body)} bytes is no JSON, perhaps cut short") from error
    if not isinstance(answer, dict):
        raise PublishedFault(f"{where}: the answer is no JSON object; not used")
    return answer
