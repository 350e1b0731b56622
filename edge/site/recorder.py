"""Records what each cycle saw: telemetry samples, and the meter's energy of each delivery interval."""

from collections.abc import Callable
from datetime import datetime

from contracts.clock import Clock
from contracts.units import ClockTrust, Quality
from edge.loop.readings import EXPORT_ENERGY, IMPORT_ENERGY, samples
from edge.loop.seen import REPORTED, CycleSeen
from edge.modbus.point import Reading
from edge.telemetry.clock_sync_buffer import ClockSyncBuffer
from edge.telemetry.history import History
from edge.telemetry.meter_recorder import MeterRecorder
from edge.telemetry.metering import Observation
from edge.telemetry.sampler import Sampler


class Recorder:
    """Offers the sampler, the meter recorder and the history what a cycle saw.

    Args:
        meter: The device at the connection point.
        sampler: Of what is reported; ``None`` where nobody is told, so that nothing is kept for nobody.
        meter_recorder: The same of the readings that settle.
    """

    def __init__(
        self,
        *,
        meter: str,
        clock: Clock,
        sampler: Sampler | None,
        sync_buffer: ClockSyncBuffer,
        meter_recorder: MeterRecorder | None,
        history: History,
        clock_trust: Callable[[], ClockTrust],
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._sampler = sampler
        self._sync_buffer = sync_buffer
        self._meter_recorder = meter_recorder
        self._history = history
        self._clock_trust = clock_trust

    def close(self) -> None:
        """Hand over what waits for a clock or for more samples: the gateway stops."""
        if self._sampler is not None:
            self._sync_buffer.close(to=self._sampler.offer)
            self._sampler.close()
        self._history.close()

    def finished(self, cycle: CycleSeen) -> None:
        """Record one cycle."""
        now = self._clock.now()
        seen = samples(cycle.readings, names=REPORTED, now=now)
        if self._sampler is not None:
            self._sync_buffer.offer(seen, to=self._sampler.offer)
        if self._meter_recorder is not None:
            self._meter_recorder.observe(self._observation(cycle, now))
        self._history.offer(seen)

    def _observation(self, cycle: CycleSeen, now: datetime) -> Observation:
        meter = cycle.readings.get(self._meter, {})
        imported, exported = meter.get(IMPORT_ENERGY), meter.get(EXPORT_ENERGY)
        at = imported.source_at if imported is not None and imported.source_at is not None else now
        return Observation(
            at=at,
            import_wh=_good(imported),
            export_wh=_good(exported),
            power_w=cycle.connection_power.usable(),
            clock=self._clock_trust(),
        )


def _good(reading: Reading | None) -> float | None:
    if reading is None or reading.quality is not Quality.GOOD or isinstance(reading.value, bool | str):
        return None
    return None if reading.value is None else float(reading.value)
