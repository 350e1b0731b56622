"""Keeps the meter readings, together with what the meter's watcher must know after a restart."""

from contracts.clock import Clock
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.units import SiteId
from domain.plausibility import Doubt
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.outbox.waiting import Build
from edge.telemetry.metering import IntervalMeter, MeteredInterval, Observation

_KEY = "meter.intervals"


class MeterRecorder:
    """Turns observations of the connection point into kept readings, each delivery interval once.

    State and reading are committed together, so a kill between them can neither lose an interval nor report it twice.
    """

    def __init__(self, *, site: SiteId, outbox: Outbox, clock: Clock, connection_w: float | None = None) -> None:
        """Go on where an earlier process stopped.

        Args:
            site: Whose connection point it is.
            outbox: Keeps readings, events and the watcher's state.
            clock: Says when a reading is sent.
            connection_w: The most that the connection carries in either direction; ``None`` where nobody said.
        """
        self._site = site
        self._outbox = outbox
        self._clock = clock
        self._meter = IntervalMeter(outbox.recall(_KEY), connection_w=connection_w)
        self._doubts: tuple[str, ...] = ()
        self._kept_at = clock.monotonic()

    def observe(self, seen: Observation) -> list[MeteredInterval]:
        """Take one observation, journal the intervals that it finishes, and return them."""
        finished = self._meter.observe(seen)
        now_s = self._clock.monotonic()
        if finished or now_s - self._kept_at >= FLUSH_WINDOW_S:
            self._kept_at = now_s
            self._outbox.remember(_KEY, self._meter.state(), durable=False)
        last = len(finished) - 1
        for index, energy in enumerate(finished):
            self._outbox.append(Up.METER, energy.build(self._site, self._clock.now()), durable=index == last)
            self._report(energy)
        return finished

    def _report(self, energy: MeteredInterval) -> None:
        """Keep an event for the first of several intervals in which a counter is not believed for the same cause."""
        doubts = tuple(doubt for doubt in energy.doubts if not doubt.endswith(Doubt.MISSING))
        if doubts and doubts != self._doubts:
            self._outbox.append(Up.EVENTS, self._event(energy, doubts), durable=False)
        self._doubts = doubts

    def _event(self, energy: MeteredInterval, doubts: tuple[str, ...]) -> Build:
        at = self._clock.now()
        return lambda epoch, seq: EventMessage(
            site=self._site,
            epoch=epoch,
            seq=seq,
            sent_at=at,
            at=at,
            phrase="energy counter not believed",
            fields={
                "interval_start": energy.interval.start.isoformat(),
                "why": ", ".join(doubts),
                "import_wh": energy.import_wh,
                "export_wh": energy.export_wh,
            },
        )
