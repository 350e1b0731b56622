"""Scheduler the site's readings into telemetry messages: on change, by column, just under 5 KB.

A message is closed when it is full or its period is over. What is not yet closed is kept in the outbox at every flush
window, so that a power cut costs no more than that. How far samples can be packed depends on what they say, so the
open message is measured when it may be full, a few times in its life.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from contracts.clock import Clock
from contracts.packing import pack, unpack
from contracts.telemetry import (
    MESSAGE_BYTES_MAX,
    SAMPLES_MAX,
    SERIES_MAX,
    Sample,
    Series,
    TelemetryMessage,
    columns,
    samples_in,
)
from contracts.topics import Up
from contracts.units import WHOLE_MAX, ClockTrust, Quality, SiteId, epoch_ms, instant, measured, printable
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.outbox.waiting import Build
from edge.telemetry.points import PointPolicy, Track, policy_of

PERIOD_S = 60.0
log = logging.getLogger(__name__)

_KEY = "telemetry.open"
_FILLED = 0.97  # Of the billed unit; the rest is for samples that pack worse than those before them.
_FULL = 1.04  # With room for so little more, a message is full.
_ENVELOPE_BYTES = 220  # Identity, epoch, sequence, base instant.
_COLUMN_BYTES = 34  # {"p":"","at":[],"x":[],"q":""} and the comma.
_SAMPLE_BYTES = 2 + 1  # Two commas and a quality letter.
_FIRST_DELTA_BYTES = 6
_NUMBER_MAX = WHOLE_MAX  # Stands for the epoch and number that the outbox will give.


class Sampler:
    """Collects samples of one site and hands closed messages to the outbox. Calls must come from one thread."""

    def __init__(
        self,
        *,
        site: SiteId,
        outbox: Outbox,
        clock: Clock,
        policies: Mapping[str, PointPolicy] | None = None,
        period_s: float = PERIOD_S,
        clock_trust: Callable[[], ClockTrust] = lambda: ClockTrust.SYNCED,
    ) -> None:
        """Prepare a sampler, with what an earlier process had not yet closed.

        Args:
            site: Whose samples they are.
            outbox: Where messages go.
            clock: Paces the messages.
            policies: Own dead bands and silences, by point.
            period_s: Longest time that a sample waits in an open message.
            clock_trust: How far the wall clock may be trusted now; a message says so of all its samples.
        """
        self._site = site
        self._outbox = outbox
        self._clock = clock
        self._policies = policies or {}
        self._period_s = period_s
        self._clock_trust = clock_trust
        self._tracks: dict[str, Track] = {}
        self._open: list[Sample] = []
        self._column_ends: dict[str, datetime] = {}
        self._bytes, self._fits = _ENVELOPE_BYTES, 0
        self._live_until = -math.inf
        self._live_period_s = period_s
        self._trust = clock_trust()
        self._opened_at = self._kept_at = clock.monotonic()
        self._restore(outbox.recall(_KEY))

    def offer(self, samples: Iterable[Sample]) -> None:
        """Take what is worth a sample among the present values; call it once a second with all of them.

        A value that is not a finite number within the wire's bounds is taken as ``None`` and invalid.
        """
        now_s = self._clock.monotonic()
        if (trust := self._clock_trust()) is not self._trust:
            self.close()
            self._trust = trust
        if self._open and now_s - self._opened_at >= self._period(now_s):
            self.close()
        for sample in samples:
            track = self._tracks.get(sample.point)
            if track is None:
                track = self._tracks[sample.point] = Track(policy_of(sample.point, self._policies))
            checked = _usable(sample)
            if track.take(checked, now_s):
                self._take(checked, now_s)
        if now_s - self._kept_at >= FLUSH_WINDOW_S:
            self._keep(now_s)

    def live(self, *, period_s: float, for_s: float) -> None:
        """Close messages every ``period_s`` for the next ``for_s`` seconds: somebody watches. The last call counts."""
        self._live_period_s = min(period_s, self._period_s)
        self._live_until = self._clock.monotonic() + for_s

    def report_every(self, period_s: float) -> None:
        """Close messages every ``period_s`` from now on."""
        self._period_s = period_s

    def close(self) -> None:
        """Hand the open message to the outbox, if there is anything in it."""
        if not self._open:
            return
        samples = self._open
        self._open, self._column_ends = [], {}
        self._bytes, self._fits = _ENVELOPE_BYTES, 0
        self._kept_at = self._clock.monotonic()
        self._outbox.remember(_KEY, None, durable=False)
        self._hand_over(samples)

    def _hand_over(self, samples: list[Sample]) -> None:
        """Append the samples as one message, or as two where they pack worse than was expected of them."""
        build = self._build(samples)
        if len(samples) > 1 and _wire_bytes(build) > MESSAGE_BYTES_MAX:
            self._hand_over(samples[: len(samples) // 2])
            self._hand_over(samples[len(samples) // 2 :])
            return
        self._outbox.append(Up.TELEMETRY, build, durable=self._kept_at < self._live_until)

    def _build(self, samples: list[Sample]) -> Build:
        """Return what makes a message of samples once it is numbered."""
        base_at, series = columns(samples)
        sent_at, trust = self._clock.now(), self._trust
        return lambda epoch, seq: TelemetryMessage(
            site=self._site, epoch=epoch, seq=seq, sent_at=sent_at, base_at=base_at, clock=trust, series=series
        )

    def _take(self, sample: Sample, now_s: float) -> None:
        plain_full = self._bytes + self._size(sample) > MESSAGE_BYTES_MAX
        if plain_full and len(self._open) >= self._fits and self._full():
            self.close()
        if not self._open:
            self._opened_at = now_s
        self._bytes += self._size(sample)
        self._column_ends[sample.point] = sample.at
        self._open.append(sample)

    def _full(self) -> bool:
        """Measure the open message: whether it is full, or else how many samples of its kind it may hold."""
        if len(self._open) >= SAMPLES_MAX or len(self._column_ends) >= SERIES_MAX:
            return True
        room = _FILLED * MESSAGE_BYTES_MAX / _wire_bytes(self._build(self._open))
        self._fits = int(len(self._open) * room)
        return room < _FULL

    def _size(self, sample: Sample) -> int:
        """Return about how many bytes a sample would add to the open message were it not packed."""
        column_end = self._column_ends.get(sample.point)
        value = 4 if sample.value is None else len(f"{sample.value:.3f}".rstrip("0").rstrip("."))
        if column_end is None:
            return _COLUMN_BYTES + len(sample.point.encode()) + _FIRST_DELTA_BYTES + _SAMPLE_BYTES + value
        delta_ms = int((sample.at - column_end).total_seconds() * 1000)
        return _SAMPLE_BYTES + value + len(str(delta_ms))

    def _period(self, now_s: float) -> float:
        return self._live_period_s if now_s < self._live_until else self._period_s

    def _keep(self, now_s: float) -> None:
        """Put the open samples where a restart finds them; they go to disk with the next commit."""
        self._kept_at = now_s
        kept = None
        if self._open:
            base_at, series = columns(self._open)
            packed = pack((one.p, one.at, one.x, one.q) for one in series)
            kept = {"trust": self._trust, "base_ms": epoch_ms(base_at), "packed": packed}
        self._outbox.remember(_KEY, kept, durable=False)

    def _restore(self, kept: Any) -> None:
        if not kept:
            return
        self._trust = ClockTrust(kept["trust"])
        now_s = self._clock.monotonic()
        found = []
        for column in unpack(kept["packed"]):
            try:
                found.append(Series(**column))
            except ValueError as error:  # Kept by an earlier version, which had wider bounds.
                log.error("open samples not restored", extra={"reason": printable(str(error), 200)})  # noqa: TRY400
        for sample in samples_in(instant(kept["base_ms"]), found):
            self._take(sample, now_s)
        self.close()


def _wire_bytes(build: Build) -> int:
    return len(build(_NUMBER_MAX, _NUMBER_MAX).encode())


def _usable(sample: Sample) -> Sample:
    """Return a sample that the wire can carry: what is no number, or beyond any device, is invalid."""
    if sample.value is None:
        return sample
    value = measured(sample.value)
    return replace(sample, value=None, quality=Quality.INVALID) if value is None else replace(sample, value=value)
