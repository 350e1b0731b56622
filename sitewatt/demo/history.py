"""What the cloud knows of the sites before the story starts: the days before, as they were measured and metered.

Without it every forecast of a three-minute demonstration would be that of a new customer. The day of the story itself
is in no history: the sample week repeats, so its weekday of the week before is left out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cloud.local.opening import TABLES_FILE, open_tables, tables_place
from cloud.stores import keys
from cloud.stores.tables import Put, chunks
from contracts.metering import MeterReading
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, ClockTrust, Quality
from firmware_sim.series import Week, peak_over_weeks_w, series, week_seconds
from sitewatt.demo import files
from sitewatt.demo.neighbourhood import Neighbourhood, Site

DAYS = 6
_PER_DAY = 86_400 // DELIVERY_INTERVAL_S

Days = list[tuple[datetime, dict[str, list[float | None]]]]


def write_history(folder: Path, place: Neighbourhood) -> None:
    """Fill the cloud's tables with each site's load, PV and meter readings of six days before, and of the morning."""
    cloud = files.tables(folder)
    cloud.mkdir(parents=True, exist_ok=True)
    tables = open_tables(tables_place(cloud) or cloud / TABLES_FILE)
    try:
        for site in place.sites:
            days = _days(site, place)
            history = [Put(key=keys.site_history(site.id, day), body=body) for day, body in days]
            readings = [
                Put(key=keys.meter_reading(site.id, reading.interval_start), body=_kept(reading))
                for reading in _readings(site, days)
            ]
            for part in chunks([*history, *readings]):
                tables.transact(part)
    finally:
        tables.close()


def _readings(site: Site, days: Days) -> Iterator[MeterReading]:
    """Yield what the site's meter counted; a battery that serves its own site takes what is left and gives it back."""
    battery = site.battery if site.self_consumption else None
    stored_wh = battery.capacity_wh * battery.soc_percent / 100 if battery else 0.0
    register = {"import": 0, "export": 0}
    for number, (day, body) in enumerate(days):
        for step, (load_w, pv_w) in enumerate(zip(body["load"], body["pv"], strict=True)):
            if load_w is None:
                continue
            net_wh = (load_w + (pv_w or 0.0)) * DELIVERY_INTERVAL_S / 3600
            if battery:
                power_wh = battery.power_w * DELIVERY_INTERVAL_S / 3600
                charged_wh = min(power_wh, battery.capacity_wh - stored_wh, max(-power_wh, -stored_wh, -net_wh))
                stored_wh, net_wh = stored_wh + charged_wh, net_wh + charged_wh
            counted = {"import": max(0, round(net_wh)), "export": max(0, round(-net_wh))}
            register = {name: register[name] + counted[name] for name in register}
            start = day + step * DELIVERY_INTERVAL
            yield MeterReading(
                site=site.id,
                epoch=1,
                seq=number * _PER_DAY + step + 1,
                sent_at=start + DELIVERY_INTERVAL,
                interval_start=start,
                import_wh=counted["import"],
                export_wh=counted["export"],
                register_import_wh=register["import"],
                register_export_wh=register["export"],
                quality=Quality.GOOD,
                clock=ClockTrust.SYNCED,
            )


def _kept(reading: MeterReading) -> dict[str, Any]:
    return reading.model_dump(mode="json", exclude={"v", "sent_at"})


def _days(site: Site, place: Neighbourhood) -> Days:
    """Return the UTC days with their quarters: mean power in W, PV zero or negative, ``None`` from the story on."""
    today = place.started_at.astimezone(place.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    begins = today - timedelta(days=DAYS)
    first = begins.astimezone(UTC).replace(hour=0, minute=0)
    found = []
    for number in range(DAYS + 2):
        day = first + timedelta(days=number)
        starts = [day + step * DELIVERY_INTERVAL for step in range(_PER_DAY)]
        told = [begins <= start < place.started_at - DELIVERY_INTERVAL for start in starts]
        load = [_load_w(site, place, start) if one else None for start, one in zip(starts, told, strict=True)]
        sun = [one and site.pv_peak_w > 0 for one in told]
        pv = [_pv_w(site, place, start) if one else None for start, one in zip(starts, sun, strict=True)]
        if any(told):
            found.append((day, {"load": load, "pv": pv}))
    return found


def _load_w(site: Site, place: Neighbourhood, start: datetime) -> float:
    if site.load is None or site.load.series is None:
        return 0.0
    return round(_middle(site.load.series, place, start) * site.load.scale + site.load.base_w, 1)


def _pv_w(site: Site, place: Neighbourhood, start: datetime) -> float:
    scale = site.pv_peak_w / peak_over_weeks_w(site.pv_series)
    return -round(_middle(site.pv_series, place, start) * scale, 1)


def _middle(name: str, place: Neighbourhood, start: datetime) -> float:
    """Return a series' power in the middle of a quarter."""
    middle = (start + DELIVERY_INTERVAL / 2).astimezone(place.timezone)
    return series(name, Week(place.week)).at(week_seconds(middle))
