"""What the site expects of the next delivery intervals.

The zone's forecast where it is fresh, the gateway's own where that ends or is worse, else the site's yesterday.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, DeliveryInterval, SiteId
from edge.trading.model import ForecastSource, History, IntervalEnergy, SiteForecast
from edge.trading.track_record import Ranking

# A broadcast older than this is worse than the site's own yesterday.
FRESH = timedelta(hours=2)
_DAY = timedelta(days=1)
_HOUR_INTERVALS = 4
_H_PER_INTERVAL = DELIVERY_INTERVAL_S / 3600
# The last hour says much about the next minutes and nothing about tomorrow: its weight halves every hour of lead.
_LEVEL_HALVES = timedelta(hours=1)
# A departure from a forecast is partly chance: this share of it is carried on.
_DEPARTURE_SHARE = 0.7
# Yesterday's sun is scaled by today's last hour, within bounds that a passing cloud cannot leave.
_SUN_MIN, _SUN_MAX = 0.25, 2.0


def forecast_site(
    *,
    starts: Sequence[datetime],
    site: SiteId,
    history: History,
    now: datetime,
    broadcast: ForecastBroadcast | None = None,
    own: ForecastBroadcast | None = None,
    ranking: Ranking | None = None,
    fresh: timedelta = FRESH,
) -> tuple[SiteForecast, ...]:
    """Return the forecast of each interval for which there is any ground; the others are left out.

    Args:
        starts: Of the delivery intervals.
        site: Whose series of the broadcast count.
        history: Metered energy of past intervals.
        now: Of the forecast.
        broadcast: The zone's latest, if any.
        own: The gateway's own latest, if any.
        ranking: Who serves first what several tell; the zone's, the own, the site's yesterday where it is not told.
        fresh: How old either may be.
    """
    ranking = ranking or Ranking()
    grounds = {
        source: _Ground.of(source, each, site=site, history=history, now=now)
        for source, each in ((ForecastSource.BROADCAST, broadcast), (ForecastSource.OWN, own))
        if each is not None and timedelta(0) <= now - each.issued_at <= fresh
    }
    found = []
    for start in starts:
        told = {source: ground.at(start, now) for source, ground in grounds.items()}
        past = _from_history(history, start, now)
        if past is not None:
            told[ForecastSource.BLEND] = past[0].load_wh, past[0].pv_wh
        load_wh, load_source = _first(told, ranking.load, 0)
        pv_wh, pv_source = _first(told, ranking.pv, 1)
        source = load_source or pv_source
        if source is None:
            continue
        if source is ForecastSource.BLEND and past is not None:
            source = past[1]
        # A site without generation has no such series, nor has a plant without load.
        expected_pv_wh = min(0, round(pv_wh or 0.0))
        ground = None if pv_source is None else grounds.get(pv_source)
        found.append(
            SiteForecast(
                start=start,
                load_wh=max(0, round(load_wh or 0.0)),
                pv_wh=expected_pv_wh,
                source=source,
                sure_pv_wh=None if ground is None else ground.sure_pv_wh(start, now, expected_wh=expected_pv_wh),
            )
        )
    return tuple(found)


def _first(
    told: Mapping[ForecastSource, tuple[float | None, float | None]], ranked: Sequence[ForecastSource], index: int
) -> tuple[float | None, ForecastSource | None]:
    """Return the value of the first source that tells one, and which it is."""
    for source in ranked:
        value = told[source][index] if source in told else None
        if value is not None:
            return value, source
    return None, None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """One site's series of an outlook, and by how much the last hour departed from each, in Wh per interval.

    ``heard`` says that the interval before was metered.
    """

    source: ForecastSource
    load: ForecastSeries | None
    pv: ForecastSeries | None
    load_off_wh: float
    pv_off_wh: float
    heard: bool

    @classmethod
    def of(
        cls, source: ForecastSource, outlook: ForecastBroadcast, *, site: SiteId, history: History, now: datetime
    ) -> "_Ground":
        series = [each for each in outlook.series if each.site == site]
        load = next((each for each in series if each.kind is ForecastKind.LOAD), None)
        pv = next((each for each in series if each.kind is ForecastKind.PV), None)
        return cls(
            source=source,
            load=load,
            pv=pv,
            load_off_wh=_departure_wh(load, {at: energy.load_wh for at, energy in history.items()}, now),
            pv_off_wh=_departure_wh(pv, {at: energy.pv_wh for at, energy in history.items()}, now),
            heard=DeliveryInterval.containing(now).start - DELIVERY_INTERVAL in history,
        )

    def at(self, start: datetime, now: datetime) -> tuple[float | None, float | None]:
        """Return load and generation of an interval; a site without generation has no PV series."""
        weight = _DEPARTURE_SHARE * 0.5 ** ((start - now) / _LEVEL_HALVES)
        load_wh, pv_wh = _energy_wh(self.load, start), _energy_wh(self.pv, start)
        if load_wh is not None:
            load_wh = max(0.0, load_wh + weight * self.load_off_wh)
            pv_wh = 0.0 if self.pv is None else pv_wh
        if pv_wh is not None and pv_wh < 0:
            pv_wh = min(0.0, pv_wh + weight * self.pv_off_wh)
        return load_wh, pv_wh

    def sure_pv_wh(self, start: datetime, now: datetime, *, expected_wh: int) -> int | None:
        """Return the generation that comes nine times of ten: of the next minutes the last hour tells nearly all."""
        if self.pv is None:
            return None
        step = (start - self.pv.start) // timedelta(seconds=self.pv.step_s)
        if not 0 <= step < len(self.pv.p50):
            return None
        missing_wh = (self.pv.p90[step] - self.pv.p50[step]) * _H_PER_INTERVAL
        narrowed = 1.0 - _DEPARTURE_SHARE * 0.5 ** ((start - now) / _LEVEL_HALVES) if self.heard else 1.0
        return min(0, round(expected_wh + max(0.0, missing_wh) * narrowed))


def _departure_wh(series: ForecastSeries | None, metered_wh: Mapping[datetime, float], now: datetime) -> float:
    """Return how much more than told was metered in the intervals of the last hour that a series tells."""
    last = DeliveryInterval.containing(now).start - DELIVERY_INTERVAL
    off = [
        metered_wh[at] - told_wh
        for at in (last - step * DELIVERY_INTERVAL for step in range(_HOUR_INTERVALS))
        if at in metered_wh and (told_wh := _energy_wh(series, at)) is not None
    ]
    return sum(off) / len(off) if off else 0.0


def nothing_known(start: datetime) -> SiteForecast:
    """Return the forecast of an interval for which there is no ground at all."""
    return SiteForecast(start=start, load_wh=0, pv_wh=0, source=ForecastSource.NONE)


def expected_prices(
    broadcast: ForecastBroadcast | None, *, starts: Sequence[datetime], last_price_mct_per_kwh: int | None
) -> dict[datetime, int]:
    """Return the expected market price of each interval: the zone's forecast, else the last price that was paid."""
    series = None
    if broadcast is not None:
        series = next((series for series in broadcast.series if series.kind is ForecastKind.PRICE), None)
    found = {} if series is None else prices_at(series, starts)
    if last_price_mct_per_kwh is not None:
        return {start: found.get(start, last_price_mct_per_kwh) for start in starts}
    return found


