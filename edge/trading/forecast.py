"""What the site expects of the next delivery intervals: the zone's forecast where it is fresh, else its own past."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, DeliveryInterval, SiteId
from edge.trading.model import ForecastSource, History, IntervalEnergy, SiteForecast

# A broadcast older than this is worse than the site's own yesterday.
FRESH = timedelta(hours=2)
_DAY = timedelta(days=1)
_HOUR_INTERVALS = 4
_H_PER_INTERVAL = DELIVERY_INTERVAL_S / 3600
# The last hour says much about the next minutes and nothing about tomorrow: its weight halves every hour of lead.
_LEVEL_HALVES = timedelta(hours=1)
# Yesterday's sun is scaled by today's last hour, within bounds that a passing cloud cannot leave.
_SUN_MIN, _SUN_MAX = 0.25, 2.0


def forecast_site(
    *,
    starts: Sequence[datetime],
    site: SiteId,
    history: History,
    now: datetime,
    broadcast: ForecastBroadcast | None = None,
    fresh: timedelta = FRESH,
) -> tuple[SiteForecast, ...]:
    """Return the forecast of each interval for which there is any ground; the others are left out.

    Args:
        starts: Of the delivery intervals.
        site: Whose series of the broadcast count.
        history: Metered energy of past intervals.
        now: Of the forecast.
        broadcast: The zone's latest, if any.
        fresh: How old it may be.
    """
    load = pv = None
    if broadcast is not None and timedelta(0) <= now - broadcast.issued_at <= fresh:
        own = [series for series in broadcast.series if series.site == site]
        load = next((series for series in own if series.kind is ForecastKind.LOAD), None)
        pv = next((series for series in own if series.kind is ForecastKind.PV), None)
    found = []
    for start in starts:
        load_wh, pv_wh = _energy_wh(load, start), _energy_wh(pv, start)
        # A site without generation has no PV series.
        pv_wh = 0.0 if load_wh is not None and pv is None else pv_wh
        source = ForecastSource.BROADCAST
        if load_wh is None or pv_wh is None:
            fallback = _from_history(history, start, now)
            if fallback is None and load_wh is None and pv_wh is None:
                continue
            # A site without generation has no such series, nor has a plant without load.
            energy, source = fallback or (IntervalEnergy(load_wh=0.0, pv_wh=0.0), source)
            load_wh = energy.load_wh if load_wh is None else load_wh
            pv_wh = energy.pv_wh if pv_wh is None else pv_wh
        found.append(
            SiteForecast(start=start, load_wh=max(0, round(load_wh)), pv_wh=min(0, round(pv_wh)), source=source)
        )
    return tuple(found)


def expected_prices(
    broadcast: ForecastBroadcast | None, *, starts: Sequence[datetime], last_price_mct_per_kwh: int | None
) -> dict[datetime, int]:
    """Return the expected market price of each interval: the zone's forecast, else the last price that was paid."""
    series = None
    if broadcast is not None:
        series = next((series for series in broadcast.series if series.kind is ForecastKind.PRICE), None)
    found = {}
    for start in starts:
        price = None if series is None else _at(series, start)
        price = last_price_mct_per_kwh if price is None else price
        if price is not None:
            found[start] = price
    return found


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
