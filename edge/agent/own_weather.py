"""The forecast weather that a gateway asks for by itself, so that its own forecast knows clouds without any cloud."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contracts.clock import Clock
from contracts.units import ClockTrust
from domain.asking_pace import Pace
from domain.weather.answers import WeatherHour
from domain.weather.source import WeatherProvider
from edge.agent.published import fetch_weather
from edge.config import SiteConfig, WeatherSection
from edge.errors import ProviderUnavailable

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
HISTORY: Final = timedelta(days=112)  # As far as the forecast looks at the site's own past.
_LATER_DAYS: Final = 2  # What is asked of the past once it is known.
_REFRESH: Final = timedelta(hours=3)
_NEVER: Final = datetime.fromtimestamp(0, UTC)


class OwnWeather:
    """One site's weather: as analysed and once forecast behind, as forecast ahead. A restart asks for all anew."""

    def __init__(
        self, config: SiteConfig, section: WeatherSection, *, clock: Clock, clock_trust: Callable[[], ClockTrust]
    ) -> None:
        """Begin without any; ``section`` is of a site whose place is told."""
        assert config.site.latitude_deg is not None and config.site.longitude_deg is not None, "checked with the file"
        self.latitude_deg, self.longitude_deg = config.site.latitude_deg, config.site.longitude_deg
        self._section = section
        self._clock = clock
        self._clock_trust = clock_trust
        self._pace = Pace()
        self._fault = ""
        self.told_at = _NEVER
        self.hours: dict[datetime, WeatherHour] = {}

    @property
    def who(self) -> str:
        """Return the provider."""
        return self._section.provider.value

    async def run(self) -> None:
        """Look whether a question is due, once a minute until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask where it is due, in a thread; without a trusted clock nothing is asked."""
        now = self._clock.now()
        if self._section.provider is WeatherProvider.NONE or not self._pace.may_ask(now):
            return
        if self._clock_trust() is ClockTrust.UNTRUSTED:
            return
        past_days = _LATER_DAYS if self.hours else HISTORY.days
        begin = now - timedelta(days=past_days)
        try:
            told = await asyncio.to_thread(
                fetch_weather,
                self._section,
                latitude_deg=self.latitude_deg,
                longitude_deg=self.longitude_deg,
                at=now,
                past_days=past_days,
            )
        except ProviderUnavailable as error:
            self._pace = self._pace.failed(now, error, since=begin)
        else:
            kept = {start: hour for start, hour in self.hours.items() if start >= now - HISTORY}
            self.hours = kept | {hour.start: hour for hour in told}
            self.told_at = now
            self._pace = self._pace.answered(now, since=begin, last=now, pause=_REFRESH)
        if self._pace.fault != self._fault:
            self._fault = self._pace.fault
            if self._fault:
                log.warning("weather not read", extra={"source": self.who, "reason": self._fault})
            else:
                log.info("weather read", extra={"source": self.who})

    def told(self) -> dict[str, Any]:
        """Return who tells the weather, when it last did, until when, and what is wrong."""
        return {
            "source": self.who,
            "told_at": self.told_at.isoformat() if self.hours else None,
            "until": max(self.hours).isoformat() if self.hours else None,
            "fault": self._pace.fault,
        }
