"""Minute aggregates: what the tables keep of telemetry for ninety days.

A minute may be told in several messages and a message may come twice, so each aggregate names the messages that are in
it, and taking one of them again changes nothing. A gateway is silent about what stays within its dead band, so a value
holds until the next sample and a mean weighs each value by how long it held. To stay exact whatever the order in which
messages come, an aggregate keeps one span for each message.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from cloud.stores.keys import minute_of
from contracts.telemetry import Sample
from contracts.units import Quality, epoch_ms

# A gateway speaks of each point at least so often; after a longer silence nothing is known.
HOLD_S_MAX: Final = 300
_MINUTE_MS: Final = 60_000
_USABLE: Final = frozenset({Quality.GOOD, Quality.SUBSTITUTED})


@dataclass(frozen=True, kw_only=True)
class Span:
    """What one message told of a point within a minute, from its first sample to its last in epoch milliseconds.

    ``area`` is the integral of the value over the milliseconds between the two in which it was known. ``last`` holds on
    afterwards; ``None`` where the last sample had no usable number.
    """

    first_ms: int
    last_ms: int
    last: float | None
    area: float = 0.0
    known_ms: int = 0

    def body(self) -> list[Any]:
        """Return the form in which a table keeps it."""
        return [self.first_ms, self.last_ms, self.last, round(self.area, 3), self.known_ms]

    @classmethod
    def from_body(cls, body: Sequence[Any]) -> "Span":
        """Read back what ``body`` wrote."""
        return cls(first_ms=body[0], last_ms=body[1], last=body[2], area=body[3], known_ms=body[4])


def held_mean(spans: Iterable[Span], *, begin_ms: int, end_ms: int, known_ms_min: int = 1) -> float | None:
    """Return the time-weighted mean of a point between two borders of minutes.

    Args:
        spans: Of the minutes between the two, and of those before whose last value may still hold.
        begin_ms: The first instant, a whole minute.
        end_ms: The end, not included.
        known_ms_min: With less known time there is no mean.
    """
    ordered = sorted(spans, key=lambda span: (span.first_ms, span.last_ms))
    area, known_ms = 0.0, 0
    for position, span in enumerate(ordered):
        if begin_ms <= span.first_ms < end_ms:
            area, known_ms = area + span.area, known_ms + span.known_ms
        if span.last is None:
            continue
        following_ms = ordered[position + 1].first_ms if position + 1 < len(ordered) else end_ms
        held_ms = min(following_ms, span.last_ms + HOLD_S_MAX * 1000, end_ms) - max(span.last_ms, begin_ms)
        if held_ms > 0:
            area, known_ms = area + span.last * held_ms, known_ms + held_ms
    return area / known_ms if known_ms >= max(1, known_ms_min) else None


@dataclass(frozen=True, kw_only=True)
class PointMinute:
    """One point in one minute: how many usable values, least, greatest and last, how many were not, and its spans."""

    count: int = 0
    least: float = 0.0
    greatest: float = 0.0
    last: float = 0.0
    last_ms: int = -1
    unusable: int = 0
    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "PointMinute":
        """Return the aggregate of one message's samples of one point in one minute; there is at least one."""
        told = sorted(((epoch_ms(sample.at), _usable(sample)) for sample in samples), key=lambda one: one[0])
        area, known_ms = 0.0, 0
        for (at_ms, value), (next_ms, _) in pairwise(told):
            if value is not None:
                area, known_ms = area + value * (next_ms - at_ms), known_ms + next_ms - at_ms
        span = Span(first_ms=told[0][0], last_ms=told[-1][0], last=told[-1][1], area=area, known_ms=known_ms)
        usable = [(at_ms, value) for at_ms, value in told if value is not None]
        if not usable:
            return cls(unusable=len(told), spans=(span,))
        values = [value for _, value in usable]
        return cls(
            count=len(values),
            least=min(values),
            greatest=max(values),
            last=values[-1],
            last_ms=usable[-1][0],
            unusable=len(told) - len(values),
            spans=(span,),
        )

    def merged(self, other: "PointMinute") -> "PointMinute":
        """Return both together; the order does not matter."""
        newest = self if self.last_ms >= other.last_ms else other
        filled = [part for part in (self, other) if part.count]
        return PointMinute(
            count=self.count + other.count,
            least=min((part.least for part in filled), default=0.0),
            greatest=max((part.greatest for part in filled), default=0.0),
            last=newest.last,
            last_ms=newest.last_ms,
            unusable=self.unusable + other.unusable,
            spans=tuple(sorted((*self.spans, *other.spans), key=lambda span: (span.first_ms, span.last_ms))),
        )

    @property
    def mean(self) -> float | None:
        """Return the mean from the minute's first sample to its end, each value weighted by how long it held."""
        if not self.spans:
            return None
        begin_ms = self.spans[0].first_ms // _MINUTE_MS * _MINUTE_MS
        return held_mean(self.spans, begin_ms=begin_ms, end_ms=begin_ms + _MINUTE_MS)

    def body(self) -> dict[str, Any]:
        """Return the form in which a table keeps it; the mean stands in it for readers."""
        mean = self.mean
        return {
            "n": self.count,
            "mean": None if mean is None else round(mean, 3),
            "min": self.least,
            "max": self.greatest,
            "last": self.last,
            "last_at": self.last_ms,
            "unusable": self.unusable,
            "spans": [span.body() for span in self.spans],
        }

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> "PointMinute":
        """Read back what ``body`` wrote."""
        return cls(
            count=body["n"],
            least=body["min"],
            greatest=body["max"],
            last=body["last"],
            last_ms=body["last_at"],
            unusable=body["unusable"],
            spans=tuple(Span.from_body(span) for span in body["spans"]),
        )


# By device and minute, the points of the device by name.
DeviceMinutes = dict[tuple[str, int], dict[str, PointMinute]]


def by_device_and_minute(samples: Iterable[Sample]) -> DeviceMinutes:
    """Gather one message's samples by device and minute."""
    gathered: dict[tuple[str, int], dict[str, list[Sample]]] = {}
    for sample in samples:
        device, _, point = sample.point.rpartition("/")
        gathered.setdefault((device, minute_of(sample.at)), {}).setdefault(point, []).append(sample)
    return {
        at: {point: PointMinute.of(of_point) for point, of_point in points.items()} for at, points in gathered.items()
    }


def merged_body(
    body: dict[str, Any] | None, points: dict[str, PointMinute], *, source: tuple[int, int]
) -> dict[str, Any] | None:
    """Return an aggregate's new body, or ``None`` where the message (epoch, seq) is in it already."""
    kept = body or {"points": {}, "sources": []}
    if list(source) in kept["sources"]:
        return None
    merged = dict(kept["points"])
    for name, new in points.items():
        old = PointMinute.from_body(merged[name]) if name in merged else PointMinute()
        merged[name] = old.merged(new).body()
    return {"points": merged, "sources": [*kept["sources"], list(source)]}


def _usable(sample: Sample) -> float | None:
    return float(sample.value) if sample.value is not None and sample.quality in _USABLE else None
