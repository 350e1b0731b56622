"""A site's load and PV by quarter of an hour, made from its devices' quarters: what forecasts are made from.

The load is not metered anywhere: it is what is left of the connection point when PV and batteries are taken out.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from cloud.shell.aggregates import held_mean, point_in
from cloud.stores import keys
from cloud.stores.registry import SiteRecord
from cloud.stores.tables import Put, Table, Tables
from contracts.market import SiteAgent
from contracts.units import DELIVERY_INTERVAL_S, DeliveryInterval
from domain.forecasting.series import Series

HISTORY_DAYS: Final = 112
# A message that comes late still finds its quarter open for so long: the hour since the last tick, and one before it,
# so that a tick that fell out leaves no hole.
QUARTERS_AGAIN: Final = 8
_PER_DAY: Final = 86_400 // DELIVERY_INTERVAL_S
_LENGTH_MS: Final = DELIVERY_INTERVAL_S * 1000

Quarter = tuple[float | None, float | None]


def update_history(tables: Tables, site: SiteRecord, *, until: datetime) -> None:
    """Work the last quarters that had ended at an instant into the site's days.

    Raises:
        StoreError: The tables failed.
    """
    end = DeliveryInterval.containing(until)
    starts = [end.later(-back).start for back in range(QUARTERS_AGAIN, 0, -1)]
    told = _told(tables, site, starts)
    by_day: dict[datetime, dict[int, Quarter]] = defaultdict(dict)
    for start in starts:
        day = start.replace(hour=0, minute=0)
        number = int((start - day).total_seconds()) // DELIVERY_INTERVAL_S
        by_day[day][number] = _quarter(told, site, keys.quarter_of(start))
    for day, quarters in by_day.items():
        key = keys.site_history(site.id, day)
        item = tables.get(key)
        body: dict[str, list[float | None]] = (
            item.body if item else {"load": [None] * _PER_DAY, "pv": [None] * _PER_DAY}
        )
        for number, (load_w, pv_w) in quarters.items():
            if load_w is not None:
                body["load"][number] = round(load_w, 1)
            if pv_w is not None:
                body["pv"][number] = round(pv_w, 1)
        tables.put(Put(key=key, body=body))


def read_history(tables: Tables, site: SiteRecord, *, until: datetime) -> tuple[Series | None, Series | None]:
    """Return a site's load and PV by quarter up to an instant, ``None`` each where nothing is known."""
    first = (until - timedelta(days=HISTORY_DAYS)).astimezone(UTC)
    pk = keys.site_history(site.id, until).pk
    items = tables.query(Table.FORECAST_DATA, pk, first=f"{first:%Y%m%d}", last=f"{until.astimezone(UTC):%Y%m%d}")
    days = {datetime.strptime(item.key.sk, "%Y%m%d").replace(tzinfo=UTC): item.body for item in items}
    return _series(days, "load", until), _series(days, "pv", until)


def _series(days: dict[datetime, dict[str, Any]], name: str, until: datetime) -> Series | None:
    if not any(value is not None for body in days.values() for value in body[name]):
        return None
    first = min(days)
    values: list[float | None] = []
    for number in range((max(days) - first).days + 1):
        body = days.get(first + timedelta(days=number))
        values += body[name] if body else [None] * _PER_DAY
    told = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return Series(start=first, step_s=DELIVERY_INTERVAL_S, values=told).before(until)


def battery_power_w(tables: Tables, site: SiteRecord, starts: Sequence[datetime]) -> dict[datetime, float | None]:
    """Return the mean power of a site's batteries in quarters (charging positive), ``None`` where too little is known.

    Raises:
        StoreError: The tables failed.
    """
    if not starts:
        return {}
    ordered = sorted(starts)
    told = _told(tables, site, ordered)
    found: dict[datetime, float | None] = {}
    for start in ordered:
        total: float | None = None
        for device in told.keys() - {site.meter}:
            total = _plus(total, _mean(told[device], "battery_power_w", begin_ms=keys.quarter_of(start)))
        found[start] = total
    return found


def _told(tables: Tables, site: SiteRecord, starts: Sequence[datetime]) -> dict[str, list[dict[str, Any]]]:
    """Return by device what the tables hold of quarters in a row, each item read once.

    A value told in the quarter before the first may still hold in it.
    """
    first_ms, last_ms = keys.quarter_of(starts[0]) - _LENGTH_MS, keys.quarter_of(starts[-1])
    begins = range(first_ms, last_ms + 1, _LENGTH_MS)
    table = Table.PRODUCER_METRICS if site.agent is SiteAgent.PRODUCER else Table.CONSUMER_METRICS
    wanted = {site.meter: [keys.energy_quarter(site.id, begin_ms) for begin_ms in begins]} | {
        device: [keys.asset_quarter(table, site.id, device, begin_ms, keys.METRIC_SET) for begin_ms in begins]
        for device in _devices(tables, site)
    }
    return {
        device: [item.body for key in of_device if (item := tables.get(key)) is not None]
        for device, of_device in wanted.items()
    }


def _quarter(told: Mapping[str, Sequence[dict[str, Any]]], site: SiteRecord, begin_ms: int) -> Quarter:
    """Return the mean load and PV of one quarter in W, ``None`` where too little is known."""
    connection_w = _mean(told[site.meter], "active_power_w", begin_ms=begin_ms)
    pv_w: float | None = None
    battery_w: float | None = None
    for device, quarters in told.items():
        if device != site.meter:
            pv_w = _plus(pv_w, _mean(quarters, "pv_power_w", begin_ms=begin_ms))
            battery_w = _plus(battery_w, _mean(quarters, "battery_power_w", begin_ms=begin_ms))
    if connection_w is None or (pv_w is None and site.pv_peak_w) or (battery_w is None and site.battery):
        return None, pv_w
    return connection_w - (pv_w or 0.0) - (battery_w or 0.0), pv_w


def _devices(tables: Tables, site: SiteRecord) -> list[str]:
    item = tables.get(keys.site_state(site.id, keys.LATEST))
    points = item.body["points"] if item else {}
    return sorted({point.rpartition("/")[0] for point in points} - {site.meter})


def _mean(quarters: Sequence[dict[str, Any]], name: str, *, begin_ms: int) -> float | None:
    """Return a point's time-weighted mean over the quarter that begins at an instant, where half of it is known."""
    near = [body for body in quarters if begin_ms - _LENGTH_MS <= body["begin_ms"] <= begin_ms]
    spans = [told.span for body in near for told in point_in(body, name)]
    return held_mean(spans, begin_ms=begin_ms, end_ms=begin_ms + _LENGTH_MS, known_ms_min=_LENGTH_MS // 2)


def _plus(known: float | None, more: float | None) -> float | None:
    return known if more is None else (known or 0.0) + more
