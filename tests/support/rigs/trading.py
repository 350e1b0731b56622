"""Outlooks for tests of the agents."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from contracts.units import DELIVERY_INTERVAL
from edge.trading.model import Battery, ForecastSource, Outlook, PlanStep, Reach, SiteForecast, Tariffs

T0 = datetime(2026, 6, 1, tzinfo=UTC)
TARIFFS = Tariffs(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000)
REACH = Reach(import_wh=4_250, export_wh=4_250)
BATTERY = Battery(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000, soc_percent=50)


def forecast(index: int, *, load_wh: int = 0, pv_wh: int = 0) -> SiteForecast:
    """Return the forecast of the interval with this index after midnight."""
    return SiteForecast(
        start=T0 + index * DELIVERY_INTERVAL, load_wh=load_wh, pv_wh=pv_wh, source=ForecastSource.BROADCAST
    )


def sunny_day(*, load_wh: int = 200, peak_wh: int = 900) -> list[SiteForecast]:
    """Return a day with sun from six to eighteen."""
    return [
        forecast(index, load_wh=load_wh, pv_wh=-max(0, round(peak_wh * math.sin((index - 24) / 48 * math.pi))))
        if 24 < index < 72
        else forecast(index, load_wh=load_wh)
        for index in range(96)
    ]


def outlook(
    forecasts: Sequence[SiteForecast],
    *,
    now: datetime = T0 - timedelta(hours=2),
    plan: Sequence[PlanStep] = (),
    positions: Mapping[datetime, int] | None = None,
    prices: Mapping[datetime, int] | None = None,
) -> Outlook:
    """Return an outlook two hours before the first interval."""
    return Outlook(
        now=now,
        forecasts=forecasts,
        plan=plan,
        positions=positions or {},
        prices=prices or {},
        tariffs=TARIFFS,
        reach=REACH,
    )
