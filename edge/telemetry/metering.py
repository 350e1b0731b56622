"""Makes one meter reading of each delivery interval from the rising counters at the connection point.

The register at an interval's boundary is interpolated between the two observations around it and cut to whole Wh; an
interval's energy is the difference of two such registers, so the sum over intervals equals the counter's difference
exactly. While the counter is missing its advance is estimated from power, and flagged; the first interval after its
return takes up the difference, so the sum stays true. What is missing, and what a counter is believed, is told by
``edge.telemetry.counter``.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from contracts.metering import MeterReading
from contracts.units import (
    ENERGY_WH_MAX,
    MEASURED_MAX,
    ClockTrust,
    DeliveryInterval,
    Quality,
    SiteId,
    epoch_ms,
    instant,
    measured,
)
from domain.plausibility import (
    carried_wh,
)
from edge.outbox.waiting import Build
from edge.telemetry.counter import INTERPOLATION_S_MAX, Counter, Step, begun, restored, whole

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
class MeteredInterval:
    """The energy of one finished delivery interval, before it is numbered.

    ``doubts`` say why a counter was not believed, as ``import: jump``.
    """

    interval: DeliveryInterval
    import_wh: int
    export_wh: int
    register_import_wh: int
    register_export_wh: int
    quality: Quality
    clock: ClockTrust
    doubts: tuple[str, ...] = ()

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


class IntervalMeter:
    """Watches one connection point; knows nothing of time but the observations' instants."""

    def __init__(self, state: Any = None, *, connection_w: float | None = None) -> None:
        """Begin, from an earlier process's ``state`` if there is one.

        Args:
            state: What ``state`` returned.
            connection_w: The most that the connection carries in either direction; ``None`` where nobody said.
        """
        self._connection_w = connection_w
        self._at: datetime | None = None
        self._power_w: float | None = None
        self._import = self._export = Counter(wh=0.0, confirmed_wh=0.0)
        self._clock = ClockTrust.SYNCED
        self._late = False
        if state:
            self._at = instant(state["at_ms"])
            self._import, self._export = restored(state["import"]), restored(state["export"])
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

    def observe(self, seen: Observation) -> list[MeteredInterval]:
        """Take one observation and return the intervals that it finishes, oldest first.

        The interval in which the first observation of all lies is reported only if that came soon after its start, and
        then as substituted. An instant that is not after the last one is ignored.
        """
        seen = replace(
            seen, import_wh=measured(seen.import_wh), export_wh=measured(seen.export_wh), power_w=measured(seen.power_w)
        )
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

    def _begin(self, seen: Observation) -> list[MeteredInterval]:
        if seen.import_wh is None or seen.export_wh is None:
            return []
        self._at, self._power_w, self._clock = seen.at, seen.power_w, seen.clock
        since_s = (seen.at - DeliveryInterval.containing(seen.at).start).total_seconds()
        begun_wh = (seen.power_w or 0.0) * since_s / 3600
        self._import = begun(seen.import_wh, max(0.0, begun_wh), since_s)
        self._export = begun(seen.export_wh, max(0.0, -begun_wh), since_s)
        return []

    def _advance(self, seen: Observation, gap_s: float) -> None:
        known = [power for power in (self._power_w, seen.power_w) if power is not None]
        most_wh = carried_wh(elapsed_s=gap_s, connection_w=self._connection_w)
        estimate_wh = sum(known) / len(known) * gap_s / 3600 if known else 0.0
        estimate_wh = min(max(estimate_wh, -most_wh), most_wh)
        watched = bool(known) and gap_s <= INTERPOLATION_S_MAX
        step = Step(read_wh=None, estimate_wh=0.0, gap_s=gap_s, watched=watched, connection_w=self._connection_w)
        imported = replace(step, read_wh=seen.import_wh, estimate_wh=max(0.0, estimate_wh))
        exported = replace(step, read_wh=seen.export_wh, estimate_wh=max(0.0, -estimate_wh))
        import_rise_wh, export_rise_wh = self._import.risen(imported), self._export.risen(exported)
        self._import = self._import.advance(replace(imported, other_wh=export_rise_wh))
        self._export = self._export.advance(replace(exported, other_wh=import_rise_wh))
        if seen.power_w is not None:
            self._power_w = seen.power_w
        self._at = seen.at
        self._clock = _worse(self._clock, seen.clock)
        self._late = self._late or gap_s > INTERPOLATION_S_MAX

    def _finish(
        self, interval: DeliveryInterval, share: float, import_before_wh: float, export_before_wh: float, *, late: bool
    ) -> MeteredInterval | None:
        """Close an interval at the registers a ``share`` of the way from the last observation to the present one."""
        end_import = whole(import_before_wh + share * (self._import.wh - import_before_wh))
        end_export = whole(export_before_wh + share * (self._export.wh - export_before_wh))
        start_import, start_export = self._import.boundary_wh, self._export.boundary_wh
        bad = late or self._late or self._import.substituted or self._export.substituted
        doubts = tuple(
            f"{name}: {counter.doubt}"
            for name, counter in (("import", self._import), ("export", self._export))
            if counter.doubt
        )
        self._import, self._export = self._import.closed(end_import), self._export.closed(end_export)
        if start_import is None or start_export is None:
            return None
        import_wh, export_wh = end_import - start_import, end_export - start_export
        quality = Quality.SUBSTITUTED if bad else Quality.GOOD
        if max(import_wh, export_wh) > ENERGY_WH_MAX:
            # No connection carries that: the counter jumped. It is told, as worth nothing.
            import_wh, export_wh = min(import_wh, ENERGY_WH_MAX), min(export_wh, ENERGY_WH_MAX)
            quality = Quality.INVALID
        return MeteredInterval(
            interval=interval,
            import_wh=import_wh,
            export_wh=export_wh,
            register_import_wh=_register(end_import - self._import.offset_wh),
            register_export_wh=_register(end_export - self._export.offset_wh),
            quality=quality,
            clock=self._clock,
            doubts=doubts,
        )


def _register(wh: float) -> int:
    return min(MEASURED_MAX, max(0, whole(wh)))


def _worse(one: ClockTrust, other: ClockTrust) -> ClockTrust:
    order = [ClockTrust.SYNCED, ClockTrust.HOLDOVER, ClockTrust.UNTRUSTED]
    return max(one, other, key=order.index)
