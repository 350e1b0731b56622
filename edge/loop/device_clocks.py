"""Whether the clocks of devices agree with ours: the times that an owner has set in a device go by them."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from contracts.units import ClockTrust, Quality
from edge.loop.cycle import Cycle
from edge.loop.readings import Readings
from edge.modbus.point import Reading

log = logging.getLogger(__name__)

# Seconds since 1970 as a profile names what its device says, and what its clock shows, its time zone left open.
POINT = "clock_unix_s"
LOCAL_POINT = "clock_local_s"
# A device may show the local time, whatever its map says: nothing tells a zone from a clock that is hours off.
ZONE_STEP_S = 900.0
ZONE_S_MAX = 14 * 3600.0  # Source: IANA time zones, UTC+14.
# Source: field proposal; an inverter's clock that was off kept a battery from its charging slots
# (springfall2008/batpred issue 4927).
SKEW_S_MAX = 60.0


class DeviceClocks:
    """The clocks of one site's devices, of those that tell."""

    def __init__(self, clock_trust: Callable[[], ClockTrust]) -> None:
        """Compare while the gateway's own clock is trusted."""
        self._clock_trust = clock_trust
        self._suspected_at: dict[str, datetime] = {}
        self._skews_s: dict[str, float] = {}

    @property
    def wrong(self) -> tuple[str, ...]:
        """Return a sentence for each device whose clock is more than a minute off."""
        return tuple(
            f"the clock of {device} is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} ours"
            for device, skew_s in sorted(self._skews_s.items())
        )

    def finished(self, cycle: Cycle) -> None:
        """Compare what the devices said in a cycle."""
        self.look(cycle.readings, trust=self._clock_trust())

    def look(self, readings: Mapping[str, Readings], *, trust: ClockTrust) -> None:
        """Compare what the devices say in this cycle; while our own clock is not trusted it proves nothing."""
        if trust is ClockTrust.UNTRUSTED:
            return
        before = set(self._skews_s)
        for device, points in readings.items():
            reading = points.get(POINT) or points.get(LOCAL_POINT)
            skew_s = _skew_s(reading)
            if reading is None or skew_s is None:
                continue
            if abs(skew_s) <= SKEW_S_MAX:
                self._suspected_at.pop(device, None)
                self._skews_s.pop(device, None)
            elif self._is_seen_again(device, reading):
                self._skews_s[device] = skew_s
        if set(self._skews_s) != before:
            log.warning("device clocks changed", extra={"wrong": list(self.wrong)})

    def _is_seen_again(self, device: str, reading: Reading) -> bool:
        """Return whether a second reading is off as well: one is torn where the registers turn while they are read."""
        assert reading.source_at is not None
        first_at = self._suspected_at.setdefault(device, reading.source_at)
        return reading.source_at != first_at


def _skew_s(reading: Reading | None) -> float | None:
    """Return how far a device's clock was ahead of ours when it was read, a time zone aside."""
    if reading is None or reading.quality is not Quality.GOOD or reading.source_at is None:
        return None
    if isinstance(reading.value, bool) or not isinstance(reading.value, int | float):
        return None
    skew_s = float(reading.value) - reading.source_at.timestamp()
    zone_s = round(skew_s / ZONE_STEP_S) * ZONE_STEP_S
    return skew_s - zone_s if abs(zone_s) <= ZONE_S_MAX else skew_s
