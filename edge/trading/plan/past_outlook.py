"""What the gateway would have expected on past days: its own hourly forecast and the latest quarters, nothing later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from contracts.forecast import ForecastBroadcast
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, SiteId, ZoneId
from domain.forecasting.series import Series
from edge.trading.forecast import forecast_site
from edge.trading.model import ForecastSource, History, IntervalEnergy, SiteForecast
from edge.trading.own_forecast import YEAR_DAYS, Place, own_forecast, quarters_before
from edge.trading.plan.scenarios import DAYS_BACK, Past
from edge.trading.track_record import AHEAD, TrackRecord

_SITE, _ZONE = SiteId("site"), ZoneId("zone")
_OWN_EVERY_QUARTERS = 4
_HORIZON = 192
_HISTORY = timedelta(days=8)


class PastOutlook:
    """A gateway's expectations as its days pass."""

    def __init__(self, *, start: datetime, load_w: Sequence[float], pv_w: Sequence[float], place: Place) -> None:
        """Take all that was measured, of which only the past is looked at.

        Args:
            start: Of the first quarter.
            load_w: By quarter.
            pv_w: By quarter, zero or less.
            place: Of the site.
        """
        self._start, self._place = start, place
        self._load, self._pv = _series(start, load_w), _series(start, pv_w)
        self._issued: tuple[int, ForecastBroadcast | None] | None = None
        self._past: tuple[int, Past] | None = None
        self._record = TrackRecord()

    def forecasts(self, index: int) -> tuple[SiteForecast, ...]:
        """Return the forecasts at the beginning of a quarter, whose own net power is measured already."""
        now = self._start + index * DELIVERY_INTERVAL
        here = self._metered(index)
        measured = SiteForecast(
            start=now, load_wh=round(here.load_wh), pv_wh=round(here.pv_wh), source=ForecastSource.LEVEL
        )
        history = {
            self._start + past * DELIVERY_INTERVAL: self._metered(past)
            for past in range(max(0, index - _HISTORY // DELIVERY_INTERVAL), index)
        }
        own = self._own(index)
        self._note(index, history, own)
        ahead = forecast_site(
            starts=[now + step * DELIVERY_INTERVAL for step in range(1, _HORIZON)],
            site=_SITE,
            history=history,
            now=now,
            own=own,
            ranking=self._record.ranking,
        )
        return measured, *ahead

    def past(self, index: int) -> Past:
        """Return what was metered in the weeks before a quarter, read anew each hour as the running agent does."""
        if self._past is None or not 0 <= index - self._past[0] < _OWN_EVERY_QUARTERS:
            past = Past(
                energies={
                    self._start + past * DELIVERY_INTERVAL: self._metered(past)
                    for past in range(max(0, index - DAYS_BACK * 96), index)
                },
                clock=self._place.clock,
                holidays=self._place.holidays or (),
            )
            self._past = index, past
        return self._past[1]

    def _note(self, index: int, history: History, own: ForecastBroadcast | None) -> None:
        """Judge what was told of the quarter before, and note what is told now of the one six hours ahead."""
        now = self._start + index * DELIVERY_INTERVAL
        if index > 0:
            self._record.judge(now - DELIVERY_INTERVAL, self._metered(index - 1))
        for source, past, outlook in ((ForecastSource.OWN, {}, own), (ForecastSource.BLEND, history, None)):
            for told in forecast_site(starts=[now + AHEAD], site=_SITE, history=past, now=now, own=outlook):
                self._record.told(source, told)

    def _metered(self, index: int) -> IntervalEnergy:
        return IntervalEnergy(load_wh=float(self._load.values[index]) / 4, pv_wh=float(self._pv.values[index]) / 4)

    def _own(self, index: int) -> ForecastBroadcast | None:
        if self._issued is None or not 0 <= index - self._issued[0] < _OWN_EVERY_QUARTERS:
            now = self._start + index * DELIVERY_INTERVAL
            own = own_forecast(
                site=_SITE,
                zone=_ZONE,
                load=_recent(self._load, now),
                pv=_recent(self._pv, now) if self._place.pv_peak_w > 0 else None,
                place=self._place,
                now=now,
            )
            self._issued = index, own
        return self._issued[1]


def _series(start: datetime, values: Sequence[float]) -> Series:
    return Series(start=start, step_s=DELIVERY_INTERVAL_S, values=np.array(values, dtype=np.float64))


def _recent(series: Series, now: datetime) -> Series:
    """Return what a gateway that knows no weather looks at of a series at an instant."""
    first = max(series.start, quarters_before(now, days=YEAR_DAYS))
    known = series.before(now).values[(first - series.start) // DELIVERY_INTERVAL :]
    return Series(start=first, step_s=series.step_s, values=known)
