"""Answers of weather providers: global irradiance as the mean of an hour, air temperature at its beginning.

Each decoder takes the body as it came and returns its hours, or raises ``WeatherFault`` and nothing is used. What a
provider leaves empty is not known and is left out.

Source: open-meteo.com/en/docs (``shortwave_radiation`` is the mean of the hour before its time); brightsky.dev/docs
(``solar`` is the energy of the hour before in kWh/m2).
"""

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

HOUR: Final = timedelta(hours=1)
GHI_W_M2_MAX: Final = 1500.0
AIR_C_MIN: Final = -90.0
AIR_C_MAX: Final = 60.0
HOURS_MAX: Final = 24 * 400


class WeatherFault(ValueError):
    """An answer does not hold what its provider documents; nothing of it is used."""


@dataclass(frozen=True, kw_only=True)
class WeatherHour:
    """The hour that begins at ``start``."""

    start: datetime
    ghi_w_m2: float
    air_temperature_c: float


def open_meteo(body: bytes) -> list[WeatherHour]:
    """Decode ``/v1/forecast`` with unix times."""
    answer = _object(body, where="open-meteo")
    hourly, units = answer.get("hourly"), answer.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict):
        raise WeatherFault("open-meteo: hourly is missing; the answer is not used")
    for name, unit in (("time", "unixtime"), ("shortwave_radiation", "W/m²"), ("temperature_2m", "°C")):
        if units.get(name) != unit:
            raise WeatherFault(f"open-meteo: {name} in {str(units.get(name))[:20]!r}, expected {unit}; not used")
    columns = [hourly.get(name) for name in ("time", "shortwave_radiation", "temperature_2m")]
    times, ghi, air = (column if isinstance(column, list) else [] for column in columns)
    if not len(times) == len(ghi) == len(air):
        raise WeatherFault("open-meteo: time and values are not lists of one length; the answer is not used")
    return _hours(
        (_instant_s(times[index], where="open-meteo") - HOUR, ghi[index], air[index - 1])
        for index in range(1, len(times))
    )


def brightsky(body: bytes) -> list[WeatherHour]:
    """Decode ``/weather``."""
    rows = _object(body, where="brightsky").get("weather")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise WeatherFault("brightsky: weather is missing; the answer is not used")
    found = []
    for row in rows:
        solar = row.get("solar")
        if solar is not None and not isinstance(solar, int | float):
            raise WeatherFault(f"brightsky: solar {str(solar)[:20]!r} is no number; the answer is not used")
        ghi = None if solar is None else solar * 1000
        found.append((_instant(row.get("timestamp"), where="brightsky") - HOUR, ghi, row.get("temperature")))
    return _hours(found)


def weather_file(text: str) -> list[WeatherHour]:
    """Decode CSV with ``start`` (an offset named), ``ghi_w_m2`` and ``air_temperature_c``, one line an hour."""
    rows = csv.DictReader(text.lstrip("\ufeff").splitlines())
    missing = {"start", "ghi_w_m2", "air_temperature_c"} - set(rows.fieldnames or ())
    if missing:
        raise WeatherFault(f"weather file has no column {min(missing)}; it is not used")
    found: list[tuple[datetime, Any, Any]] = []
    for row in rows:
        where = f"weather file line {rows.line_num}"
        try:
            values = [float(row[name]) if row[name] else None for name in ("ghi_w_m2", "air_temperature_c")]
        except (TypeError, ValueError) as error:
            raise WeatherFault(f"{where}: {error}; the file is not used") from error
        found.append((_instant(row["start"], where=where), values[0], values[1]))
    return _hours(found)


def _hours(rows: Iterable[tuple[datetime, Any, Any]]) -> list[WeatherHour]:
    found = []
    for start, ghi, air in rows:
        if ghi is None or air is None:
            continue
        for value in (ghi, air):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise WeatherFault(f"weather of {start:%Y-%m-%dT%H:%MZ}: {str(value)[:20]!r} is no number; not used")
        if not -20.0 <= ghi <= GHI_W_M2_MAX or not AIR_C_MIN <= air <= AIR_C_MAX:
            raise WeatherFault(
                f"weather of {start:%Y-%m-%dT%H:%MZ}: {ghi} W/m2, {air} degrees is outside 0 to {GHI_W_M2_MAX:g} W/m2, "
                f"{AIR_C_MIN:g} to {AIR_C_MAX:g} degrees; the answer is not used"
            )
        found.append(WeatherHour(start=start, ghi_w_m2=max(0.0, float(ghi)), air_temperature_c=float(air)))
        if len(found) > HOURS_MAX:
            raise WeatherFault(f"weather of more than {HOURS_MAX} hours; the answer is not used")
    return found


def _object(body: bytes, *, where: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WeatherFault(f"{where}: the answer of {len(body)} bytes is no JSON, perhaps cut short") from error
    if not isinstance(answer, dict):
        raise WeatherFault(f"{where}: the answer is no JSON object; not used")
    return answer


def _instant(text: object, *, where: str) -> datetime:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise WeatherFault(f"{where}: {str(text)[:40]!r} is no instant; not used") from error
    if at.tzinfo is None:
        raise WeatherFault(f"{where}: {str(text)[:40]!r} names no time zone; not used")
    return at.astimezone(UTC)


def _instant_s(seconds: object, *, where: str) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 3600 <= seconds < 2**32:
        raise WeatherFault(f"{where}: {str(seconds)[:40]} is no epoch second; not used")
    return datetime.fromtimestamp(seconds, UTC)
