"""Whether the weather that is known carries a forecast, and the same in quarters of an hour."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from contracts.units import DELIVERY_INTERVAL_S
from domain.forecasting.pv import Weather, quarters_of_hours
from domain.weather.answers import HOUR, WeatherHour

REFRESH: Final = timedelta(hours=3)  # A model runs so often.
STALE: Final = timedelta(hours=24)
REACH_MIN: Final = timedelta(hours=25)  # A forecast of a day, begun at the next quarter.

Hours = Mapping[datetime, WeatherHour]


def step_of(hours: Hours, *, told_at: datetime, at: datetime, who: str) -> tuple[bool, str]:
    """Return whether known hours carry a forecast made at an instant, and on which step it stands, in words.

    Args:
        hours: By their beginning.
        told_at: When the provider last told them.
        at: Of the forecast.
        who: The provider.
    """
    age = at - told_at
    if not hours or age > STALE:
        return False, f"no weather: {who} told none for a day"
    last = max(hours) + HOUR
    if last < at + REACH_MIN:
        return False, f"no weather: that of {who} ends {last:%Y-%m-%dT%H:%MZ}"
    return True, f"weather of {who}" + ("" if age <= REFRESH else f", {age / HOUR:.0f} h old")


def on_quarters(hours: Hours, *, latitude_deg: float, longitude_deg: float) -> Weather:
    """Return the weather of a place in quarters of an hour, NaN where an hour is missing."""
    first = min(hours)
    count = (max(hours) - first) // HOUR + 1
    ghi, air = np.full(count, np.nan), np.full(count, np.nan)
    for start, hour in hours.items():
        index = (start - first) // HOUR
        ghi[index], air[index] = hour.ghi_w_m2, hour.air_temperature_c
    return quarters_of_hours(
        first, ghi, air, latitude_deg=latitude_deg, longitude_deg=longitude_deg, step_s=DELIVERY_INTERVAL_S
    )
