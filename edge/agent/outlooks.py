"""What the site has been told of the hours to come, and what the gateway tells itself from its own history.

The cloud knows the weather, the gateway its own latest hours. Which of the two serves what both tell is decided by how
each did on this site, six hours ahead.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.forecast import ForecastBroadcast
from contracts.units import DeliveryInterval
from edge.config import SiteConfig
from edge.trading.forecast import FRESH, forecast_site
from edge.trading.model import ForecastSource, History, IntervalEnergy, SiteForecast

log = logging.getLogger(__name__)

OWN_EVERY = timedelta(hours=1)
# A plan's main decisions lie some hours ahead.
_JUDGED_AHEAD = timedelta(hours=6)
_HALF_LIFE_QUARTERS = 2 * 96
_QUARTERS_TO_JUDGE = 48
# The cloud's serves unless the own is better by so much.
_BETTER = 0.9


class Outlooks:
    """The latest outlook of the cloud and of the gateway itself."""

    def __init__(self) -> None:
        """Begin without either."""
        self.cloud: ForecastBroadcast | None = None
        self.own: ForecastBroadcast | None = None
        self._record = Record()
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
            why = f"the history cannot be read: {error}"
        if why and why != self._silent:
            log.info("no forecast of the gateway's own", extra={"reason": why})
        self._silent = why

    def happened(self, start: datetime, energy: IntervalEnergy) -> None:
        """Judge both outlooks by what was metered in an interval."""
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
            own_first=self._record.own_is_better,
        )

    def _note(self, config: SiteConfig, history: History, now: datetime) -> None:
        """Note what each tells of the interval six hours ahead, once."""
        start = DeliveryInterval.containing(now + _JUDGED_AHEAD).start
        for source, outlook in ((ForecastSource.BROADCAST, self.cloud), (ForecastSource.OWN, self.own)):
            if outlook is None or self._record.has(start, source):
                continue
            told = forecast_site(
                starts=[start], site=config.site.id, history={}, now=now, broadcast=outlook, fresh=FRESH
            )
            if told:
                self._record.told(start, source, told[0].net_wh)


class Record:
    """How the two did: mean absolute errors of the net energy, the newer the heavier."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._told: dict[datetime, dict[ForecastSource, float]] = {}
        self._errors = {ForecastSource.BROADCAST: 0.0, ForecastSource.OWN: 0.0}
        self._judged = 0.0

    @property
    def own_is_better(self) -> bool:
        """Return whether the own has been better over half a day at least."""
        own, cloud = self._errors[ForecastSource.OWN], self._errors[ForecastSource.BROADCAST]
        return self._judged >= _QUARTERS_TO_JUDGE and own < _BETTER * cloud

    def has(self, start: datetime, source: ForecastSource) -> bool:
        """Return whether something was noted already."""
        return source in self._told.get(start, {})

    def told(self, start: datetime, source: ForecastSource, net_wh: float) -> None:
        """Note what was told of an interval."""
        self._told.setdefault(start, {})[source] = net_wh

    def judge(self, start: datetime, energy: IntervalEnergy) -> None:
        """Compare what both told of an interval with what was metered; what lies before it is forgotten."""
        told = self._told.get(start, {})
        self._told = {at: each for at, each in self._told.items() if at > start}
        if len(told) < len(self._errors):
            return
        keep = 0.5 ** (1 / _HALF_LIFE_QUARTERS)
        for source, net_wh in told.items():
            error_wh = abs(net_wh - energy.load_wh - energy.pv_wh)
            self._errors[source] = keep * self._errors[source] + (1 - keep) * error_wh
        self._judged += 1


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
    return own_forecast(
        site=config.site.id, zone=config.site.zone, load=load, pv=pv, place=place_of(config, now), now=now
    )
