"""Answers of Energy-Charts and of a file: published load, wind and sun.

Source: api.energy-charts.info (OpenAPI, ``/public_power_forecast``: one production type an answer, ``unix_seconds`` and
``forecast_values`` in MW).
"""

import csv
from datetime import UTC, datetime
from typing import Final

from domain.prices.json_answers import answer_object
from domain.prices.steps import PriceFault, ends_of, instant_of, instant_s
from domain.published.power import PowerStep, PublishedFault, Quantity, power_of

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
        answer = answer_object(body, where=where)
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


def power_file(text: str) -> dict[Quantity, list[PowerStep]]:
    """Decode a file ``start,load_mw,wind_and_sun_mw``, either column alone too; an empty cell is not known.

    Raises:
        PublishedFault: A line cannot be read; the sentence names it and why.
    """
    lines = csv.reader(text.lstrip("\ufeff").splitlines())
    header = [name.strip().lower() for name in next(lines, [])]
    columns = {
        quantity: header.index(name) for quantity, name in zip(Quantity, FILE_COLUMNS, strict=True) if name in header
    }
    if not header or header[0] != "start" or not columns:
        raise PublishedFault(f"published file: its first line is not start,{','.join(FILE_COLUMNS)}; it is not used")
    starts: list[datetime] = []
    values: dict[Quantity, list[str]] = {quantity: [] for quantity in columns}
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"published file line {lines.line_num}"
            if len(cells) != len(header):
                raise PublishedFault(f"{where} has {len(cells)} columns, the header {len(header)}; it is not used")
            starts.append(instant_of(cells[0].strip(), where=where).astimezone(UTC))
            for quantity, column in columns.items():
                values[quantity].append(cells[column].strip())
        ends = ends_of(starts)
    except PriceFault as error:
        raise PublishedFault(str(error)) from error
    return {
        quantity: [
            PowerStep(start=start, end=end, power_mw=power_of(_number(text), where="published file"))
            for start, end, text in zip(starts, ends, told, strict=True)
            if text
        ]
        for quantity, told in values.items()
    }


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text[:20]
