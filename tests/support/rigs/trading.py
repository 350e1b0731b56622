"""Outlooks for tests of the agents."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from contracts.units import DELIVERY_INTERVAL
from edge.trading.model import Battery, ForecastSource, Outlook, PlanStep, Reach, SiteForecast, Tariffs
from edge.trading.plan.horizon import plan_intervals, store_of
from edge.trading.plan.plan import end_value, make_plan
from edge.trading.plan.problem import Connection, Problem
from edge.trading.plan.rates import planned_rates
from edge.trading.plan.steps import battery_steps

T0 = datetime(2026, 6, 1, tzinfo=UTC)
TARIFFS = Tariffs(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000)
REACH = Reach(import_wh=4_250, export_wh=4_250)
BATTERY = Battery(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000, soc_percent=50)


def forecast(index: int, *, load_wh: int = 0, pv_wh: int = 0, sure_pv_wh: int | None = None) -> SiteForecast:
    """Return the forecast of the interval with this index after midnight."""
    return SiteForecast(
        start=T0 + index * DELIVERY_INTERVAL,
        load_wh=load_wh,
        pv_wh=pv_wh,
        source=ForecastSource.BROADCAST,
        sure_pv_wh=sure_pv_wh,
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


def battery_plan(
    battery: Battery, forecasts: Sequence[SiteForecast], *, prices: Mapping[datetime, int] | None = None
) -> tuple[PlanStep, ...]:
    """Return what the planner makes of one battery at the rig's tariffs."""
    if not forecasts:
        return ()
    expected = prices or {}

    def rates(start: datetime) -> tuple[float, float]:
        return planned_rates(
            import_mct_per_kwh=TARIFFS.import_mct_per_kwh,
            export_mct_per_kwh=TARIFFS.export_mct_per_kwh,
            price_mct_per_kwh=expected.get(start),
        )

    intervals = plan_intervals(forecasts, rates=rates, now=forecasts[0].start)
    problem = Problem(
        intervals=intervals,
        stores=(store_of(battery, name="battery"),),
        connection=Connection(import_w_max=17_000, export_w_max=17_000),
        end_mct_per_kwh=end_value(intervals),
    )
    return battery_steps(make_plan(problem), after=forecasts[0].start - DELIVERY_INTERVAL)