def prices_at(series: ForecastSeries, starts: Sequence[datetime]) -> dict[datetime, int]:
    """Return the price of each interval that a series tells, in mct per kWh."""
    told = ((start, _at(series, start)) for start in starts)
    return {start: price for start, price in told if price is not None}


def _energy_wh(series: ForecastSeries | None, start: datetime) -> float | None:
    power_w = None if series is None else _at(series, start)
    return None if power_w is None else power_w * _H_PER_INTERVAL


def _at(series: ForecastSeries, start: datetime) -> int | None:
    """Return the median at the step in which an interval begins."""
    step = (start - series.start) // timedelta(seconds=series.step_s)
    return series.p50[step] if 0 <= step < len(series.p50) else None


def _from_history(history: History, start: datetime, now: datetime) -> tuple[IntervalEnergy, ForecastSource] | None:
    """Return yesterday's interval, corrected by how the last hour differs from its own yesterday; or the last hour."""
    last = DeliveryInterval.containing(now).start - DELIVERY_INTERVAL
    recent = [last - step * DELIVERY_INTERVAL for step in range(_HOUR_INTERVALS)]
    level = _mean([history[at] for at in recent if at in history])
    before = history.get(start - _DAY)
    if before is None:
        return None if level is None else (level, ForecastSource.LEVEL)
    then = _mean([history[at - _DAY] for at in recent if at in history and at - _DAY in history])
    if level is None or then is None:
        return before, ForecastSource.BLEND
    weight = 0.5 ** ((start - now) / _LEVEL_HALVES)
    load_wh = before.load_wh + weight * (level.load_wh - then.load_wh)
    sun = min(max(level.pv_wh / then.pv_wh, _SUN_MIN), _SUN_MAX) if then.pv_wh < 0 else 1.0
    pv_wh = before.pv_wh * (1.0 + weight * (sun - 1.0))
    return IntervalEnergy(load_wh=max(0.0, load_wh), pv_wh=pv_wh), ForecastSource.BLEND


def _mean(energies: Sequence[IntervalEnergy]) -> IntervalEnergy | None:
    if not energies:
        return None
    return IntervalEnergy(
        load_wh=sum(energy.load_wh for energy in energies) / len(energies),
        pv_wh=sum(energy.pv_wh for energy in energies) / len(energies),
    )
