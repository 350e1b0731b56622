"""The listener keeps what it hears and stumbles over nothing."""

from datetime import UTC, datetime, timedelta

from contracts.clock import scaled_clock
from contracts.telemetry import EventMessage, Sample, StatusMessage, TelemetryMessage, columns
from contracts.topics import Up, site_topic
from contracts.units import Quality
from edge.commands.evidence_chain import PHRASE
from sitewatt.demo.watch import Watcher

NOW = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)


def _watcher() -> Watcher:
    return Watcher(port=1, clock=scaled_clock(started_at=NOW, speed=1), gate_closure_s=300)


def _topic(channel: Up) -> str:
    return site_topic(zone="zone-1", site="home-1", channel=channel)


def test_the_last_good_power_of_a_site_is_kept() -> None:
    """A missing reading must not blank the view, and must not be shown as zero."""
    watcher = _watcher()
    samples = [
        Sample(point="meter/active_power_w", at=NOW, value=1500.0, quality=Quality.GOOD),
        Sample(point="meter/active_power_w", at=NOW + timedelta(seconds=1), value=None, quality=Quality.INVALID),
    ]
    base_at, series = columns(samples)
    message = TelemetryMessage(site="home-1", epoch=1, seq=1, sent_at=NOW, base_at=base_at, series=series)
    watcher.hear(_topic(Up.TELEMETRY), message.encode())
    assert watcher.view.sites["home-1"].values == {"meter/active_power_w": 1500.0}


def test_a_site_that_goes_offline_is_news() -> None:
    """The last will is what a killed gateway leaves."""
    watcher = _watcher()
    for online in (True, False):
        watcher.hear(_topic(Up.STATUS), StatusMessage(site="home-1", online=online).encode())
    assert not watcher.view.sites["home-1"].online
    assert [sentence for _, sentence in watcher.view.news] == ["home-1 went offline"]


def test_proof_is_not_news_and_what_an_operator_should_know_is() -> None:
    """A piece of evidence for each meter reading of an event would leave room for nothing else."""
    watcher = _watcher()
    for seq, phrase in enumerate((PHRASE, "device silent", PHRASE), start=1):
        event = EventMessage(site="home-1", epoch=1, seq=seq, sent_at=NOW, at=NOW, phrase=phrase)
        watcher.hear(_topic(Up.EVENTS), event.encode())
    assert [sentence for _, sentence in watcher.view.news] == ["home-1: device silent"]


def test_what_cannot_be_read_is_counted_and_costs_nothing_else() -> None:
    """Anybody may publish anything on a broker."""
    watcher = _watcher()
    watcher.hear(_topic(Up.TELEMETRY), b"\xff not json")
    watcher.hear("some/other/topic", b"{}")
    assert (watcher.view.messages, watcher.view.unreadable) == (1, 1)
