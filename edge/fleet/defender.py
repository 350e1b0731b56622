"""Tells Device Defender how the gateway is: how much waits in its outbox, how long ago the meter was read.

Source: AWS IoT Device Defender developer guide, "Sending metrics from devices" and "Custom metrics" (reports more often
than each five minutes are throttled).
"""

import json
import logging
from collections.abc import Callable, Mapping

from contracts.clock import Clock
from contracts.units import SiteId, epoch_ms
from edge.errors import LinkError
from edge.links.link import Link

log = logging.getLogger(__name__)

REPORT_EVERY_S = 300.0
OUTBOX_DEPTH = "journal_depth"
METER_SILENT_S = "meter_silent_s"

Measure = Callable[[], Mapping[str, float | None]]


class DefenderReports:
    """Reports of one gateway; lives in ``run``."""

    def __init__(self, *, link: Link, thing: SiteId, clock: Clock, measure: Measure) -> None:
        """Prepare; ``measure`` returns custom metrics by name, ``None`` where one is not known."""
        self._link = link
        self._topic = f"$aws/things/{thing}/defender/metrics/json"
        self._clock = clock
        self._measure = measure

    async def run(self) -> None:
        """Report every five minutes until cancelled; a report that finds no link is left out, the next one counts."""
        while True:
            await self._clock.sleep(REPORT_EVERY_S)
            try:
                self._link.publish(self._topic, self.report())
            except LinkError as error:
                log.debug("no report", extra={"reason": str(error)})

    def report(self) -> bytes:
        """Return a report; its id rises over restarts, as it is the instant in seconds."""
        measured = {name: [{"number": value}] for name, value in self._measure().items() if value is not None}
        content = {
            "header": {"report_id": epoch_ms(self._clock.now()) // 1000, "version": "1.0"},
            "custom_metrics": measured,
        }
        return json.dumps(content).encode()
