"""Instants and delivery intervals."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import DELIVERY_INTERVAL_S, DeliveryInterval, epoch_ms, instant

INSTANTS = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001
    max_value=datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)


@given(milliseconds=st.integers(0, 2**42))
def test_milliseconds_survive_the_way_through_an_instant(milliseconds: int) -> None:
    """One millisecond off and a repetition is no longer recognised."""
    assert epoch_ms(instant(milliseconds)) == milliseconds


@given(at=INSTANTS)
def test_an_instant_lies_in_exactly_one_half_open_interval(at: datetime) -> None:
    """Energy at a boundary is traded once."""
    interval = DeliveryInterval.containing(at)
    assert interval.start <= at < interval.end
    assert interval.end - interval.start == timedelta(seconds=DELIVERY_INTERVAL_S)
    assert DeliveryInterval.containing(interval.end) == interval.later(1)


@given(at=INSTANTS, steps=st.integers(-1000, 1000))
def test_later_and_earlier_undo_each_other(at: datetime, steps: int) -> None:
    """Counting intervals is how agents look ahead."""
    interval = DeliveryInterval.containing(at)
    assert interval.later(steps).later(-steps) == interval


def test_an_interval_off_the_quarter_hour_is_refused() -> None:
    """Two intervals that overlap would sell the same energy twice."""
    with pytest.raises(ValueError, match="quarter of an hour"):
        DeliveryInterval(datetime(2025, 6, 1, 12, 7, tzinfo=UTC))
