"""Fifteen days without a link, and a power cut at any byte: nothing settled is lost, nothing is counted twice."""

import itertools
import random
import shutil
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.clock import SystemClock
from contracts.metering import MeterReading
from contracts.telemetry import Sample, TelemetryMessage
from contracts.topics import Up
from contracts.units import Quality
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings
from edge.outbox.outbox import Outbox
from edge.outbox.records import OutboxState
from edge.telemetry.uplink import Uplink
from tests.support.brokers.broker import Broker, broker
from tests.support.brokers.link_parts import (
    AT,
    SITE,
    Listener,
    background,
    one_sample,
    reading,
    telemetry,
    topic_of,
    until,
)

__all__ = ["broker"]

DAYS = 15
INTERVALS_A_DAY = 96
MESSAGES_A_DAY = 1440
# Of the thousands of messages that wait, so many may leave before one that is made now.
BEFORE_LIVE_MAX = 1_000
SEED = 20250615
CUTS_PER_HISTORY = 59


def _message() -> list[Sample]:
    """Return half a minute of ten restless points: values that do not pack better than a meter's."""
    generator = random.Random(SEED)
    return [
        Sample(
            point=f"device-{index % 10}/power_w",
            at=AT + timedelta(seconds=index // 10),
            value=round(generator.gauss(1000, 40), 1),
            quality=Quality.GOOD,
        )
        for index in range(330)
    ]


@pytest.mark.parametrize(
    "days", [pytest.param(4, marks=pytest.mark.slow), pytest.param(DAYS, marks=pytest.mark.nightly)]
)
async def test_days_offline_lose_and_double_nothing(broker: Broker, tmp_path: Path, days: int) -> None:
    """Up to the worst outage that a site is promised to survive, at its nominal rate, then everything at once."""
    messages, intervals = days * MESSAGES_A_DAY, days * INTERVALS_A_DAY
    path = tmp_path / "journal.db"
    with closing(Outbox.open(path, site=SITE, clock=SystemClock())) as outbox:
        build = telemetry(_message())
        for minute in range(messages):
            outbox.append(Up.TELEMETRY, build)
            if minute % 15 == 14:
                outbox.append(Up.METER, reading(minute // 15))
        outbox.flush()
        payload_bytes = sum(outbox.stats().bytes.values())
        assert path.stat().st_size < 1.5 * payload_bytes
        link = MqttLink(LinkSettings(url=broker.url), client_id=SITE)
        uplink = Uplink(
            outbox=outbox, link=link, clock=SystemClock(), topic_of=topic_of, throttle=False, pause_s_max=0.0
        )
        listener = Listener(broker, "sitewatt/#")
        async with background(listener.run(), name="listener"), background(link.run(), name="link"):
            await until(listener.ready.is_set)
            async with background(uplink.run(), name="uplink"):
                # Each live message by its number: how many others had left when it was made.
                live: dict[int, int] = {}
                for value in range(50):
                    await until(lambda: len(listener.received) > len(live) * 100)
                    live[outbox.append(Up.TELEMETRY, one_sample(value), durable=True)] = uplink.stats().published
                await until(lambda: len(listener.received) >= intervals + messages + 50, timeout_s=500)
                await until(lambda: not outbox.read(Up.TELEMETRY) and not outbox.read(Up.METER))
        readings = [MeterReading.decode(payload).seq for payload in listener.payloads(Up.METER)]
        places = {
            TelemetryMessage.decode(bytes(message.payload)).seq: place
            for place, message in enumerate(listener.received)
            if message.topic.value == topic_of(Up.TELEMETRY)
        }
        assert readings == list(range(1, intervals + 1))
        assert sorted(places) == list(range(1, messages + 51)) and len(listener.received) == messages + 50 + intervals
        before = [places[seq] - left for seq, left in live.items()]
        assert max(before) < BEFORE_LIVE_MAX, f"live waits behind the backlog: {before}"


def _history(folder: Path, generator: random.Random) -> Generator[tuple[int, bytes, bytes, bytes], None, None]:
    """Yield, after each of some settlement records, how many were promised before it, and the files around it.

    The files are the database, and the log before and after the last commit; the outbox is too young to have begun
    its log anew.
    """
    path = folder / "journal.db"
    log = folder / "journal.db-wal"
    with closing(Outbox.open(path, site=SITE, clock=SystemClock())) as outbox:
        outbox.append(Up.METER, reading(0))
        for promised in range(1, CUTS_PER_HISTORY + 1):
            before = log.read_bytes()
            for _ in range(generator.randrange(4)):
                outbox.append(Up.TELEMETRY, one_sample(promised))
            if generator.random() < 0.3:
                outbox.acknowledge(record.id for record in outbox.read(Up.TELEMETRY, limit=5))
            outbox.append(Up.METER, reading(promised))
            after = log.read_bytes()
            assert after[: len(before)] == before
            yield promised, path.read_bytes(), before, after


def _cuts(folder: Path, *, times: int) -> None:
    generator = random.Random(SEED)
    for done in range(0, times, CUTS_PER_HISTORY):
        source = folder / f"source-{done}"
        source.mkdir()
        for step in itertools.islice(_history(source, generator), times - done):
            _cut(folder / "cut", generator, *step)


def _cut(folder: Path, generator: random.Random, promised: int, database: bytes, before: bytes, after: bytes) -> None:
    """Cut the power within a commit: what was synced stays, of the rest any part may be there, in any state."""
    reached = generator.randrange(len(before), len(after) + 1)
    tail = generator.randbytes(len(after) - reached) if generator.random() < 0.5 else b""
    folder.mkdir()
    (folder / "journal.db").write_bytes(database)
    (folder / "journal.db-wal").write_bytes(after[:reached] + tail)
    where = f"seed {SEED}, after {promised} records, at byte {reached}"
    with closing(Outbox.open(folder / "journal.db", site=SITE, clock=SystemClock())) as outbox:
        assert outbox.stats().state is OutboxState.DISK, where
        assert outbox.stats().write_failures == 0, f"{where}: {outbox.stats().last_error}"
        seqs = [record.seq for record in outbox.read(Up.METER, limit=100_000)]
        assert seqs in (list(range(1, promised + 1)), list(range(1, promised + 2))), where
    shutil.rmtree(folder)


def test_a_power_cut_at_any_byte_of_a_commit_keeps_what_was_promised(tmp_path: Path) -> None:
    """The disk drops what was not synced, in part, in any state; what was promised must be readable without repair."""
    _cuts(tmp_path, times=40)


@pytest.mark.slow
def test_five_hundred_power_cuts_keep_what_was_promised(tmp_path: Path) -> None:
    """The same, often enough to meet the rare bytes."""
    _cuts(tmp_path, times=500)
