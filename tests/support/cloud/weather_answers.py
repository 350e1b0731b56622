"""Answers in the shapes that weather providers document."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

Sky = Callable[[datetime], tuple[float | None, float | None]]
HOUR = timedelta(hours=1)


def open_meteo(first: datetime, hours: int, sky: Sky, *, unit: str = "W/m²") -> bytes:
    """``/v1/forecast`` with unix times; the irradiance is that of the hour before."""
    times = [first + number * HOUR for number in range(hours)]
    hourly = {
        "time": [int(time.timestamp()) for time in times],
        "shortwave_radiation": [sky(time - HOUR)[0] for time in times],
        "temperature_2m": [sky(time)[1] for time in times],
    }
    units = {"time": "unixtime", "shortwave_radiation": unit, "temperature_2m": "°C"}
    return json.dumps({"latitude": 50.0, "longitude": 10.0, "hourly_units": units, "hourly": hourly}).encode()


def brightsky(first: datetime, hours: int, sky: Sky) -> bytes:
    """``/weather``; ``solar`` is the energy of the hour before in kWh/m2."""
    rows = []
    for number in range(hours):
        time = first + number * HOUR
        ghi, air = sky(time - HOUR)[0], sky(time)[1]
        solar = None if ghi is None else ghi / 1000
        rows.append({"timestamp": time.isoformat(), "source_id": 1, "solar": solar, "temperature": air})
    return json.dumps({"weather": rows, "sources": [{"id": 1, "observation_type": "forecast"}]}).encode()
