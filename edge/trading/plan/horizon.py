"""The intervals and the storage of a plan, from what a site knows: quarters of an hour near, hours far."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from edge.trading.model import Battery, SiteForecast
from edge.trading.plan.problem import PlanInterval, Store

NEAR = timedelta(hours=24)
_QUARTER = timedelta(minutes=15)
_QUARTERS_PER_H = 4

Rates = Callable[[datetime], tuple[float, float]]
"""What a kWh taken costs and what a kWh given brings in the quarter that begins at an instant, in mct."""


def plan_intervals(
    forecasts: Sequence[SiteForecast],
    *,
    rates: Rates,
    now: datetime,
    near: timedelta = NEAR,
    peak_weight: Callable[[datetime], float] = lambda _: 1.0,
) -> tuple[PlanInterval, ...]:
    """Return the intervals to plan, from the present quarter to the first gap in the forecasts.

    The first is what is left of the present quarter. From ``near`` on, four quarters make an hour, from a full hour
    on; an hour that is not complete ends the horizon.

    Args:
        forecasts: Of consecutive quarters, the one of ``now`` first or later.
        rates: Of a quarter.
        now: Of the plan.
        near: How far quarters are planned.
        peak_weight: How much of a quarter's power counts where the highest costs.
    """
    quarters: list[PlanInterval] = []
    for forecast in forecasts:
        if quarters and forecast.start != quarters[-1].end:
            break
        if forecast.start + _QUARTER > now:
            quarters.append(_quarter(forecast, rates, now, peak_weight(forecast.start)))
    far = next(
        (
            index
            for index, each in enumerate(quarters)
            if each.start >= now + near and each.start.minute == 0 and each.start.second == 0
        ),
        len(quarters),
    )
    hours = [quarters[index : index + _QUARTERS_PER_H] for index in range(far, len(quarters), _QUARTERS_PER_H)]
    return (*quarters[:far], *(_merged(hour) for hour in hours if len(hour) == _QUARTERS_PER_H))


def _quarter(forecast: SiteForecast, rates: Rates, now: datetime, peak_weight: float) -> PlanInterval:
    buy, sell = rates(forecast.start)
    start = max(forecast.start, now)
    share = (forecast.start + _QUARTER - start) / _QUARTER
    return PlanInterval(
        start=start,
        hours=share / _QUARTERS_PER_H,
        load_wh=forecast.load_wh * share,
        pv_wh=forecast.pv_wh * share,
        buy_mct_per_kwh=buy,
        sell_mct_per_kwh=sell,
        peak_weight=peak_weight,
    )


def _merged(quarters: Sequence[PlanInterval]) -> PlanInterval:
    return PlanInterval(
        start=quarters[0].start,
        hours=sum(each.hours for each in quarters),
        load_wh=sum(each.load_wh for each in quarters),
        pv_wh=sum(each.pv_wh for each in quarters),
        buy_mct_per_kwh=sum(each.buy_mct_per_kwh for each in quarters) / len(quarters),
        sell_mct_per_kwh=sum(each.sell_mct_per_kwh for each in quarters) / len(quarters),
        peak_weight=max(each.peak_weight for each in quarters),
    )


def store_of(battery: Battery, *, name: str) -> Store:
    """Return a battery as a plan has it; what is read beyond its window counts as at its end."""
    low_wh = battery.capacity_wh * battery.soc_percent_min / 100
    high_wh = battery.capacity_wh * battery.soc_percent_max / 100
    return Store(
        id=name,
        capacity_wh=battery.capacity_wh,
        charge_w_max=battery.charge_w_max,
        discharge_w_max=battery.discharge_w_max,
        stored_wh=min(max(battery.capacity_wh * battery.soc_percent / 100, low_wh), high_wh),
        stored_wh_min=low_wh,
        stored_wh_max=high_wh,
        charge_efficiency=battery.efficiency,
        discharge_efficiency=battery.efficiency,
        wear_mct_per_kwh=battery.wear_mct_per_kwh,
        target_wh=min(battery.capacity_wh * battery.target_soc_percent / 100, high_wh),
        target_at=battery.target_at,
    )
