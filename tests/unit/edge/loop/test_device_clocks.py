"""A device whose clock is wrong does at noon what its owner wanted at one."""

import logging
from datetime import timedelta

import pytest

from contracts.units import ClockTrust, Quality
from edge.loop.device_clocks import LOCAL_POINT, POINT, DeviceClocks
from edge.modbus.point import Reading
from tests.support.rigs.edge_parts import NOON

LATER = NOON + timedelta(hours=1)


def _says(
    ahead_s: float, *, quality: Quality = Quality.GOOD, point: str = POINT, after_s: float = 0.0
) -> dict[str, dict[str, Reading]]:
    at = LATER + timedelta(seconds=after_s)
    reading = Reading(value=at.timestamp() + ahead_s, quality=quality, source_at=at)
    return {"pv": {point: reading}, "meter": {}}


def _twice(clocks: DeviceClocks, ahead_s: float, *, point: str = POINT) -> None:
    for after_s in (0.0, 10.0):
        clocks.look(_says(ahead_s, point=point, after_s=after_s), trust=ClockTrust.SYNCED)


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [
        (0.0, ()),
        (60.0, ()),
        (-60.0, ()),
        (61.0, ("the clock of pv is 61 s ahead of ours",)),
        (-61.0, ("the clock of pv is 61 s behind ours",)),
        (7_200.0, ()),
        (-12_600.0 + 20, ()),
        (7_200.0 - 300, ("the clock of pv is 300 s behind ours",)),
        (20 * 3_600.0, ("the clock of pv is 72000 s ahead of ours",)),
    ],
)
def test_more_than_a_minute_is_told_with_its_direction(ahead_s: float, said: tuple[str, ...]) -> None:
    """Local time is no fault, a dead battery of a clock is years."""
    for point in (POINT, LOCAL_POINT):
        clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
        _twice(clocks, ahead_s, point=point)
        assert clocks.wrong == said


def test_a_clock_that_was_torn_once_is_not_wrong() -> None:
    """Its minute turned between two registers of one read."""
    clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
    for after_s, ahead_s in ((0.0, 400.0), (1.0, 400.0), (10.0, 0.0), (20.0, -400.0), (30.0, 0.0)):
        for _ in range(3):
            clocks.look(_says(ahead_s, after_s=10 * (after_s // 10)), trust=ClockTrust.SYNCED)
        assert clocks.wrong == ()


def test_it_is_said_once_and_over_when_the_clock_is_right(caplog: pytest.LogCaptureFixture) -> None:
    """Once a second would bury everything else."""
    clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            clocks.look(_says(400.0, after_s=step), trust=ClockTrust.HOLDOVER)
        clocks.look(_says(400.0, quality=Quality.STALE), trust=ClockTrust.SYNCED)
        assert len(caplog.records) == 1
        assert clocks.wrong, "silence proves nothing"
        clocks.look(_says(1.0), trust=ClockTrust.SYNCED)
    assert (len(caplog.records), clocks.wrong) == (2, ())


def test_a_clock_of_ours_that_is_not_trusted_accuses_nobody() -> None:
    """After a start without the network it is we who are wrong."""
    clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
    clocks.look(_says(-1e6), trust=ClockTrust.UNTRUSTED)
    assert clocks.wrong == ()
