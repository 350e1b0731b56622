"""Quarter-hour aggregates: what the tables keep of telemetry for ninety days, one item a device and delivery interval.

A quarter is told in several messages and a message may come twice, so an aggregate knows which messages are in it, and
taking one of them again changes nothing. A gateway is silent about what stays within its dead band, so a value holds
until the next sample and a mean weighs each value by how long it held. Messages come in any order: what stands apart is
kept as runs of consecutive messages, which become one run, exactly, once everything between them has come. Seconds and
minutes are in the lake.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from cloud.stores.keys import quarter_of
from cloud.stores.sequence import Seen
from contracts.telemetry import Sample
from contracts.units import DELIVERY_INTERVAL_S, Quality, epoch_ms

# A gateway speaks of each point at least so often; after a longer silence nothing is known.
HOLD_S_MAX: Final = 300
KEEP_AGGREGATES_D: Final = 90
_QUARTER_MS: Final = DELIVERY_INTERVAL_S * 1000
_USABLE: Final = frozenset({Quality.GOOD, Quality.SUBSTITUTED})


@dataclass(frozen=True, kw_only=True)
class Span:
    """What was told of a point from one sample to another, in epoch milliseconds.

    ``area`` is the integral of the value over the milliseconds between the two in which it was known. ``last`` holds on
    afterwards; ``None`` where the last sample had no usable number.
    """

    first_ms: int
    last_ms: int
    last: float | None
    area: float = 0.0
    known_ms: int = 0

    def followed_by(self, later: "Span") -> "Span":
        """Return both as one, where nothing was told between them; the means over it stay what they were."""
        if later.first_ms < self.first_ms:
            return later.followed_by(self)
        held_ms = max(0, min(later.first_ms - self.last_ms, HOLD_S_MAX * 1000)) if self.last is not None else 0
        return Span(
            first_ms=self.first_ms,
            last_ms=max(self.last_ms, later.last_ms),
            last=later.last if later.last_ms >= self.last_ms else self.last,
            area=self.area + (self.last or 0.0) * held_ms + later.area,
            known_ms=self.known_ms + held_ms + later.known_ms,
        )


def held_mean(spans: Iterable[Span], *, begin_ms: int, end_ms: int, known_ms_min: int = 1) -> float | None:
    """Return the time-weighted mean of a point between two instants.

    Args:
        spans: Of the quarters between the two, and of the one before, whose last value may still hold.
        begin_ms: The first instant, the beginning of a quarter.
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
class PointSummary:
    """One point in one run: how many usable values, least, greatest and last, how many were not, and its span."""

    count: int = 0
    least: float = 0.0
    greatest: float = 0.0
    last: float = 0.0
    last_ms: int = -1
    unusable: int = 0
    span: Span

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "PointSummary":
        """Return what one message's samples of one point in one quarter tell; there is at least one."""
        read = sorted(((epoch_ms(sample.at), _usable(sample)) for sample in samples), key=lambda one: one[0])
        area, known_ms = 0.0, 0
        for (at_ms, value), (next_ms, _) in pairwise(read):
            if value is not None:
                held_ms = min(next_ms - at_ms, HOLD_S_MAX * 1000)
                area, known_ms = area + value * held_ms, known_ms + held_ms
        span = Span(first_ms=read[0][0], last_ms=read[-1][0], last=read[-1][1], area=area, known_ms=known_ms)
        usable = [(at_ms, value) for at_ms, value in read if value is not None]
        if not usable:
            return cls(unusable=len(read), span=span)
        values = [value for _, value in usable]
        return cls(
            count=len(values),
            least=min(values),
            greatest=max(values),
            last=values[-1],
            last_ms=usable[-1][0],
            unusable=len(read) - len(values),
            span=span,
        )

    def followed_by(self, later: "PointSummary") -> "PointSummary":
        """Return both as one, where nothing was told between them."""
        newest = later if later.last_ms >= self.last_ms else self
        filled = [part for part in (self, later) if part.count]
        return PointSummary(
            count=self.count + later.count,
            least=min((part.least for part in filled), default=0.0),
            greatest=max((part.greatest for part in filled), default=0.0),
            last=newest.last,
            last_ms=newest.last_ms,
            unusable=self.unusable + later.unusable,
            span=self.span.followed_by(later.span),
        )

    def row(self, begin_ms: int) -> list[object]:
        """Return the form in which a table keeps it: times from the quarter's beginning, areas in value seconds."""
        span = self.span
        return [
            self.count,
            self.least,
            self.greatest,
            self.last,
            self.last_ms - begin_ms,
            self.unusable,
            span.first_ms - begin_ms,
            span.last_ms - begin_ms,
            span.last,
            round(span.area / 1000, 3),
            span.known_ms,
        ]

    @classmethod
    def from_row(cls, row: Sequence[Any], begin_ms: int) -> "PointSummary":
        """Read back what ``row`` wrote."""
        count, least, greatest, last, last_ms, unusable, span_first_ms, span_last_ms, span_last, area, known_ms = row
        return cls(
            count=count,
            least=least,
            greatest=greatest,
            last=last,
            last_ms=last_ms + begin_ms,
            unusable=unusable,
            span=Span(
                first_ms=span_first_ms + begin_ms,
                last_ms=span_last_ms + begin_ms,
                last=span_last,
                area=area * 1000,
                known_ms=known_ms,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """What messages of consecutive numbers told of one device in one quarter, by point."""

    epoch: int
    low: int
    high: int
    points: Mapping[str, PointSummary]

    def followed_by(self, later: "Run") -> "Run":
        """Return both as one, where every message between them has come and is in neither."""
        points = dict(self.points)
        for name, summary in later.points.items():
            points[name] = points[name].followed_by(summary) if name in points else summary
        return Run(epoch=self.epoch, low=self.low, high=later.high, points=points)


# By device and beginning of the quarter in epoch milliseconds, the points of the device by name.
DeviceQuarters = dict[tuple[str, int], dict[str, PointSummary]]


def by_device_and_quarter(samples: Iterable[Sample]) -> DeviceQuarters:
    """Gather one message's samples by device and quarter."""
    gathered: dict[tuple[str, int], dict[str, list[Sample]]] = {}
    for sample in samples:
        device, _, point = sample.point.rpartition("/")
        gathered.setdefault((device, quarter_of(sample.at)), {}).setdefault(point, []).append(sample)
    return {
        at: {point: PointSummary.of(of_point) for point, of_point in points.items()} for at, points in gathered.items()
    }


def merged_body(
    body: Mapping[str, Any] | None,
    points: Mapping[str, PointSummary],
    *,
    epoch: int,
    seq: int,
    seen: Seen,
    begin_ms: int,
) -> dict[str, object] | None:
    """Return an aggregate's new body, or ``None`` where the message is in it already.

    Args:
        body: What the table holds.
        points: What the message tells of the device in the quarter.
        epoch: Of the message; ``seq`` is its number.
        seen: Which messages of the epoch are in the tables: runs with nothing missing between them become one.
        begin_ms: When the quarter begins.
    """
    runs = runs_of(body, begin_ms=begin_ms) if body else []
    if any(run.epoch == epoch and run.low <= seq <= run.high for run in runs):
        return None
    joined: list[Run] = []
    for run in sorted(
        [*runs, Run(epoch=epoch, low=seq, high=seq, points=points)], key=lambda run: (run.epoch, run.low)
    ):
        before = joined[-1] if joined else None
        if before is not None and before.epoch == run.epoch == epoch and seen.covers(before.high + 1, run.low - 1):
            joined[-1] = before.followed_by(run)
        else:
            joined.append(run)
    rows = [
        [run.epoch, run.low, run.high, {name: summary.row(begin_ms) for name, summary in run.points.items()}]
        for run in joined
    ]
    return {"begin_ms": begin_ms, "runs": rows}


def runs_of(body: Mapping[str, Any], *, begin_ms: int | None = None) -> list[Run]:
    """Read back an aggregate."""
    begin = body["begin_ms"] if begin_ms is None else begin_ms
    return [
        Run(
            epoch=epoch,
            low=low,
            high=high,
            points={name: PointSummary.from_row(row, begin) for name, row in points.items()},
        )
        for epoch, low, high, points in body["runs"]
    ]


def point_in(body: Mapping[str, object], name: str) -> tuple[PointSummary, ...]:
    """Return what an aggregate tells of a point, by run; nothing where it was not heard of."""
    return tuple(run.points[name] for run in runs_of(body) if name in run.points)


def mean_of(body: Mapping[str, Any], name: str) -> float | None:
    """Return a point's mean over the quarter, from its first sample on, each value weighted by how long it held."""
    spans = [summary.span for summary in point_in(body, name)]
    return held_mean(spans, begin_ms=body["begin_ms"], end_ms=body["begin_ms"] + _QUARTER_MS)


def _usable(sample: Sample) -> float | None:
    return float(sample.value) if sample.value is not None and sample.quality in _USABLE else None
