"""The day-ahead price that a gateway reads by itself: asked for when it is due, kept, and forecast beyond its end."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from contracts.clock import Clock
from contracts.forecast import ForecastSeries
from contracts.units import DELIVERY_INTERVAL, ClockTrust, DeliveryInterval
from domain.asking_pace import Pace
from domain.prices.due import due_until, known_until
from domain.prices.questions import TELL_THE_PAST
from domain.prices.source import Provider
from edge.agent.kept_prices import MONTHS_MAX, KeptPrices
from edge.agent.published import fetch_prices
from edge.config import PricesSection, SiteConfig
from edge.errors import ProviderUnavailable
from edge.state_store import StateStore
from edge.trading.own_price import HORIZON_STEPS, own_price, repeated_price

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
_KEY: Final = "prices.pace"
_DAY: Final = timedelta(days=1)
_AHEAD: Final = 3 * _DAY  # What is asked for; nobody publishes more.
_HISTORY: Final = (MONTHS_MAX - 2) * timedelta(days=30)
# The outlook is made anew where less than this of it is left: a plan looks two days ahead.
_LEFT_MIN: Final = 2 * _DAY + timedelta(hours=1)


class OwnPrices:
    """One site's published prices, and what follows them."""

    def __init__(
        self,
        config: SiteConfig,
        section: PricesSection,
        *,
        memory: StateStore,
        clock: Clock,
        clock_trust: Callable[[], ClockTrust],
        on_news: Callable[[], None],
    ) -> None:
        """Go on with what an earlier process read; ``on_news`` is called when the price over the next days changed."""
        self._config = config
        self._section = section
        self._memory = memory
        self._clock = clock
        self._clock_trust = clock_trust
        self._on_news = on_news
        self._kept = KeptPrices(memory, source=section.identity)
        self._pace = Pace.of(memory.recall(_KEY)) if self._kept.known else Pace()
        begin = DeliveryInterval.containing(clock.now()).start
        self._near = self._kept.between(begin - _DAY, begin + _AHEAD)
        self._fault = ""
        self.series: ForecastSeries | None = None

    def adopt(self, config: SiteConfig) -> None:
        """Go by a changed configuration's clock and holidays from the next outlook on."""
        self._config = config

    async def run(self) -> None:
        """Look whether prices are due, once a minute until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask for what is due, and bring the outlook to what is known; without a trusted clock nothing is asked."""
        if self._clock_trust() is ClockTrust.UNTRUSTED:
            return
        now = self._clock.now()
        begin = DeliveryInterval.containing(now).start
        changed = False
        for first, last in self._spans(begin, now):
            news = await self._asked(first, last, now)
            known = self._near
            self._kept.add(news)
            self._near = self._kept.between(begin - _DAY, begin + _AHEAD)
            # Of the present what is new counts; of the past all that a forecast may learn from.
            changed |= any(start < begin - _DAY or known.get(start) != price for start, price in news.items())
        series = self.series
        if changed or series is None or series.start + HORIZON_STEPS * DELIVERY_INTERVAL - now < _LEFT_MIN:
            await self._tell(begin)

    def told(self) -> dict[str, Any]:
        """Return whose prices these are, until when they are published, how it goes on, and what is wrong."""
        series = self.series
        until = None if series is None else series.published_until
        return {
            "source": self._section.name,
            "published_until": None if until is None else until.isoformat(),
            "method": "" if series is None else series.method,
            "fault": self._pace.fault,
        }

    def _spans(self, begin: datetime, now: datetime) -> list[tuple[datetime, datetime]]:
        """Return what to ask for now: the present where it is due, and a part of the past where there is time."""
        due = due_until(now, clock=_wall(self._config), publishes_at_hour_utc=self._section.publishes_at_hour_utc)
        spans = []
        # A file may be changed by its owner at any time.
        if (self._section.provider is Provider.FILE or known_until(self._near, begin) < due) and self._pace.may_ask(
            now
        ):
            spans.append((begin - _DAY, begin + _AHEAD))
        if self._section.provider in TELL_THE_PAST:
            part = self._pace.past(now, first=begin - _HISTORY)
            spans += [] if part is None else [part]
        return spans

    async def _asked(self, first: datetime, last: datetime, now: datetime) -> dict[datetime, int]:
        """Ask for a span in a thread, so that neither control nor the plan waits; keep how fast to go on."""
        try:
            news = dict(await asyncio.to_thread(fetch_prices, self._section, first=first, last=last))
        except ProviderUnavailable as error:
            news = {}
            self._pace = self._pace.failed(now, error, since=first)
        else:
            self._pace = self._pace.answered(now, since=first, last=last)
        self._memory.remember(_KEY, self._pace.kept, durable=False)
        if self._pace.fault != self._fault:
            self._fault = self._pace.fault
            if self._fault:
                log.warning("prices not read", extra={"source": self._section.name, "reason": self._fault})
            else:
                log.info("prices read", extra={"source": self._section.name})
        return news

    async def _tell(self, begin: datetime) -> None:
        published = self._near
        try:
            # A month at a time is read here, and the forecast is made in a thread: both are done once a day.
            months = list(self._kept.months())
            series = await asyncio.to_thread(_outlook, self._config, months, published, self._section.name, begin)
        except ImportError:
            series = repeated_price(published, source=self._section.name, start=begin)
        if series != self.series:
            self.series = series
            self._on_news()


def _outlook(
    config: SiteConfig,
    months: list[tuple[datetime, list[int | None]]],
    published: dict[datetime, int],
    source: str,
    start: datetime,
) -> ForecastSeries | None:
    """Make the outlook from all that is kept.

    Raises:
        ImportError: On a board without numpy.
    """
    from edge.agent.own_history import place_of

    place = place_of(config)
    return own_price(
        months, published=published, source=source, start=start, clock=place.clock, holidays=place.holidays
    )


def _wall(config: SiteConfig) -> ZoneInfo:
    """Return the clock by which the price's days go: the tariff's, else the site's, else UTC."""
    tariff = config.trading.priced_by
    name = config.site.time_zone if tariff is None else tariff.time_zone
    return ZoneInfo(name or "UTC")
