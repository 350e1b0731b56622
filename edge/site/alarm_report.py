"""Tells the cloud which alarms the gateway has, each change once it lasts, for who looks at many gateways."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from contracts.alarms import ALARMS_CHANGED, alarm_fields
from contracts.clock import Clock
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.units import SiteId
from edge.errors import StatusUnavailable
from edge.outbox.outbox import Outbox
from edge.site.hearing import CLOCK_WAIT_S
from edge.site.status import Plain, ask_status
from edge.web.notes import alarms

if TYPE_CHECKING:
    from edge.site.parts import Site

log = logging.getLogger(__name__)

# Between two looks; what is there at one look alone is not told.
LOOK_S = 30.0
_TOLD_KEY = "alarms.told"


class AlarmReport:
    """What was told of a gateway's alarms, and what was seen since. Its memory goes over restarts.

    Alarms that differ in numbers alone are the same: an excess that moves is not told again and again.
    """

    def __init__(self, *, site: SiteId, clock: Clock, outbox: Outbox) -> None:
        self._site = site
        self._clock = clock
        self._outbox = outbox
        told = outbox.recall(_TOLD_KEY)
        self._told: list[str] | None = told if isinstance(told, list) else None
        self._seen: list[str] | None = None

    def see(self, alarms: Sequence[str]) -> None:
        """Take what there is at a look; tell it where it was there at the last one and is another than was told."""
        kinds = sorted(re.sub(r"\d+", "0", alarm) for alarm in alarms)
        lasts, self._seen = kinds == self._seen, kinds
        if not lasts or kinds == self._told:
            return
        at, fields = self._clock.now(), alarm_fields(alarms)
        log.info("alarms told", extra={"alarms": list(alarms)})
        with self._outbox.together():
            self._outbox.append(
                Up.EVENTS,
                lambda epoch, seq: EventMessage(
                    site=self._site, epoch=epoch, seq=seq, sent_at=at, at=at, phrase=ALARMS_CHANGED, fields=dict(fields)
                ),
                durable=True,
            )
            self._outbox.remember(_TOLD_KEY, kinds)
        self._told = kinds


async def report_alarms(site: "Site") -> None:
    """Look at the gateway's alarms until cancelled, from when events can be dated, as the link waits for it."""
    await site.watch.trusted(within_s=CLOCK_WAIT_S)
    report = AlarmReport(site=site.config.site.id, clock=site.clock, outbox=site.outbox)
    while True:
        report.see(await asyncio.to_thread(_alarms, lambda: ask_status(site.config.state_dir)))
        await site.clock.sleep(LOOK_S)


def _alarms(ask: Callable[[], Plain]) -> list[str]:
    try:
        return alarms(ask())
    except StatusUnavailable as error:
        return [f"the gateway's status cannot be read: {error}"]
