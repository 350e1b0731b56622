"""What the site has been told of the hours to come, and what the gateway tells itself from its own history.

The cloud knows the weather, the gateway its own latest hours, and where neither helps there is yesterday. Which serves
what several tell is decided by how each did on this site, six hours ahead, for load and generation apart.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from contracts.features import Feature
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.reasons import reason_of
from contracts.units import DeliveryInterval
from edge.config import SiteConfig
from edge.state_store import StateStore
from edge.trading.forecast import FRESH, forecast_site
from edge.trading.model import ForecastSource, History, IntervalEnergy, SiteForecast
from edge.trading.plan.scenarios import NOTHING_KNOWN, Past
from edge.trading.plan.told import TOLD
from edge.trading.track_record import AHEAD, TrackRecord

if TYPE_CHECKING:
    from edge.agent.own_weather import OwnWeather

log = logging.getLogger(__name__)

OWN_EVERY = timedelta(hours=1)
_KEY = "trading.track_record"


class Outlooks:
    """The latest outlook of the cloud and of the gateway itself, and the past weeks beside it."""

    def __init__(self, memory: StateStore) -> None:
        """Begin without either; how each did here before is known from an earlier process."""
        self.cloud: ForecastBroadcast | None = None
        self.own: ForecastBroadcast | None = None
        self.past: Past = NOTHING_KNOWN
        self.weather: OwnWeather | None = None
        self._knew_weather = False
        self._memory = memory
        self._record = TrackRecord(memory.recall(_KEY))
        self._silent = ""

    @property
    def why_no_plan(self) -> str:
        """Return why plans are not to be followed, empty where they are: the cloud's operator switched them off."""
        off = (self.cloud.off or ()) if self.cloud is not None else ()
        return "plans are switched off by the cloud's operator" if Feature.PLANS in off else ""

    async def refresh(self, config: SiteConfig, now: datetime, *, held_back: frozenset[datetime] = frozenset()) -> None:
        """Make the own outlook where the last is an hour old, tells no load or knew no weather yet, in a thread.

        Where it cannot be made there is none.

        Args:
            config: Of the site.
            now: Of the outlook.
            held_back: Quarters whose generation says nothing of the sun.
        """
        knows_weather = self.weather is not None and bool(self.weather.hours)
        if (
            self.own is not None
            and self._knew_weather >= knows_weather
            and any(series.kind is ForecastKind.LOAD for series in self.own.series)
            and timedelta(0) <= now - self.own.issued_at < OWN_EVERY
        ):
            return
        self._knew_weather = knows_weather
        try:
            self.own, self.past = await asyncio.to_thread(_own, config, now, held_back, self.weather)
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
        if self._record.judge(start, energy):
            self._memory.remember(_KEY, self._record.kept, durable=False)

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

    def told(self, config: SiteConfig, now: datetime, *, price: ForecastSeries | None = None) -> list[dict[str, Any]]:
        """Return what is told of the next 20 hours with its bands, in plain values: load, generation, the zone's price.

        Of two that tell the same the one that did better here is told, and of prices the one that the gateway reads by
        itself, ``price``, where it does. Power in W, prices in mct per kWh.
        """
        fresh = {
            source: outlook
            for source, outlook in ((ForecastSource.BROADCAST, self.cloud), (ForecastSource.OWN, self.own))
            if outlook is not None and timedelta(0) <= now - outlook.issued_at <= FRESH
        }
        ranking = self._record.ranking
        ranked = {ForecastKind.LOAD: ranking.load, ForecastKind.PV: ranking.pv}
        ranked[ForecastKind.PRICE] = (ForecastSource.BROADCAST,) if price is None else ()
        own_price = [] if price is None else [{**_ahead(price, now), "kind": price.kind.value, "by": "own"}]
        return own_price + [
            {**told, "kind": kind.value, "by": source.value}
            for kind, sources in ranked.items()
            for source, told in [
                (source, _ahead(series, now))
                for source in sources
                if source in fresh
                for series in fresh[source].series
                if series.kind is kind and series.site in (None, config.site.id)
            ][:1]
        ]

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


def _ahead(series: ForecastSeries, now: datetime) -> dict[str, Any]:
    """Return the steps of a series that lie within ``TOLD`` from now on."""
    step = timedelta(seconds=series.step_s)
    first = max(0, (now - series.start) // step)
    last = max(first, -((series.start - (now + TOLD)) // step))
    return {
        "start": (series.start + first * step).isoformat(),
        "step_s": series.step_s,
        **{name: list(getattr(series, name)[first:last]) for name in ("p10", "p50", "p90")},
    }


def _own(
    config: SiteConfig, now: datetime, held_back: frozenset[datetime], sky: "OwnWeather | None"
) -> tuple[ForecastBroadcast | None, Past]:
    """Return the own outlook from the history file and the weather that is known, and the last weeks.

    Raises:
        ImportError: On a board without numpy.
        sqlite3.Error: The history cannot be read.
    """
    from edge.agent.own_history import past_weeks, place_of, read_own
    from edge.trading.own_forecast import HISTORY_DAYS, YEAR_DAYS, own_forecast, quarters_before

    first = quarters_before(now, days=YEAR_DAYS if sky is None else HISTORY_DAYS)
    load, pv = read_own(config, first=first, until=DeliveryInterval.containing(now).start, held_back=held_back)
    place = place_of(config)
    weather, step = None, ""
    if sky is not None:
        from domain.weather.known import on_quarters, step_of

        hours = sky.hours  # The reader replaces it as a whole.
        usable, step = step_of(hours, told_at=sky.told_at, at=now, who=sky.who)
        if usable:
            weather = on_quarters(hours, latitude_deg=sky.latitude_deg, longitude_deg=sky.longitude_deg)
    own = own_forecast(
        site=config.site.id,
        zone=config.site.zone,
        load=load,
        pv=pv,
        place=place,
        now=now,
        weather=weather,
        weather_step=step,
    )
    return own, past_weeks(load, pv, place)
