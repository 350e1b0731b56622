"""Readings and events of the connection point's meter, as they are journalled."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from contracts.metering import MeterReading
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.units import Quality
from edge.outbox.outbox import Outbox
from edge.telemetry.meter_recorder import MeterRecorder
from edge.telemetry.metering import Observation
from tests.support.brokers.link_parts import SITE
from tests.support.manual_clock import ManualClock
from tests.unit.edge.telemetry.test_metering import START


def test_a_misread_counter_leaves_a_bounded_reading_and_one_event(tmp_path: Path) -> None:
    """An operator hears of a doubtful meter once, with its cause; the market hears a bounded, flagged number."""
    clock = ManualClock()
    with closing(Outbox.open(tmp_path / "outbox.db", site=SITE, clock=clock)) as outbox:
        recorder = MeterRecorder(site=SITE, outbox=outbox, clock=clock, connection_w=20_000)
        for second in range(0, 3610, 10):
            glitch = 1000 <= second < 1020 or 2000 <= second < 2020
            recorder.observe(
                Observation(
                    at=START + timedelta(seconds=second),
                    import_wh=4_294_967_295.0 if glitch else 5000 + second / 1.8,
                    export_wh=0.0,
                    power_w=2000.0,
                )
            )
        readings = [MeterReading.decode(record.payload) for record in outbox.read(Up.METER, limit=100)]
        events = [EventMessage.decode(record.payload) for record in outbox.read(Up.EVENTS, limit=100)]
    assert [one.import_wh for one in readings] == [500] * 4
    assert [one.quality for one in readings] == [Quality.GOOD, Quality.SUBSTITUTED, Quality.SUBSTITUTED, Quality.GOOD]
    assert [(one.phrase, one.fields["why"]) for one in events] == [("energy counter not believed", "import: jump")]
