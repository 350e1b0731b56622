"""Minute aggregates: what the tables keep of telemetry for ninety days.

A minute may be told in several messages and a message may come twice, so each aggregate names the messages that are in
it, and taking one of them again changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cloud.stores.keys import minute_of
from contracts.telemetry import Sample
from contracts.units import Quality, epoch_ms

_USABLE = frozenset({Quality.GOOD, Quality.SUBSTITUTED})


@dataclass(frozen=True, kw_only=True)
class PointMinute:
    """One point in one minute: how many usable values, their sum, least, greatest and last, and how many were not."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    greatest: float = 0.0
    last: float = 0.0
    last_ms: int = -1
    unusable: int = 0

    def with_sample(self, sample: Sample) -> "PointMinute":
        """Return the aggregate with one more value; what has no usable number is only counted."""
        if sample.value is None or sample.quality not in _USABLE:
            return self._merged(PointMinute(unusable=1))
        value = float(sample.value)
        return self._merged(
            PointMinute(count=1, total=value, least=value, greatest=value, last=value, last_ms=epoch_ms(sample.at))
        )

    def merged(self, other: "PointMinute") -> "PointMinute":
        """Return both together; the order does not matter."""
        return self._merged(other)

    def _merged(self, other: "PointMinute") -> "PointMinute":
        newest = self if self.last_ms >= other.last_ms else other
        filled = [part for part in (self, other) if part.count]
        return PointMinute(
            count=self.count + other.count,
            total=self.total + other.total,
            least=min((part.least for part in filled), default=0.0),
            greatest=max((part.greatest for part in filled), default=0.0),
            last=newest.last,
            last_ms=newest.last_ms,
            unusable=self.unusable + other.unusable,
        )

    def body(self) -> dict[str, Any]:
        """Return the form in which a table keeps it; the mean stands in it for readers."""
        return {
            "n": self.count,
            "sum": round(self.total, 6),
            "mean": round(self.total / self.count, 3) if self.count else None,
            "min": self.least,
            "max": self.greatest,
            "last": self.last,
            "last_at": self.last_ms,
            "unusable": self.unusable,
        }

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> "PointMinute":
        """Read back what ``body`` wrote."""
        return cls(
            count=body["n"],
            total=body["sum"],
            least=body["min"],
            greatest=body["max"],
            last=body["last"],
            last_ms=body["last_at"],
            unusable=body["unusable"],
        )


# By device and minute, the points of the device by name.
DeviceMinutes = dict[tuple[str, int], dict[str, PointMinute]]


def by_device_and_minute(samples: Iterable[Sample]) -> DeviceMinutes:
    """Gather samples by device and minute."""
    found: DeviceMinutes = {}
    for sample in samples:
        device, _, point = sample.point.rpartition("/")
        points = found.setdefault((device, minute_of(sample.at)), {})
        points[point] = points.get(point, PointMinute()).with_sample(sample)
    return found


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
