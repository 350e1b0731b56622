"""Loads go by the clock on the wall and by the place's holidays: in three countries, on both hemispheres."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from domain.calendar.holidays import Holidays
from domain.forecasting.issue import SiteHistory, issue_forecasts
from domain.forecasting.quantiles import Quantiles
from domain.forecasting.series import Series
from domain.forecasting.wall_load import forecast_load_by

HOUR = timedelta(hours=1)
BERLIN, NEW_YORK, SYDNEY = "Europe/Berlin", "America/New_York", "Australia/Sydney"
# The local midnight after which the clock changes, and whether it is set back.
CHANGES = [
    (BERLIN, date(2025, 10, 26)), (BERLIN, date(2025, 3, 30)),
    (NEW_YORK, date(2025, 11, 2)), (NEW_YORK, date(2025, 3, 9)),
    (SYDNEY, date(2025, 4, 6)), (SYDNEY, date(2025, 10, 5)),
]  # fmt: skip


def use_at(instant: datetime, clock: ZoneInfo) -> float:
    """Return what a household uses: a peak from 17 to 19 of its own clock."""
    return 1_000.0 if instant.astimezone(clock).hour in (17, 18) else 200.0


def told_at(clock: ZoneInfo, issued_at: datetime, *, days: int = 40) -> tuple[Quantiles, list[float]]:
    """Return the forecast of a day and what the household really uses, by the hour of UTC."""
    begin = issued_at - timedelta(days=days)
    values = np.array([use_at(begin + hour * HOUR, clock) for hour in range(24 * days)])
    history = Series(start=begin, step_s=3600, values=values)
    told = forecast_load_by(clock, history, issued_at=issued_at, horizon_steps=24, step_s=3600)
    return told, [use_at(issued_at + hour * HOUR, clock) for hour in range(24)]


@pytest.mark.parametrize(("place", "day"), CHANGES)
@pytest.mark.parametrize("after_days", [-1, 0, 1, 6])
def test_a_forecast_is_as_good_after_the_clock_changed_as_before(place: str, day: date, after_days: int) -> None:
    """By one offset the evening's peak was looked for an hour off, for a fortnight."""
    clock = ZoneInfo(place)
    at = datetime(day.year, day.month, day.day, tzinfo=clock).astimezone(UTC) + timedelta(days=after_days)
    told, real = told_at(clock, at.replace(minute=0))
    assert told.start == at and len(told.p50) == 24
    assert float(np.abs(told.p50 - real).max()) < 1.0


@pytest.mark.parametrize(
    ("place", "country", "subdivision", "day", "holiday"),
    [
        (BERLIN, "DE", "BY", date(2025, 6, 19), True),  # Corpus Christi, a Thursday, in Bavaria
        (BERLIN, "DE", "BE", date(2025, 6, 19), False),  # and not in Berlin.
        (NEW_YORK, "US", "", date(2025, 11, 27), True),  # Thanksgiving.
        (SYDNEY, "AU", "NSW", date(2025, 6, 9), True),  # The King's birthday, a Monday in winter,
        (SYDNEY, "AU", "NSW", date(2025, 1, 27), True),  # and Australia Day's in summer.
    ],
)
def test_a_holiday_is_forecast_from_sundays_where_it_is_one(
    place: str, country: str, subdivision: str, day: date, holiday: bool
) -> None:
    """An office that is shut uses what it uses on a Sunday, by its own midnights and its own calendar."""
    clock, calendar = ZoneInfo(place), Holidays(country=country, subdivision=subdivision)
    at = datetime(day.year, day.month, day.day, tzinfo=clock).astimezone(UTC)
    begin = at - timedelta(days=46)

    def office(instant: datetime) -> float:
        local = instant.astimezone(clock)
        shut = local.weekday() >= 5 or local.date() in calendar
        return 100.0 if shut else 1_000.0

    values = np.array([office(begin + quarter * HOUR / 4) for quarter in range(46 * 96)])
    load = Series(start=begin, step_s=900, values=values)
    site = SiteHistory(site="office", load=load, clock=clock, holidays=calendar)
    (told,) = issue_forecasts([site], issued_at=at)
    assert (day in calendar) is holiday
    expected = 100.0 if holiday else 1_000.0
    assert max(abs(value - expected) for value in told.p50) < 50
