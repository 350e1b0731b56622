"""A load forecast by the clock on the wall: people's habits follow it, while meters and markets follow UTC.

In the fortnights after a clock change a forecast by one offset would look for the evening's peak an hour off.
"""

from collections.abc import Container
from dataclasses import replace
from datetime import date, datetime, tzinfo

from domain.calendar.wall import on_wall_values, to_wall, wall_places, wall_time
from domain.forecasting.blend import Covariates
from domain.forecasting.load import forecast_load
from domain.forecasting.profiles import LoadClass
from domain.forecasting.quantiles import Quantiles
from domain.forecasting.series import Series, first_step
from domain.forecasting.wall_covariates import covariates_to_wall


def forecast_load_by(
    clock: tzinfo,
    history: Series | None,
    *,
    issued_at: datetime,
    horizon_steps: int,
    step_s: int,
    load_class: LoadClass = LoadClass.FLAT,
    typical_w: float = 0.0,
    covariates: Covariates | None = None,
    holidays: Container[date] | None = None,
) -> Quantiles:
    """Forecast a load over the steps of UTC that follow an instant, by what it did at the same hours of a clock.

    Args:
        clock: Of the place.
        history: What was measured, on UTC; nothing after ``issued_at`` is looked at.
        issued_at: The forecast begins with the first step at or after this.
        horizon_steps: How many steps.
        step_s: The step; that of the history where there is one.
        load_class: What the site is, for its first days.
        typical_w: Its mean load, for its first minutes.
        covariates: What is known in advance, on UTC.
        holidays: Days of the clock that are like Sundays.
    """
    step_s = history.step_s if history is not None else step_s
    start = first_step(issued_at, step_s=step_s)
    wall_start = first_step(wall_time(start, clock), step_s=step_s)
    places = wall_places(start, count=horizon_steps, step_s=step_s, zone=clock, wall_start=wall_start)
    # A long day has fewer hours of the wall than of UTC, a short one more.
    told = forecast_load(
        None if history is None else to_wall(history.before(start), clock),
        issued_at=wall_start,
        horizon_steps=int(places.max()) + 1,
        step_s=step_s,
        load_class=load_class,
        typical_w=typical_w,
        covariates=None if covariates is None else covariates_to_wall(covariates, clock, step_s=step_s),
        holidays=holidays,
    )
    low, middle, high = (on_wall_values(values, places) for values in (told.p10, told.p50, told.p90))
    return replace(told, start=start, p10=low, p50=middle, p90=high)
