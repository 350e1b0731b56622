"""Journals the meter readings, together with what the meter's watcher must know after a restart."""

from contracts.clock import Clock
from contracts.topics import Up
from contracts.units import SiteId
from edge.telemetry.metering import IntervalEnergy, IntervalMeter, Observation
from edge.telemetry.outbox import FLUSH_WINDOW_S, Outbox

_KEY = "meter.intervals"


class MeterRecorder:
    """Scheduler observations of the connection point into kept readings, each delivery interval once.

    State and reading are committed together, so a kill between them can neither lose an interval nor report it twice.
    """

    def __init__(self, *, site: SiteId, outbox: Outbox, clock: Clock) -> None:
        """Go on where an earlier process stopped."""
        self._site = site
        self._outbox = outbox
        self._clock = clock
        self._meter = IntervalMeter(outbox.recall(_KEY))
        self._kept_at = clock.monotonic()

    def observe(self, seen: Observation) -> list[IntervalEnergy]:
        """Take one observation, outbox the intervals that it finishes, and return them."""
        finished = self._meter.observe(seen)
        now_s = self._clock.monotonic()
        if finished or now_s - self._kept_at >= FLUSH_WINDOW_S:
            self._kept_at = now_s
            self._outbox.remember(_KEY, self._meter.state(), durable=False)
        last = len(finished) - 1
        for index, energy in enumerate(finished):
            self._outbox.append(Up.METER, energy.build(self._site, self._clock.now()), durable=index == last)
        return finished
