"""The weather of a zone's sites: asked for once per cell of a tenth of a degree, kept, and worn down in steps.

First the newest forecast, then a kept one up to a day old, then none: astronomy and the site's own past. Each issue
says on which step it stands.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloud.errors import ProviderError
from cloud.stores import keys
from cloud.stores.registry import SiteRecord, ZoneRecord
from cloud.stores.tables import Put, Table, Tables
from cloud.weather.providers import weather_of
from contracts.units import epoch_ms, instant
from domain.forecasting.pv import Weather
from domain.weather.answers import HOUR, WeatherHour
from domain.weather.known import REFRESH, on_quarters, step_of

log = logging.getLogger(__name__)

PAUSE: Final = timedelta(minutes=15)
PAUSE_MAX: Final = timedelta(hours=4)
# A tick that begins with thousands of cells takes several ticks to know them all.
CELLS_PER_TICK_MAX: Final = 40
_PER_DAY: Final = 24


@dataclass(frozen=True, eq=False, kw_only=True)
class SiteWeather:
    """What is known of a site's weather, and on which step it stands, in words."""

    weather: Weather | None
    step: str


@dataclass(kw_only=True)
class ZoneWeather:
    """Answers for the sites of one zone in one tick; asks each cell once at most."""

    tables: Tables
    zone: ZoneRecord
    at: datetime
    history_days: int
    on: bool = True  # What a provider tells is used.
    asked: int = 0
    _cells: dict[tuple[float, float], SiteWeather] = field(default_factory=dict)

    def of(self, site: SiteRecord) -> SiteWeather:
        """Return the weather at a site's place.

        Raises:
            StoreError: The tables failed.
        """
        cell = round(site.latitude_in(self.zone), 1), round(site.longitude_in(self.zone), 1)
        if cell not in self._cells:
            self._cells[cell] = self._cell(*cell)
        return self._cells[cell]

    def _cell(self, latitude_deg: float, longitude_deg: float) -> SiteWeather:
        if not self.on:
            return SiteWeather(weather=None, step="no weather: switched off")
        provider = weather_of(self.zone.weather)
        if provider is None:
            return SiteWeather(weather=None, step="no weather")
        name = f"{latitude_deg:.1f},{longitude_deg:.1f}"
        first = self.at - timedelta(days=self.history_days)
        known = self._kept(name, first)
        state = self._state(name)
        if self.at >= instant(state["next_ms"]) and self.asked < CELLS_PER_TICK_MAX:
            self.asked += 1
            try:
                hours = provider.hours(
                    latitude_deg=latitude_deg,
                    longitude_deg=longitude_deg,
                    at=self.at,
                    past_days=2 if known else self.history_days,
                )
            except ProviderError as error:
                pause = min(PAUSE_MAX, PAUSE * 2 ** min(10, state["failures"]))
                pause = max(pause, timedelta(seconds=error.retry_after_s))
                state = {**state, "failures": state["failures"] + 1, "next_ms": epoch_ms(self.at + pause)}
                log.warning(
                    "weather not fetched", extra={"zone": self.zone.id, "cell": name, "error": str(error)[:300]}
                )
            else:
                self._keep(name, hours)
                known |= {hour.start: hour for hour in hours if hour.start >= first}
                state = {"failures": 0, "told_ms": epoch_ms(self.at), "next_ms": epoch_ms(self.at + REFRESH)}
            self.tables.put(Put(key=keys.weather_state(self.zone.id, name), body=state))
        told_at = instant(state["told_ms"])
        usable, step = step_of(known, told_at=told_at, at=self.at, who=self.zone.weather.provider)
        if not usable:
            return SiteWeather(weather=None, step=step)
        return SiteWeather(
            weather=on_quarters(known, latitude_deg=latitude_deg, longitude_deg=longitude_deg), step=step
        )

    def _kept(self, cell: str, first: datetime) -> dict[datetime, WeatherHour]:
        pk = keys.weather(self.zone.id, cell, first).pk
        hours = {}
        for item in self.tables.query(Table.FORECAST_DATA, pk, first=f"{first:%Y%m%d}", last="99999999"):
            day = datetime.strptime(item.key.sk, "%Y%m%d").replace(tzinfo=UTC)
            for number, (ghi, air) in enumerate(zip(item.body["ghi"], item.body["air"], strict=True)):
                if ghi is not None and air is not None:
                    start = day + number * HOUR
                    hours[start] = WeatherHour(start=start, ghi_w_m2=ghi, air_temperature_c=air)
        return hours

    def _keep(self, cell: str, hours: list[WeatherHour]) -> None:
        days: dict[datetime, dict[int, WeatherHour]] = {}
        for hour in hours:
            days.setdefault(hour.start.replace(hour=0, minute=0, second=0), {})[hour.start.hour] = hour
        for day, told in days.items():
            key = keys.weather(self.zone.id, cell, day)
            item = self.tables.get(key)
            body: dict[str, list[float | None]] = (
                item.body if item else {"ghi": [None] * _PER_DAY, "air": [None] * _PER_DAY}
            )
            for number, hour in told.items():
                body["ghi"][number] = round(hour.ghi_w_m2, 1)
                body["air"][number] = round(hour.air_temperature_c, 1)
            self.tables.put(Put(key=key, body=body, expires_at=day + timedelta(days=self.history_days + 10)))

    def _state(self, cell: str) -> dict[str, Any]:
        item = self.tables.get(keys.weather_state(self.zone.id, cell))
        return item.body if item else {"failures": 0, "told_ms": 0, "next_ms": 0}
