"""What the site has been told of the hours to come, and what the gateway tells itself from its own history.

The cloud knows the weather, the gateway its own latest hours, and where neither helps there is yesterday. Which serves
what several tell is decided by how each did on this site, six hours ahead, for load and generation apart.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.forecast import ForecastBroadcast
from contracts.reasons import reason_of
from contracts.units import DeliveryInterval
from edge.config import SiteConfig
from edge.trading.forecast import forecast_site
from edge.trading.model import ForecastSource, History, IntervalEnergy, SiteForecast
from edge.trading.track_record import AHEAD, TrackRecord

log = logging.getLogger(__name__)

OWN_EVERY = timedelta(hours=1)


class Outlooks:
    """The latest outlook of the cloud and of the gateway itself."""

    def __init__(self) -> None:
        """Begin without either."""
        self.cloud: ForecastBroadcast | None = None
        self.own: ForecastBroadcast | None = None
        self._record = TrackRecord()
        self._silent = ""

    async def refresh(self, config: SiteConfig, now: datetime, *, held_back: frozenset[datetime] = frozenset()) -> None:
        """Make the own outlook where the last is an hour old, in a thread; where it cannot be made there is none.

        Args:
            config: Of the site.
            now: Of the outlook.
            held_back: Quarters whose generation says nothing of the sun.
        """
        if self.own is not None and timedelta(0) <= now - self.own.issued_at < OWN_EVERY:
            return
        try:
            self.own = await asyncio.to_thread(_own, config, now, held_back)
            why = ""
        except ImportError:
            why = "numpy is not installed"
        except (sqlite3.Error, OSError) as error:
            why = f"the history cannot be read: {reason_of(error)}"
        if why and why != self._silent:
            log.info("no forecast of the gateway's own", extra={"reason": why})
        self._silent = why

    def happened(self, start: datetime, energy: IntervalEnergy) -> None:
        """Judge what was told by what was metered in an interval."""
        self._record.judge(start, energy)

    def over(
        self, starts: Sequence[datetime], config: SiteConfig, *, history: History, now: datetime
    ) -> tuple[SiteForecast, ...]:
        """Return the forecast of each interval for which there is any ground."""
        self._note(config, history, now)
        return forecast_site(
            starts=starts,
            site=config.site.id,
            history=history,
            now=now,
            broadcast=self.cloud,
            own=self.own,
            ranking=self._record.ranking,
        )

    def _note(self, config: SiteConfig, history: History, now: datetime) -> None:
        """Note what each tells of the interval six hours ahead, once."""
        start = DeliveryInterval.containing(now + AHEAD).start
        for source, outlook in (
            (ForecastSource.BROADCAST, self.cloud),
            (ForecastSource.OWN, self.own),
            (ForecastSource.BLEND, None),
        ):
            if self._record.has(start, source):
                continue
            past = history if source is ForecastSource.BLEND else {}
            told = forecast_site(starts=[start], site=config.site.id, history=past, now=now, broadcast=outlook)
            if told:
                self._record.told(source, told[0])


def _own(config: SiteConfig, now: datetime, held_back: frozenset[datetime]) -> ForecastBroadcast | None:
    """Return the own outlook from the history file.

    Raises:
        ImportError: On a board without numpy.
        sqlite3.Error: The history cannot be read.
    """
    from edge.agent.own_history import place_of, read_own
    from edge.trading.own_forecast import own_forecast, quarters_before

    load, pv = read_own(
        config, first=quarters_before(now), until=DeliveryInterval.containing(now).start, held_back=held_back
    )
    return own_forecast(site=config.site.id, zone=config.site.zone, load=load, pv=pv, place=place_of(config), now=now)
