"""The outbox, the uplink and the link together, on a real broker that comes and goes."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from contracts.clock import SystemClock, scaled_clock
from contracts.metering import MeterReading
from contracts.telemetry import TelemetryMessage
from contracts.topics import Up
from edge.links.flow import PUBLISHES_PER_S
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings
from edge.outbox.outbox import Outbox
from edge.telemetry.uplink import Uplink
from tests.support.brokers.broker import Broker, broker, running
from tests.support.brokers.link_parts import AT, SITE, Listener, background, event, one_sample, reading, topic_of, until
from tests.support.manual_clock import ManualClock

__all__ = ["broker"]


def _link(at: Broker) -> MqttLink:
    settings = LinkSettings(url=at.url, throttle=False, reconnect_s_min=0.05, reconnect_s_max=0.2)
    return MqttLink(settings, client_id=SITE)


def _numbers(payloads: list[bytes]) -> list[int]:
    return [MeterReading.decode(payload).seq for payload in payloads]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """A outbox on a real file."""
    return Outbox.open(tmp_path / "journal.db", site=SITE, clock=SystemClock())


async def test_what_was_appended_before_during_and_after_an_outage_arrives_in_order(
    broker: Broker, outbox: Outbox
) -> None:
    """A broker's restart is an ordinary day; the cloud proves from the numbers that nothing is missing."""
    link = _link(broker)
    uplink = Uplink(outbox=outbox, link=link, clock=SystemClock(), topic_of=topic_of)
    listener = Listener(broker, "sitewatt/#")
    for value in range(10):
        outbox.append(Up.METER, reading(value))
    async with background(listener.run(), name="listener"), background(uplink.run(), name="uplink"):
        await until(listener.ready.is_set)
        async with background(link.run(), name="link"):
            await until(lambda: len(listener.payloads(Up.METER)) >= 10)
            broker.kill()
            await until(lambda: not listener.ready.is_set())
            for value in range(10, 20):
                outbox.append(Up.METER, reading(value))
        broker.start()
        await until(listener.ready.is_set)
        async with background(link.run(), name="link"):
            outbox.append(Up.METER, reading(20))
            await until(lambda: len({*_numbers(listener.payloads(Up.METER))}) == 21 and not outbox.read(Up.METER))
    outbox.close()
    first_seen = list(dict.fromkeys(_numbers(listener.payloads(Up.METER))))
    assert first_seen == list(range(1, 22))


async def test_unacknowledged_records_survive_the_process_and_are_sent_by_the_next(
    broker: Broker, outbox: Outbox, tmp_path: Path
) -> None:
    """What a gateway could not send before it stopped, the restarted one sends, byte for byte."""
    outbox.append(Up.METER, reading(7))
    outbox.append(Up.TELEMETRY, one_sample(1.5))
    before = [record.payload for record in outbox.read(Up.METER)]
    outbox.close()

    again = Outbox.open(tmp_path / "journal.db", site=SITE, clock=SystemClock())
    link = _link(broker)
    uplink = Uplink(outbox=again, link=link, clock=SystemClock(), topic_of=topic_of)
    listener = Listener(broker, "sitewatt/#")
    async with background(listener.run(), name="listener"), background(link.run(), name="link"):
        await until(listener.ready.is_set)
        async with background(uplink.run(), name="uplink"):
            await until(lambda: uplink.stats().acknowledged == 2 and len(listener.received) == 2)
    assert listener.payloads(Up.METER) == before
    assert not again.read(Up.METER)
    again.close()


async def test_what_is_measured_now_is_not_held_up_by_a_backlog(broker: Broker, outbox: Outbox, tmp_path: Path) -> None:
    """After days offline the operator wants to see the present first; the past follows at its own pace, all of it."""
    clock = scaled_clock(started_at=AT, speed=1000)  # The random pause before a backlog is over in milliseconds.
    backlog, live = 40, 20
    for value in range(backlog):
        outbox.append(Up.TELEMETRY, one_sample(value))
        outbox.append(Up.METER, reading(value))
    outbox.flush()
    link = _link(broker)
    uplink = Uplink(outbox=outbox, link=link, clock=clock, topic_of=topic_of)
    listener = Listener(broker, "sitewatt/#")
    async with background(listener.run(), name="listener"), background(link.run(), name="link"):
        await until(listener.ready.is_set)
        async with background(uplink.run(), name="uplink"):
            await until(lambda: len(listener.received) >= 5)
            for value in range(live):
                outbox.append(Up.TELEMETRY, one_sample(1000 + value))
                outbox.append(Up.EVENTS, event(f"event {value}"))
            outbox.flush()
            await until(lambda: len(listener.payloads(Up.TELEMETRY)) >= live)
            early = [TelemetryMessage.decode(payload).seq for payload in listener.payloads(Up.TELEMETRY)]
            assert len(listener.payloads(Up.EVENTS)) == live
            await until(lambda: not outbox.read(Up.METER) and not outbox.read(Up.TELEMETRY))
    assert early[:live] == list(range(backlog + 1, backlog + live + 1))
    assert _numbers(listener.payloads(Up.METER)) == list(range(1, backlog + 1))
    seqs = [TelemetryMessage.decode(payload).seq for payload in listener.payloads(Up.TELEMETRY)]
    assert sorted(seqs) == list(range(1, backlog + live + 1))
    order = [message.topic.value for message in listener.received]
    seconds = listener.arrived_s[-1] - listener.arrived_s[0]
    assert seconds >= (2 * backlog - 2) / (0.2 * PUBLISHES_PER_S), "a fifth of the link, however fast it is"
    last_meter = max(index for index, topic in enumerate(order) if topic == topic_of(Up.METER))
    first_old = next(
        index
        for index, message in enumerate(listener.received)
        if message.topic.value == topic_of(Up.TELEMETRY) and TelemetryMessage.decode(bytes(message.payload)).seq == 1
    )
    assert last_meter < first_old, "settlement goes before old telemetry"
    outbox.close()


