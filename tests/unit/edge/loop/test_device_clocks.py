"""A device whose clock is wrong does at noon what its owner wanted at one."""

import logging
from datetime import timedelta

import pytest

from contracts.units import ClockTrust, Quality
from edge.loop.device_clocks import POINT, DeviceClocks
from edge.modbus.point import Reading
from tests.support.rigs.edge_parts import NOON

LATER = NOON + timedelta(hours=1)


def _says(ahead_s: float, *, quality: Quality = Quality.GOOD) -> dict[str, dict[str, Reading]]:
    value = LATER.timestamp() + ahead_s
    return {"pv": {POINT: Reading(value=value, quality=quality, source_at=LATER)}, "meter": {}}


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [
        (0.0, ()),
        (60.0, ()),
        (-60.0, ()),
        (61.0, ("the clock of pv is 61 s ahead of ours",)),
        (-3_600.0, ("the clock of pv is 3600 s behind ours",)),
    ],
)
def test_more_than_a_minute_is_told_with_its_direction(ahead_s: float, said: tuple[str, ...]) -> None:
    """A time zone set wrongly is an hour, a dead battery of a clock is years."""
    clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
    clocks.look(_says(ahead_s), trust=ClockTrust.SYNCED)
    assert clocks.wrong == said


def test_it_is_said_once_and_over_when_the_clock_is_right(caplog: pytest.LogCaptureFixture) -> None:
    """Once a second would bury everything else."""
    clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            clocks.look(_says(3_600.0), trust=ClockTrust.HOLDOVER)
        clocks.look(_says(3_600.0, quality=Quality.STALE), trust=ClockTrust.SYNCED)
        assert len(caplog.records) == 1
        assert clocks.wrong, "silence proves nothing"
        clocks.look(_says(1.0), trust=ClockTrust.SYNCED)
    assert (len(caplog.records), clocks.wrong) == (2, ())


def test_a_clock_of_ours_that_is_not_trusted_accuses_nobody() -> None:
    """After a start without the network it is we who are wrong."""
    clocks = DeviceClocks(lambda: ClockTrust.SYNCED)
    clocks.look(_says(-1e6), trust=ClockTrust.UNTRUSTED)
    assert clocks.wrong == ()
