"""Past days are played with the prices that were known on them."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from edge.trading.plan.scenarios import Past
from edge.trading.plan.season import QUARTERS_PER_DAY, Season, priced_as

DAYS = 15
START = datetime(2026, 3, 2, tzinfo=UTC)  # A Monday.


def _season(start: datetime = START) -> Season:
    count = DAYS * QUARTERS_PER_DAY
    return Season(
        start=start,
        load_w=[0.0] * count,
        pv_w=[0.0] * count,
        buy_mct_per_kwh=[0.0] * count,
        sell_mct_per_kwh=[0.0] * count,
    )


def _quarter(day: int, hour: int) -> int:
    return day * QUARTERS_PER_DAY + hour * 4


@pytest.mark.parametrize(
    ("now", "priced", "like"),
    [
        ((7, 12), (7, 20), (7, 20)),  # Today's prices are published.
        ((7, 13), (8, 20), (8, 20)),  # So are tomorrow's from 13:00 on.
        ((8, 12), (9, 20), (8, 20)),  # Wednesday's are not before: Tuesday was a working day too.
        ((11, 12), (12, 20), (5, 20)),  # A Saturday is priced as the last one, and no Friday.
        ((12, 13), (14, 8), (11, 8)),  # A Monday after a weekend as the last Friday.
    ],
)
def test_a_price_that_is_not_published_is_that_of_the_last_day_of_its_kind(
    now: tuple[int, int], priced: tuple[int, int], like: tuple[int, int]
) -> None:
    """A Friday's prices on a Saturday morning sold in hours that paid nothing."""
    assert priced_as(_season(), _quarter(*now), _quarter(*priced), Past()) == _quarter(*like)


def test_a_holiday_is_priced_as_a_sunday() -> None:
    """By the calendar of the site."""
    past = Past(holidays={date(2026, 3, 11)})
    assert priced_as(_season(), _quarter(8, 12), _quarter(9, 20), past) == _quarter(6, 20)


def test_prices_are_published_by_the_clock_on_the_wall() -> None:
    """13:00 in Berlin is noon in UTC."""
    past = Past(clock=ZoneInfo("Europe/Berlin"))
    assert priced_as(_season(), _quarter(7, 12), _quarter(8, 20), past) == _quarter(8, 20)
    assert priced_as(_season(), _quarter(7, 11), _quarter(8, 20), past) == _quarter(7, 20)


def test_without_a_day_of_its_kind_the_last_day_counts() -> None:
    """The first Saturday of a season."""
    assert priced_as(_season(), _quarter(4, 12), _quarter(5, 20), Past()) == _quarter(4, 20)
