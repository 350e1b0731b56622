"""The site's own load and generation by quarter of an hour, from the gateway's history file.

Importing this needs numpy, which a 32-bit board has not.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, epoch_ms
from domain.calendar.holidays import Holidays, split
from domain.calendar.zone_place import place_of_zone
from domain.forecasting.pv import Plane
from domain.forecasting.series import Series
from edge.config import DeviceSection, SiteConfig
from edge.loop.readings import BATTERY_POWER, POWER, PV_POWER
from edge.telemetry.history_file import FILE, read_history
from edge.trading.model import IntervalEnergy
from edge.trading.own_forecast import Place
from edge.trading.plan.scenarios import DAYS_BACK, Past

_SPAN_S = 7 * 86_400
_DEG_PER_H = 15.0


def read_own(
    config: SiteConfig, *, first: datetime, until: datetime, held_back: frozenset[datetime] = frozenset()
) -> tuple[Series, Series | None]:
    """Return mean load and generation in W of the quarters of a span; no generation for a site without a generator.

    The load is what the connection point takes without generators, batteries and planned loads. A quarter in which a
    point is missing is missing, and so is the generation of one in which it was held back.

    Raises:
        sqlite3.Error: There is no such file, or it cannot be read.
    """
    count = int((until - first).total_seconds()) // DELIVERY_INTERVAL_S
    load, pv = np.full(count, np.nan), np.full(count, np.nan)
    first_s, last_s = epoch_ms(first) // 1000, epoch_ms(until) // 1000
    generators = [each for each in config.devices if each.pv_peak_w > 0]
    batteries = [each for each in config.devices if each.battery is not None]
    planned = [each for each in config.devices if each.load is not None and each.load.is_planned]
    # A week at a time: as rows, months would take more memory than all else in the process.
    for begin_s in range(first_s, last_s, _SPAN_S):
        end_s = min(begin_s + _SPAN_S, last_s)
        path = config.state_dir / FILE
        for row in read_history(path, step_s=DELIVERY_INTERVAL_S, first_s=begin_s, last_s=end_s):
            index = (row.start_s - first_s) // DELIVERY_INTERVAL_S
            connection_w = row.values.get(f"{config.connection.meter}/{POWER}")
            generated_w = _sum(row.values, generators, PV_POWER)
            stored_w = _sum(row.values, batteries, BATTERY_POWER)
            if generated_w is not None and datetime.fromtimestamp(row.start_s, UTC) not in held_back:
                pv[index] = min(0.0, generated_w)
            if connection_w is not None and generated_w is not None and stored_w is not None:
                # What the plan moves is planned, not forecast; a load whose device measures nothing stays in.
                moved_w = sum(row.values.get(f"{each.id}/{POWER}", 0.0) for each in planned)
                load[index] = max(0.0, connection_w - generated_w - stored_w - moved_w)
    of_load = Series(start=first, step_s=DELIVERY_INTERVAL_S, values=load)
    return of_load, Series(start=first, step_s=DELIVERY_INTERVAL_S, values=pv) if generators else None


def _sum(values: Mapping[str, float], devices: Iterable[DeviceSection], point: str) -> float | None:
    """Return what some devices do together, each by its own point or, unless it is a hybrid, by its whole power."""
    total = 0.0
    for device in devices:
        power_w = values.get(f"{device.id}/{point}")
        if power_w is None and not (device.pv_peak_w > 0 and device.battery is not None):
            power_w = values.get(f"{device.id}/{POWER}")
        if power_w is None:
            return None
        total += power_w
    return total


def past_weeks(load: Series, pv: Series | None, place: Place) -> Past:
    """Return the quarters of the last weeks of which load and generation are known.

    Args:
        load: Mean load by quarter in W, as ``read_own`` returns it.
        pv: Mean generation of the same quarters; ``None`` for a site without a generator.
        place: Of the site, for its clock and its holidays.
    """
    quarters_per_h = 3600 / DELIVERY_INTERVAL_S
    generated = np.zeros(len(load.values)) if pv is None else pv.values
    first = max(0, len(load.values) - DAYS_BACK * timedelta(days=1) // DELIVERY_INTERVAL)
    return Past(
        energies={
            load.start + index * DELIVERY_INTERVAL: IntervalEnergy(
                load_wh=float(load.values[index]) / quarters_per_h, pv_wh=float(generated[index]) / quarters_per_h
            )
            for index in range(first, len(load.values))
            if np.isfinite(load.values[index]) and np.isfinite(generated[index])
        },
        clock=place.clock,
        holidays=place.holidays or (),
    )


def place_of(config: SiteConfig) -> Place:
    """Return where the site is and how its days go.

    Its tariff tells wall clock and holidays; without one its time zone, or the sun where the place is known. Holidays
    that the site itself names come before the tariff's. A latitude that is not told is that of the time zone's city:
    it says whether the days grow or shrink. Panels count as they are told to look only where all
    generators' are told.
    """
    site, tariff = config.site, config.trading.priced_by
    holidays = None
    if (zone := site.time_zone if tariff is None else tariff.time_zone) is None:
        clock: tzinfo = timezone(timedelta(hours=round((site.longitude_deg or 0.0) / _DEG_PER_H)))
    else:
        clock = ZoneInfo(zone)
    if tariff is not None:
        country = "" if tariff.holidays is None else tariff.holidays.country
        subdivision = "" if tariff.holidays is None else tariff.holidays.subdivision or ""
        holidays = Holidays(country=country, subdivision=subdivision, days=tariff.holiday_dates)
    if site.holidays is not None:
        country, subdivision = split(site.holidays)
        holidays = Holidays(country=country, subdivision=subdivision)
    generators = [device for device in config.devices if device.pv_peak_w > 0]
    city = None if zone is None else place_of_zone(zone)
    all_told = all(device.pv_planes for device in generators)
    return Place(
        pv_peak_w=float(sum(device.pv_peak_w for device in generators)),
        planes=tuple(Plane(**plane.model_dump()) for device in generators for plane in device.pv_planes)
        if all_told
        else (),
        latitude_deg=city.latitude_deg if site.latitude_deg is None and city is not None else site.latitude_deg,
        longitude_deg=site.longitude_deg,
        clock=clock,
        holidays=holidays,
    )
