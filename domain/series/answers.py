"""Answers in JSON of providers of prices and weather, as they come from the network or from a saved file.

Each is recognised by its own names; one that is broken is refused whole. Of prices with and without taxes the table
says which column is the market's.

Source: api.energy-charts.info (OpenAPI, ``/price``); awattar.de/services/api; developer.tibber.com (``priceInfo``);
docs.octopus.energy (standard unit rates, consumption); open-meteo.com/en/docs; brightsky.dev/docs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from domain.series.errors import SeriesError
from domain.series.table import Table

Records = Sequence[Mapping[str, Any]]


def known_answer(data: Any) -> Table | None:
    """Return the table of an answer that one of the providers documents, or ``None`` where it is none of theirs.

    Raises:
        SeriesError: It is one of theirs and refuses, or does not hold what it documents.
    """
    if not isinstance(data, dict):
        return None
    return next((table for decode in ANSWERS if (table := decode(data)) is not None), None)


def text(value: Any) -> str:
    """Return a value of JSON as the cell of a table, empty where it is null."""
    return "" if value is None else str(value)


def _energy_charts(answer: Mapping[str, Any]) -> Table | None:
    """Decode ``/price``: two lists of one length, seconds and prices per MWh."""
    if not {"unix_seconds", "price"} <= set(answer):
        return None
    columns = _columns(answer, ("unix_seconds", "price"), form="Energy-Charts")
    unit = text(answer.get("unit")).replace(" ", "")
    return _table(columns, form="Energy-Charts", time="unix_seconds", units={"price": unit}, price="price")


def _awattar(answer: Mapping[str, Any]) -> Table | None:
    """Decode ``/v1/marketdata``: a list of prices per MWh with both ends in epoch milliseconds."""
    rows = answer.get("data")
    if answer.get("object") != "list" or not isinstance(rows, list):
        return None
    columns = _fields(rows, ("start_timestamp", "end_timestamp", "marketprice"), form="aWATTar")
    unit = _one_of(rows, "unit", form="aWATTar")
    return _table(
        columns,
        form="aWATTar",
        time="start_timestamp",
        end="end_timestamp",
        units={"marketprice": unit},
        price="marketprice",
    )


def _tibber(answer: Mapping[str, Any]) -> Table | None:
    """Decode today's and tomorrow's price per kWh, by quarter or hour, of the first home that has a subscription."""
    homes = _deep(answer, "data", "viewer", "homes")
    errors = answer.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict) and not homes:
        raise SeriesError(f"it is a refusal: {text(errors[0].get('message'))[:120]}")
    if not isinstance(homes, list):
        return None
    infos = [info for home in homes if isinstance(info := _deep(home, "currentSubscription", "priceInfo"), dict)]
    if not infos:
        raise SeriesError("no home of its Tibber answer has a subscription with prices")
    rows = [row for day in ("today", "tomorrow") for row in infos[0].get(day) or []]
    names = [name for name in ("energy", "total", "tax") if any(isinstance(row, dict) and name in row for row in rows)]
    columns = _fields(rows, ("startsAt", *names), form="Tibber")
    currency = _one_of(rows, "currency", form="Tibber")
    units = dict.fromkeys(names, f"{currency}/kWh" if currency else "")
    return _table(columns, form="Tibber", time="startsAt", units=units, price=names[0] if names else "")


def _octopus(answer: Mapping[str, Any]) -> Table | None:
    """Decode standard unit rates, pence per kWh over half hours, or what a meter counted in them."""
    rows = answer.get("results")
    if not isinstance(rows, list) or "count" not in answer:
        return None
    if any(isinstance(row, dict) and "interval_start" in row for row in rows):
        columns = _fields(rows, ("interval_start", "interval_end", "consumption"), form="Octopus")
        return _table(columns, form="Octopus", time="interval_start", end="interval_end", units={"consumption": "kWh"})
    # A rate without an end is a tariff of one price.
    names = ("value_exc_vat", "value_inc_vat")
    columns = _fields(rows, ("valid_from", "valid_to", *names), form="Octopus")
    units = dict.fromkeys(names, "p/kWh")
    return _table(columns, form="Octopus", time="valid_from", end="valid_to", units=units, price=names[0])


def _open_meteo(answer: Mapping[str, Any]) -> Table | None:
    """Decode the hours of ``/v1/forecast``, in epoch seconds or in the clock of the answer's time zone."""
    hourly, units = answer.get("hourly"), answer.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict):
        return None
    columns = _columns(hourly, ("time", *(name for name in hourly if name != "time")), form="Open-Meteo")
    zone = "" if units.get("time") == "unixtime" else text(answer.get("timezone")) or "GMT"
    told = {name: text(units.get(name)) for name in columns if name != "time"}
    return _table(columns, form="Open-Meteo", time="time", zone=zone, units=told)


def _bright_sky(answer: Mapping[str, Any]) -> Table | None:
    """Decode ``/weather``: ``solar`` is the energy of the hour before in kWh/m²."""
    rows = answer.get("weather")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "solar" in row for row in rows):
        return None
    columns = _fields(rows, ("timestamp", "solar", "temperature"), form="Bright Sky")
    return _table(columns, form="Bright Sky", time="timestamp", units={"solar": "kWh/m²", "temperature": "°C"})


ANSWERS: tuple[Callable[[Mapping[str, Any]], Table | None], ...] = (
    _energy_charts,
    _awattar,
    _tibber,
    _octopus,
    _open_meteo,
    _bright_sky,
)


def _columns(answer: Mapping[str, Any], names: Sequence[str], *, form: str) -> dict[str, list[str]]:
    """Return lists that stand side by side."""
    found = {name: answer.get(name) for name in names}
    columns = {name: [text(value) for value in values] for name, values in found.items() if isinstance(values, list)}
    if len(columns) < len(names) or len({len(values) for values in columns.values()}) > 1:
        raise SeriesError(f"{', '.join(names[:6])} of its {form} answer are not lists of one length")
    return columns


def _fields(rows: Sequence[Any], names: Sequence[str], *, form: str) -> dict[str, list[str]]:
    """Return the fields of a list of records, empty where a record has none."""
    if not all(isinstance(row, dict) for row in rows):
        raise SeriesError(f"the {form} answer is no list of records")
    return {name: [text(row.get(name)) for row in rows] for name in names}


def _one_of(rows: Records, name: str, *, form: str) -> str:
    found = sorted({text(row.get(name)) for row in rows})
    if len(found) > 1:
        raise SeriesError(f"the {form} answer holds {name} {' and '.join(map(repr, found[:3]))}; give one")
    return found[0] if found else ""


def _table(
    columns: Mapping[str, Sequence[str]],
    *,
    form: str,
    time: str,
    units: Mapping[str, str],
    end: str = "",
    zone: str = "",
    price: str = "",
) -> Table:
    rows = tuple(zip(*columns.values(), strict=True))
    return Table(
        header=tuple(columns),
        rows=rows,
        lines=tuple(range(1, len(rows) + 1)),
        form=form,
        zone=zone,
        time=time,
        end=end,
        price=price,
        units=tuple((name, unit) for name, unit in units.items() if unit),
    )


def _deep(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
