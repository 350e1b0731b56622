"""Prices go by the clock on the wall too: peaks, weekdays and holidays of a market are local."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from domain.forecasting.blend import Covariates
from domain.forecasting.issue import PriceInputs, issue_forecasts
from domain.forecasting.series import Series
from domain.forecasting.wall_price import forecast_price_by

HOUR = timedelta(hours=1)
# The local midnight after which the clock changes.
CHANGES = [
    ("Europe/Berlin", date(2025, 10, 26)), ("Europe/Berlin", date(2025, 3, 30)),
    ("America/New_York", date(2025, 11, 2)), ("America/New_York", date(2025, 3, 9)),
    ("Australia/Sydney", date(2025, 4, 6)), ("Australia/Sydney", date(2025, 10, 5)),
]  # fmt: skip


def price_at(instant: datetime, clock: ZoneInfo) -> float:
    """Return a price with a peak from 17 to 19 of its own clock, in mct_per_kwh."""
    return 30_000.0 if instant.astimezone(clock).hour in (17, 18) else 8_000.0


def history_until(at: datetime, clock: ZoneInfo, *, step: timedelta = HOUR, days: int = 40) -> Series:
    """Return the prices of so many days."""
    begin = at - timedelta(days=days)
    values = np.array([price_at(begin + index * step, clock) for index in range(days * (timedelta(days=1) // step))])
    return Series(start=begin, step_s=round(step.total_seconds()), values=values)


@pytest.mark.parametrize(("place", "day"), CHANGES)
@pytest.mark.parametrize("after_days", [-1, 0, 1, 6])
def test_a_peak_is_at_its_hour_of_the_wall_after_the_clock_changed(place: str, day: date, after_days: int) -> None:
    """By one offset the evening's peak was looked for an hour off, for weeks; days of 23 and 25 hours are whole."""
    clock = ZoneInfo(place)
    at = datetime(day.year, day.month, day.day, tzinfo=clock).astimezone(UTC) + timedelta(days=after_days)
    told = forecast_price_by(clock, history_until(at, clock), issued_at=at, horizon_steps=25)
    assert told.start == at and len(told.p50) == 25
    real = [price_at(at + hour * HOUR, clock) for hour in range(25)]
    assert float(np.abs(told.p50 - real).max()) < 500  # A spike is told a little low.


def test_a_zone_issues_its_price_by_its_clock_with_what_is_published_on_it() -> None:
    """The functions' own path, in quarters, two days after Berlin's clock was set back."""
    clock, at = ZoneInfo("Europe/Berlin"), datetime(2025, 10, 27, 23, tzinfo=UTC)
    quarter = HOUR / 4
    prices = history_until(at, clock, step=quarter)
    load = np.append(prices.values, [price_at(at + index * quarter, clock) for index in range(96)])[:, None]
    inputs = PriceInputs(clock=clock, covariates=Covariates(start=prices.start, values=load))
    (told,) = issue_forecasts([], issued_at=at, price=prices, price_inputs=inputs)
    real = [price_at(at + index * quarter, clock) for index in range(96)]
    assert max(abs(one - other) for one, other in zip(told.p50, real, strict=True)) < 500