async def test_a_reading_waits_for_its_sites_time_and_nothing_else_waits_for_it(broker: Broker, tmp_path: Path) -> None:
    """All sites finish an interval at one instant; what stands behind a reading has its own haste."""
    clock = ManualClock(AT)
    outbox = Outbox.open(tmp_path / "outbox.db", site=SITE, clock=clock)
    link = _link(broker)
    uplink = Uplink(outbox=outbox, link=link, clock=clock, topic_of=topic_of, offsets_s={Up.METER: 20.0})
    listener = Listener(broker, "sitewatt/#")
    async with (
        background(listener.run(), name="listener"),
        background(link.run(), name="link"),
        background(uplink.run(), name="uplink"),
    ):
        await until(listener.ready.is_set)
        outbox.append(Up.METER, reading(1))
        outbox.append(Up.METER, reading(2))
        outbox.append(Up.TELEMETRY, one_sample(1.0))
        outbox.flush()
        await until(lambda: listener.payloads(Up.TELEMETRY))
        assert not listener.payloads(Up.METER) and len(outbox.read(Up.METER)) == 2
        clock.advance(20.0)
        outbox.append(Up.EVENTS, event("wakes the uplink"))
        await until(lambda: not outbox.read(Up.METER))
    assert _numbers(listener.payloads(Up.METER)) == [1, 2]
    outbox.close()


async def test_a_backlog_waits_its_random_pause_and_what_is_live_does_not(broker: Broker, outbox: Outbox) -> None:
    """A fleet that comes back together does not fill up together; each site is seen at once."""
    for value in range(60):
        outbox.append(Up.METER, reading(value))
    link = _link(broker)
    always_longest = SimpleNamespace(uniform=lambda shortest, longest: longest)
    uplink = Uplink(
        outbox=outbox,
        link=link,
        clock=SystemClock(),
        topic_of=topic_of,
        generator=cast(random.Random, always_longest),
    )
    listener = Listener(broker, "sitewatt/#")
    async with background(listener.run(), name="listener"), background(link.run(), name="link"):
        await until(listener.ready.is_set)
        async with background(uplink.run(), name="uplink"):
            outbox.append(Up.EVENTS, event("the uplink drains"), durable=True)
            await until(lambda: listener.payloads(Up.EVENTS))
            for value in range(60):
                outbox.append(Up.TELEMETRY, one_sample(value))
            outbox.flush()
            await until(lambda: len(listener.payloads(Up.TELEMETRY)) == 60)
    assert listener.payloads(Up.METER) == []
    outbox.close()


async def test_a_refused_channel_rests_and_the_others_go_on(tmp_path: Path, outbox: Outbox) -> None:
    """One missing line in a policy must not cost the settlement, and what was refused is kept until it is allowed."""
    acl = f"topic readwrite {topic_of(Up.METER)}\ntopic read sitewatt/#\n"
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker(folder=folder, acl=acl)) as strict:
        link = _link(strict)
        uplink = Uplink(outbox=outbox, link=link, clock=SystemClock(), topic_of=topic_of)
        async with background(link.run(), name="link"), background(uplink.run(), name="uplink"):
            for value in range(5):
                outbox.append(Up.EVENTS, event("refused"))
                outbox.append(Up.METER, reading(value))
            outbox.flush()
            await until(lambda: not outbox.read(Up.METER) and uplink.stats().refused)
        assert len(outbox.read(Up.EVENTS)) == 5
        assert link.status().connects == 1
    with running(Broker(folder=folder)) as open_to_all:
        link = _link(open_to_all)
        uplink = Uplink(outbox=outbox, link=link, clock=SystemClock(), topic_of=topic_of)
        async with background(link.run(), name="link"), background(uplink.run(), name="uplink"):
            await until(lambda: not outbox.read(Up.EVENTS))
    outbox.close()
