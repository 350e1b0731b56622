"""A price forecast by the clock on the wall: markets deliver by UTC, and their days, peaks and holidays are local."""

from collections.abc import Container
from dataclasses import replace
from datetime import date, datetime, tzinfo

from domain.calendar.wall import on_wall_values, to_wall, wall_places, wall_time
from domain.forecasting.blend import Covariates
from domain.forecasting.price import forecast_price
from domain.forecasting.quantiles import Quantiles
from domain.forecasting.series import Series, first_step
from domain.forecasting.wall_covariates import covariates_to_wall


def forecast_price_by(
    clock: tzinfo,
    history: Series,
    *,
    issued_at: datetime,
    horizon_steps: int,
    covariates: Covariates | None = None,
    holidays: Container[date] | None = None,
) -> Quantiles:
    """Forecast a price over the steps of UTC that follow an instant, by what it was at the same hours of a clock.

    Args:
        clock: Of the zone.
        history: Past prices on UTC, in any unit; nothing after ``issued_at`` is looked at.
        issued_at: The forecast begins with the first step at or after this.
        horizon_steps: How many steps.
        covariates: What is published in advance, on UTC.
        holidays: Days of the clock whose price is like a Sunday's.
    """
    step_s = history.step_s
    start = first_step(issued_at, step_s=step_s)
    wall_start = first_step(wall_time(start, clock), step_s=step_s)
    places = wall_places(start, count=horizon_steps, step_s=step_s, zone=clock, wall_start=wall_start)
    told = forecast_price(
        to_wall(history.before(start), clock),
        issued_at=wall_start,
        horizon_steps=int(places.max()) + 1,
        covariates=None if covariates is None else covariates_to_wall(covariates, clock, step_s=step_s),
        holidays=holidays,
    )
    low, middle, high = (on_wall_values(values, places) for values in (told.p10, told.p50, told.p90))
    return replace(told, start=start, p10=low, p50=middle, p90=high)
