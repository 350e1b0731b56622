"""Samples on change, packed into messages just under the unit that is billed."""

import math
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.telemetry import MESSAGE_BYTES_MAX, Sample, TelemetryMessage, samples_of
from contracts.topics import Up
from contracts.units import ClockTrust, Quality
from edge.outbox.outbox import Outbox
from edge.telemetry.points import PointPolicy
from edge.telemetry.sampler import Sampler
from tests.support.brokers.link_parts import SITE
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: ManualClock) -> Iterator[Outbox]:
    """A outbox on a real file."""
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as opened:
        yield opened


def messages(outbox: Outbox) -> list[TelemetryMessage]:
    """Return the telemetry that the outbox holds."""
    outbox.flush()
    return [TelemetryMessage.decode(record.payload) for record in outbox.read(Up.TELEMETRY, limit=10_000)]


def sample(clock: ManualClock, point: str, value: float | None, quality: Quality = Quality.GOOD) -> Sample:
    """Return a sample taken now."""
    return Sample(point=point, at=clock.now(), value=value, quality=quality)


def test_every_value_outside_its_dead_band_arrives_once_and_in_order(outbox: Outbox, clock: ManualClock) -> None:
    """What the cloud draws is what the site saw, to the dead band."""
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock)
    generator, expected = random.Random(7), []
    for _ in range(300):
        value = generator.uniform(-5000, 5000)
        sampler.offer([sample(clock, "meter/power_w", value)])
        expected.append((clock.now(), round(value, 3)))
        clock.advance(1)
    sampler.close()
    got = [(each.at, each.value) for message in messages(outbox) for each in samples_of(message)]
    last = math.inf
    wanted = []
    for at, value in expected:
        if abs(value - last) > 20:
            wanted.append((at, value))
            last = value
    assert got == wanted


def test_a_value_at_rest_is_repeated_only_after_its_longest_silence(outbox: Outbox, clock: ManualClock) -> None:
    """A still site costs next to nothing, but a silent point is not mistaken for a still one."""
    policies = {"battery/soc_percent": PointPolicy(dead_band=0.2, silence_s=100)}
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock, policies=policies)
    for _ in range(201):
        sampler.offer([sample(clock, "battery/soc_percent", 50.0)])
        clock.advance(1)
    sampler.close()
    got = [each.at for message in messages(outbox) for each in samples_of(message)]
    assert got == [ManualClock().now() + timedelta(seconds=offset) for offset in (0, 100, 200)]


def test_a_change_of_quality_is_sampled_at_once(outbox: Outbox, clock: ManualClock) -> None:
    """A value that may no longer be trusted is news, whatever the number."""
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock)
    for value, quality in [
        (10.0, Quality.GOOD),
        (10.0, Quality.STALE),
        (None, Quality.INVALID),
        (math.nan, Quality.GOOD),
    ]:
        sampler.offer([sample(clock, "meter/power_w", value, quality)])
        clock.advance(1)
    sampler.close()
    got = [(each.value, each.quality) for message in messages(outbox) for each in samples_of(message)]
    assert got == [(10, Quality.GOOD), (10, Quality.STALE), (None, Quality.INVALID)]


def test_messages_are_full_but_never_above_the_billed_unit(outbox: Outbox, clock: ManualClock) -> None:
    """One byte above 5 KB costs a second message, half empty ones cost the same as full ones."""
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock)
    generator = random.Random(11)
    points = [f"device-{index}/phase_{index}_power_w" for index in range(30)]
    for _ in range(120):
        sampler.offer([sample(clock, point, generator.uniform(-90_000, 90_000)) for point in points])
        clock.advance(1)
    sizes = [len(message.encode()) for message in messages(outbox)]
    assert max(sizes) <= MESSAGE_BYTES_MAX
    assert min(sizes) > 0.85 * MESSAGE_BYTES_MAX


def test_source_times_far_apart_still_fit(outbox: Outbox, clock: ManualClock) -> None:
    """A device that reports hours-old values must not make a message that costs double or is refused."""
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock)
    for index in range(400):
        old = clock.now() - timedelta(hours=index * 7 % 1000, milliseconds=index)
        sampler.offer([Sample(point="a/x_w", at=old, value=index * 100.123, quality=Quality.STALE)])
    sampler.close()
    got = messages(outbox)
    assert max(len(message.encode()) for message in got) <= MESSAGE_BYTES_MAX
    assert sum(1 for message in got for _ in samples_of(message)) == 400


def test_a_message_closes_after_its_period_and_faster_while_somebody_watches(
    outbox: Outbox, clock: ManualClock
) -> None:
    """The live view sees seconds, the bill sees minutes."""
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock)

    def run(seconds: int) -> int:
        before = len(messages(outbox))
        for second in range(seconds):
            sampler.offer([sample(clock, "meter/power_w", 1000.0 * second)])
            clock.advance(1)
        return len(messages(outbox)) - before

    assert run(181) == 3
    sampler.live(period_s=2, for_s=20)
    assert 9 <= run(20) <= 11
    assert run(60) <= 2


def test_open_samples_survive_a_kill_within_the_flush_window(
    outbox: Outbox, clock: ManualClock, tmp_path: Path
) -> None:
    """A power cut costs the flush window, not the whole message."""
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock)
    for second in range(45):
        sampler.offer([sample(clock, "meter/power_w", 1000.0 * second)])
        clock.advance(1)
    outbox.flush()
    killed = shutil.copytree(tmp_path, tmp_path / "as the kill left it")
    with closing(Outbox.open(killed / "journal.db", site=SITE, clock=clock)) as again:
        Sampler(site=SITE, outbox=again, clock=clock)
        (message,) = messages(again)
    assert len(list(samples_of(message))) >= 30


def test_samples_of_a_doubtful_clock_are_flagged_and_not_mixed(outbox: Outbox, clock: ManualClock) -> None:
    """Before the first sync nobody knows when it was; the cloud must be able to tell those samples apart."""
    trust = ClockTrust.UNTRUSTED
    sampler = Sampler(site=SITE, outbox=outbox, clock=clock, clock_trust=lambda: trust)
    sampler.offer([sample(clock, "meter/power_w", 1.0)])
    trust = ClockTrust.SYNCED
    sampler.offer([sample(clock, "meter/power_w", 1000.0)])
    sampler.close()
    assert [message.clock for message in messages(outbox)] == [ClockTrust.UNTRUSTED, ClockTrust.SYNCED]
