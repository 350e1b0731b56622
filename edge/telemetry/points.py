"""Which change of a value is worth a sample: dead bands by unit, and the longest silence."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.telemetry import Sample


@dataclass(frozen=True, kw_only=True)
class PointPolicy:
    """When a point is sampled again.

    Args:
        dead_band: A change up to this, in the point's unit, is not worth a sample.
        silence_s: After so long without one, a sample is taken whatever the value; it shows that the point is alive.
    """

    dead_band: float = 0.0
    silence_s: float = 300.0


# By the unit that ends the point's name. The power band is what a write would be skipped for as well.
_BY_UNIT: Mapping[str, PointPolicy] = {
    "w": PointPolicy(dead_band=20.0),
    "var": PointPolicy(dead_band=20.0),
    "va": PointPolicy(dead_band=20.0),
    "v": PointPolicy(dead_band=0.5),
    "a": PointPolicy(dead_band=0.1),
    "hz": PointPolicy(dead_band=0.01),
    "percent": PointPolicy(dead_band=0.2),
    "c": PointPolicy(dead_band=0.5),
    "wh": PointPolicy(dead_band=10.0),
}
_ANY_CHANGE = PointPolicy()


def policy_of(point: str, policies: Mapping[str, PointPolicy]) -> PointPolicy:
    """Return the policy of a point: its own, else its unit's, else every change."""
    return policies.get(point) or _BY_UNIT.get(point.rsplit("_", 1)[-1], _ANY_CHANGE)


class Track:
    """One point's policy and the last sample taken of it."""

    __slots__ = ("_dead_band", "_last", "_last_s", "_silence_s")

    def __init__(self, policy: PointPolicy) -> None:
        self._dead_band = policy.dead_band
        self._silence_s = policy.silence_s
        self._last: Sample | None = None
        self._last_s = 0.0

    def take(self, sample: Sample, now_s: float) -> bool:
        """Return whether a value is worth a sample at a monotonic instant, and remember it if so.

        It is when it left the dead band around the last sample, when its quality or its being there changed, and when
        the point was silent for too long.
        """
        last = self._last
        if last is not None and now_s - self._last_s < self._silence_s and last.quality is sample.quality:
            old, new = last.value, sample.value
            if old is None or new is None:
                if old is new:
                    return False
            elif abs(new - old) <= self._dead_band:
                return False
        self._last, self._last_s = sample, now_s
        return True
