"""A fleet's readings come evenly over the spread, each site at a time of its own."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import Up
from edge.config import TelemetrySection
from edge.telemetry.spread import offset_s, wait_s

MADE = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
SPREAD_S = TelemetrySection().reading_spread_s


def test_a_thousand_sites_of_one_naming_scheme_leave_no_second_crowded() -> None:
    """Thirty-three a second would be even; a fleet whose names count up must come near it."""
    offsets = [offset_s(f"site-{number:05}", spread_s=SPREAD_S) for number in range(1000)]
    assert all(0 <= each < SPREAD_S for each in offsets)
    seconds = [int(each) for each in offsets]
    assert max(seconds.count(second) for second in range(int(SPREAD_S))) < 60
    assert offsets == [offset_s(f"site-{number:05}", spread_s=SPREAD_S) for number in range(1000)]


@given(st.floats(0, 60), st.floats(0, 7200))
def test_a_record_waits_until_its_time_and_never_longer_than_that(offset: float, age_s: float) -> None:
    """After an outage readings are old: they wait for nothing more."""
    left_s = wait_s({Up.METER: offset}, Up.METER, made_at=MADE, now=MADE + timedelta(seconds=age_s))
    assert left_s == pytest.approx(max(0.0, offset - age_s), abs=1e-5)


def test_other_channels_and_records_from_the_future_wait_for_nothing() -> None:
    """An order has a gate to make; a clock that was set back by a day must not hold a reading for a day."""
    offsets = {Up.METER: 20.0}
    assert wait_s(offsets, Up.ORDERS, made_at=MADE, now=MADE) == 0
    assert wait_s(offsets, Up.METER, made_at=MADE, now=MADE - timedelta(days=1)) == 0
