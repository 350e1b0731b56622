"""Makes one meter reading of each delivery interval from the rising counters at the connection point.

The register at an interval's boundary is interpolated between the two observations around it and cut to whole Wh; an
interval's energy is the difference of two such registers, so the sum over intervals equals the counter's difference
exactly. While the counter is missing its advance is estimated from power, and flagged; the first interval after its
return takes up the difference, so the sum stays true.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from contracts.metering import MeterReading
from contracts.units import ClockTrust, DeliveryInterval, Quality, SiteId, epoch_ms, instant
from edge.telemetry.outbox import Build

# Observations further apart than this make an interpolated boundary a substituted value.
INTERPOLATION_S_MAX = 90.0
# So many observations in a row below the counter mean another meter, not a bad read.
_FALLS_ACCEPTED = 5
_INTERVALS_MAX = 4 * 24 * 31  # A gap longer than this is not filled interval by interval.


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the connection point's meter said at one instant.

    Counters in Wh, ``None`` where there was no good value; ``power_w`` positive for import.
    """

    at: datetime
    import_wh: float | None
    export_wh: float | None
    power_w: float | None
    clock: ClockTrust = ClockTrust.SYNCED


@dataclass(frozen=True, kw_only=True)
class IntervalEnergy:
    """The energy of one finished delivery interval, before it is numbered."""

    interval: DeliveryInterval
    import_wh: int
    export_wh: int
    register_import_wh: int
    register_export_wh: int
    quality: Quality
    clock: ClockTrust

    def build(self, site: SiteId, sent_at: datetime) -> Build:
        """Return what makes the message once the outbox has numbered it."""
        return lambda epoch, seq: MeterReading(
            site=site,
            epoch=epoch,
            seq=seq,
            sent_at=sent_at,
            interval_start=self.interval.start,
            import_wh=self.import_wh,
            export_wh=self.export_wh,
            register_import_wh=self.register_import_wh,
            register_export_wh=self.register_export_wh,
            quality=self.quality,
            clock=self.clock,
        )


@dataclass(frozen=True, kw_only=True)
class _Counter:
    """One direction: energy on a scale that never falls, and how it relates to the meter's own register.

    ``confirmed_wh`` is what the meter itself last said on that scale; above it, ``wh`` is an estimate.
    """

    wh: float
    confirmed_wh: float
    offset_wh: float = 0.0
    boundary_wh: int | None = None
    falls: int = 0
    substituted: bool = False

    def advance(self, read_wh: float | None, estimate_wh: float) -> "_Counter":
        """Return the counter after one more observation.

        Args:
            read_wh: The meter's register, ``None`` where it could not be read.
            estimate_wh: Energy since the last observation by power, zero or greater.
        """
        if read_wh is None:
            return replace(self, wh=self.wh + estimate_wh, substituted=True)
        seen_wh = read_wh + self.offset_wh
        if seen_wh >= self.confirmed_wh:
            # Where an estimate ran ahead, hold it until the meter has caught up: nothing is counted twice.
            ahead = self.wh > seen_wh
            return replace(
                self, wh=max(self.wh, seen_wh), confirmed_wh=seen_wh, falls=0, substituted=self.substituted or ahead
            )
        grown_wh = self.wh + estimate_wh
        if self.falls + 1 < _FALLS_ACCEPTED:
            return replace(self, wh=grown_wh, falls=self.falls + 1, substituted=True)
        return replace(
            self, wh=grown_wh, confirmed_wh=grown_wh, offset_wh=grown_wh - read_wh, falls=0, substituted=True
        )

    def closed(self, boundary_wh: int) -> "_Counter":
        """Return the counter with a new interval begun; one that begins on an estimate is substituted at once."""
        return replace(self, boundary_wh=boundary_wh, substituted=self.wh > self.confirmed_wh or self.falls > 0)


