"""One clock for every process, real or scaled."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.clock import ScaledClock, SystemClock, parse_clock, scaled_clock

START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@given(speed=st.floats(min_value=0.01, max_value=1000), origin_s=st.floats(min_value=0, max_value=1e7))
def test_a_specification_makes_an_equal_clock_in_another_process(speed: float, origin_s: float) -> None:
    """Processes that disagree on the time trade different intervals."""
    clock = ScaledClock(started_at=START, origin_s=origin_s, speed=speed)
    assert parse_clock(clock.spec()) == clock


def test_without_a_specification_it_is_the_machines_clock() -> None:
    """A gateway on a wall is given none."""
    assert isinstance(parse_clock(None), SystemClock)
    assert isinstance(parse_clock(""), SystemClock)


@pytest.mark.parametrize(
    "spec", ["x", "2025-06-01@1x2", "2025-06-01T12:00:00+00:00@1x0", "2025-06-01T12:00:00+00:00@1x-1"]
)
def test_a_broken_specification_is_refused_with_what_it_should_be(spec: str) -> None:
    """A process that silently takes real time would be the only one in another year."""
    with pytest.raises(ValueError, match="INSTANT@ORIGINxSPEED"):
        parse_clock(spec)


async def test_a_scaled_clock_runs_as_many_times_as_fast() -> None:
    """Wall and monotonic time move together, and a sleep ends when this clock has moved on."""
    clock = scaled_clock(started_at=START, speed=500)
    before_s, before_at = clock.monotonic(), clock.now()
    async with asyncio.timeout(60):
        await clock.sleep(20)
    passed_s = clock.monotonic() - before_s
    assert passed_s >= 20 - 1
    assert abs((clock.now() - before_at).total_seconds() - passed_s) < 30
    assert clock.speed == 500


def test_a_clock_needs_a_time_zone_and_a_sensible_speed() -> None:
    """A naive instant is an hour wrong twice a year."""
    with pytest.raises(ValueError, match="time zone"):
        scaled_clock(started_at=datetime(2025, 6, 1), speed=1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="outside"):
        scaled_clock(started_at=START, speed=1001)
