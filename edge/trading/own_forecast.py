"""The gateway's own forecast of its load and generation, in the form in which the cloud tells one.

Importing this needs numpy, which a 32-bit board has not.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

import numpy as np

from contracts.forecast import ForecastBroadcast
from contracts.units import DELIVERY_INTERVAL, DeliveryInterval, SiteId, ZoneId
from domain.forecasting.issue import SiteHistory, issue_forecasts
from domain.forecasting.pv import Plane, PvPlant, Weather
from domain.forecasting.series import Series

# The weights of the mix look back so far. A model under weather learns little from days of which no weather is known;
# without weather a year tells more, for twice the time.
HISTORY_DAYS = 112
YEAR_DAYS = 365
HORIZON_STEPS = 4 * 48  # A part of a third day would cost as much as a whole one: the plan's last hour has yesterday.
_LATITUDE_DEG = 48.0  # Of a site that does not tell it: only how the sun's course changes from week to week follows.
_DEG_PER_H = 15.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a site is and how its days go.

    Args:
        pv_peak_w: Of its generators, zero for none.
        planes: How their panels look, of all the peak; none where that is not told.
        latitude_deg: ``None`` where it is not told.
        longitude_deg: The same.
        clock: On its wall: its load goes by it.
        holidays: Local days that are like Sundays.
    """

    pv_peak_w: float
    planes: tuple[Plane, ...] = ()
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    clock: tzinfo = UTC
    holidays: Container[date] | None = None


def own_forecast(
    *,
    site: SiteId,
    zone: ZoneId,
    load: Series,
    pv: Series | None,
    place: Place,
    now: datetime,
    weather: Weather | None = None,
    weather_step: str = "",
) -> ForecastBroadcast | None:
    """Return the forecast from the present interval on, ``None`` where nothing was measured yet and there is no sun.

    Before the first quarter of an hour is over the load has no ground; panels have theirs in where they stand.

    Args:
        site: Whose.
        zone: Its zone.
        load: Mean load of past quarters in W.
        pv: Mean generation of the same quarters, zero or negative; ``None`` for a site without a generator.
        place: Of the site.
        now: Selects the present interval; nothing from it on is looked at.
        weather: Of the past and of the days to come, ``None`` where it is not known.
        weather_step: On which step that stands, in words.
    """
    start = DeliveryInterval.containing(now).start
    has_load = bool(np.isfinite(load.before(start).values).any())
    plant = None
    if pv is not None and place.pv_peak_w > 0:
        longitude_deg = place.longitude_deg if place.longitude_deg is not None else longitude_of(pv)
        plant = PvPlant(
            latitude_deg=_LATITUDE_DEG if place.latitude_deg is None else place.latitude_deg,
            longitude_deg=longitude_deg,
            peak_w=place.pv_peak_w,
            planes=place.planes,
        )
    if not has_load and plant is None:
        return None
    told = SiteHistory(
        site=site,
        load=load,
        pv=pv,
        has_load=has_load,
        plant=plant,
        clock=place.clock,
        holidays=place.holidays,
        weather=weather,
        weather_step=weather_step,
    )
    series = issue_forecasts([told], issued_at=start, horizon_steps=HORIZON_STEPS)
    return ForecastBroadcast(zone=zone, issued_at=now, series=series)


def longitude_of(pv: Series) -> float:
    """Return about where a generator stands, in degrees east: its energy's middle of the day is noon there.

    A generator that looks east or west stands as many degrees off; zero where it has not generated yet.
    """
    hours = (pv.start.timestamp() + pv.step_s * (np.arange(len(pv.values)) + 0.5)) / 3600 % 24
    energy = np.nan_to_num(-pv.values)
    # The mean on a ring of a day, so that a noon near midnight UTC is found as well.
    angle = hours / 24 * 2 * np.pi
    east, north = float((energy * np.sin(angle)).sum()), float((energy * np.cos(angle)).sum())
    if east == 0.0 and north == 0.0:
        return 0.0
    noon_h = float(np.arctan2(east, north)) / (2 * np.pi) * 24 % 24
    return (12.0 - noon_h) * _DEG_PER_H


def quarters_before(now: datetime, *, days: int = HISTORY_DAYS) -> datetime:
    """Return the start of the history that a forecast looks at."""
    return DeliveryInterval.containing(now).start - days * 96 * DELIVERY_INTERVAL