class IntervalMeter:
    """Watches one connection point; knows nothing of time but the observations' instants."""

    def __init__(self, state: Any = None) -> None:
        """Begin, from an earlier process's ``state`` if there is one."""
        self._at: datetime | None = None
        self._power_w: float | None = None
        self._import = self._export = _Counter(wh=0.0, confirmed_wh=0.0)
        self._clock = ClockTrust.SYNCED
        self._late = False
        if state:
            self._at = instant(state["at_ms"])
            self._import, self._export = _Counter(**state["import"]), _Counter(**state["export"])
            self._late = state["late"]

    def state(self) -> dict[str, Any] | None:
        """Return what a later process needs to go on without a gap, as JSON values."""
        if self._at is None:
            return None
        return {
            "at_ms": epoch_ms(self._at),
            "import": vars(self._import),
            "export": vars(self._export),
            "late": self._late,
        }

    def observe(self, seen: Observation) -> list[IntervalEnergy]:
        """Take one observation and return the intervals that it finishes, oldest first.

        The interval in which the first observation of all lies is reported only if that came soon after its start, and
        then as substituted. An instant that is not after the last one is ignored.
        """
        if self._at is None:
            return self._begin(seen)
        gap_s = (seen.at - self._at).total_seconds()
        if gap_s <= 0:
            return []
        before_at, before_import, before_export = self._at, self._import, self._export
        self._advance(seen, gap_s)
        finished = []
        interval = DeliveryInterval.containing(before_at)
        late = gap_s > INTERPOLATION_S_MAX
        for _ in range(_INTERVALS_MAX):
            if interval.end > seen.at:
                break
            share = (interval.end - before_at).total_seconds() / gap_s
            energy = self._finish(interval, share, before_import.wh, before_export.wh, late=late)
            if energy:
                finished.append(energy)
            interval = interval.later(1)
            self._late = late and interval.start < seen.at
        if finished:
            self._clock = seen.clock
        return finished

    def _begin(self, seen: Observation) -> list[IntervalEnergy]:
        if seen.import_wh is None or seen.export_wh is None:
            return []
        self._at, self._power_w, self._clock = seen.at, seen.power_w, seen.clock
        since_s = (seen.at - DeliveryInterval.containing(seen.at).start).total_seconds()
        begun_wh = (seen.power_w or 0.0) * since_s / 3600
        self._import = _begun(seen.import_wh, max(0.0, begun_wh), since_s)
        self._export = _begun(seen.export_wh, max(0.0, -begun_wh), since_s)
        return []

    def _advance(self, seen: Observation, gap_s: float) -> None:
        known = [power for power in (self._power_w, seen.power_w) if power is not None]
        estimate_wh = sum(known) / len(known) * gap_s / 3600 if known else 0.0
        self._import = self._import.advance(seen.import_wh, max(0.0, estimate_wh))
        self._export = self._export.advance(seen.export_wh, max(0.0, -estimate_wh))
        if seen.power_w is not None:
            self._power_w = seen.power_w
        self._at = seen.at
        self._clock = _worse(self._clock, seen.clock)
        self._late = self._late or gap_s > INTERPOLATION_S_MAX

    def _finish(
        self, interval: DeliveryInterval, share: float, import_before_wh: float, export_before_wh: float, *, late: bool
    ) -> IntervalEnergy | None:
        """Close an interval at the registers a ``share`` of the way from the last observation to the present one."""
        end_import = _whole(import_before_wh + share * (self._import.wh - import_before_wh))
        end_export = _whole(export_before_wh + share * (self._export.wh - export_before_wh))
        start_import, start_export = self._import.boundary_wh, self._export.boundary_wh
        bad = late or self._late or self._import.substituted or self._export.substituted
        self._import, self._export = self._import.closed(end_import), self._export.closed(end_export)
        if start_import is None or start_export is None:
            return None
        return IntervalEnergy(
            interval=interval,
            import_wh=end_import - start_import,
            export_wh=end_export - start_export,
            register_import_wh=max(0, _whole(end_import - self._import.offset_wh)),
            register_export_wh=max(0, _whole(end_export - self._export.offset_wh)),
            quality=Quality.SUBSTITUTED if bad else Quality.GOOD,
            clock=self._clock,
        )


def _whole(wh: float) -> int:
    """Cut to whole Wh; a millionth is given back, which sums of floats may have lost."""
    return math.floor(wh + 1e-6)


def _begun(read_wh: float, begun_wh: float, since_s: float) -> _Counter:
    """Return a counter first seen ``since_s`` into an interval, of which ``begun_wh`` is estimated to have passed."""
    near = since_s <= INTERPOLATION_S_MAX
    return _Counter(
        wh=read_wh,
        confirmed_wh=read_wh,
        boundary_wh=max(0, _whole(read_wh - begun_wh)) if near else None,
        substituted=since_s > 0,
    )


def _worse(one: ClockTrust, other: ClockTrust) -> ClockTrust:
    order = [ClockTrust.SYNCED, ClockTrust.HOLDOVER, ClockTrust.UNTRUSTED]
    return max(one, other, key=order.index)
