"""Whether the clocks of devices agree with ours: the times that an owner has set in a device go by them."""

import logging
from collections.abc import Callable, Mapping

from contracts.units import ClockTrust, Quality
from edge.loop.cycle import Cycle
from edge.loop.snapshot import Readings
from edge.modbus.point import Reading

log = logging.getLogger(__name__)

# Seconds of UTC since 1970, as a profile names what its device says.
POINT = "clock_unix_s"
# Source: field proposal; an inverter's clock that was off kept a battery from its charging slots
# (springfall2008/batpred issue 4927).
SKEW_S_MAX = 60.0


class DeviceClocks:
    """The clocks of one site's devices, of those that tell."""

    def __init__(self, clock_trust: Callable[[], ClockTrust]) -> None:
        """Compare while the gateway's own clock is trusted."""
        self._clock_trust = clock_trust
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
            skew_s = _skew_s(points.get(POINT))
            if skew_s is None:
                continue
            if abs(skew_s) > SKEW_S_MAX:
                self._skews_s[device] = skew_s
            else:
                self._skews_s.pop(device, None)
        if set(self._skews_s) != before:
            log.warning("device clocks changed", extra={"wrong": list(self.wrong)})


def _skew_s(reading: Reading | None) -> float | None:
    """Return how far a device's clock was ahead of ours when it was read."""
    if reading is None or reading.quality is not Quality.GOOD or reading.source_at is None:
        return None
    if isinstance(reading.value, bool) or not isinstance(reading.value, int | float):
        return None
    return float(reading.value) - reading.source_at.timestamp()
