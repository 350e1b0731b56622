"""A gateway tells each lasting change of its alarms once, over restarts too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.alarms import alarms_in
from contracts.telemetry import EventMessage
from contracts.topics import Up
from edge.outbox.outbox import Outbox
from edge.site.alarm_report import AlarmReport
from tests.support.manual_clock import ManualClock

SILENT = "connection point meter is not fresh"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An outbox on disk."""
    opened = Outbox.open(tmp_path / "journal.db", site="home-1", clock=ManualClock())
    yield opened
    opened.close()


def _told(outbox: Outbox) -> list[tuple[str, ...]]:
    return [alarms_in(EventMessage.decode(record.payload).fields) for record in outbox.read(Up.EVENTS)]


def _report(outbox: Outbox) -> AlarmReport:
    return AlarmReport(site="home-1", clock=ManualClock(), outbox=outbox)


def test_a_change_is_told_once_it_stands_at_two_looks(outbox: Outbox) -> None:
    """A hiccup of one look is no alarm; that there are none is told too, or nobody knows of a gateway that is well."""
    report = _report(outbox)
    for alarms in ([], [], [SILENT], [], [SILENT], [SILENT], [SILENT], [], []):
        report.see(alarms)
    assert _told(outbox) == [(), (SILENT,), ()]


def test_an_excess_that_moves_is_told_once(outbox: Outbox) -> None:
    """Each watt would be a message, or the list would never stand still and nothing would be told."""
    report = _report(outbox)
    for excess_w in (412, 430, 1290, 7):
        report.see([f"export stays {excess_w} W above its bound"])
    assert _told(outbox) == [("export stays 430 W above its bound",)]


def test_a_restart_tells_nothing_again_and_what_ended_meanwhile(outbox: Outbox) -> None:
    """An alarm that was mended while the gateway was off would stand at the cloud for ever."""
    for alarms in ([SILENT], [SILENT]):
        _report(outbox).see(alarms)
    first = _report(outbox)
    first.see([SILENT])
    first.see([SILENT])
    again = _report(outbox)
    again.see([SILENT])
    again.see([SILENT])
    assert _told(outbox) == [(SILENT,)]
    last = _report(outbox)
    last.see([])
    last.see([])
    assert _told(outbox) == [(SILENT,), ()]
