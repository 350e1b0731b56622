"""Writes a site's values to a time series database of the house: InfluxDB, VictoriaMetrics, what else takes lines."""

import asyncio
import logging
import ssl
import urllib.request
from collections import deque
from collections.abc import Collection
from http import HTTPStatus
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError

from contracts.clock import Clock
from contracts.reasons import reason_of
from contracts.units import printable
from edge.plain.line_protocol import lines
from edge.plain.settings import InfluxSettings
from edge.plain.values import Readings

log = logging.getLogger(__name__)

KEPT_MAX: Final = 360  # Batches while the database is away: an hour at ten seconds, some 4 MB for ten devices.
TIMEOUT_S: Final = 10.0  # Real seconds for one write.
AT_ONCE: Final = 60  # Batches in one write, after the database was away.
_SENTENCE_MAX: Final = 200
# Of what is wrong with the lines themselves; a token or a database that is missing may come.
_NEVER: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)


class InfluxWriter:
    """Sends what the devices said, a batch each period; while nobody takes it, the newest are kept."""

    def __init__(self, settings: InfluxSettings, *, site: str, clock: Clock) -> None:
        """Prepare; nothing is read or opened yet."""
        self._settings = settings
        self._site = site
        self._clock = clock
        self._kept: deque[str] = deque(maxlen=KEPT_MAX)
        self._next_s = float("-inf")
        self.fault = ""  # Why the last write was not taken; empty where it was.

    def take(self, readings: Readings, *, offline: Collection[str], taken_s: float) -> None:
        """Keep what the devices said in a cycle, where a period has passed since the last that was kept."""
        if taken_s < self._next_s or not readings:
            return
        self._next_s = taken_s + self._settings.period_s
        self._kept.append(lines(readings, offline=offline, site=self._site, at=self._clock.now()))

    async def run(self) -> None:
        """Write until cancelled; lines that a database cannot take are dropped, others tried until it takes them."""
        while True:
            await self._clock.sleep(self._settings.period_s)
            while self._kept:
                batches = [self._kept[number] for number in range(min(AT_ONCE, len(self._kept)))]
                fault = await asyncio.to_thread(self._write, "\n".join(batches))
                if fault is None:
                    self._say("")
                elif isinstance(fault, HTTPError) and fault.code in _NEVER:
                    self._say(f"refused with {fault.code}: {_sentence(fault)}; these values are dropped")
                else:
                    self._say(f"{_reason(fault)}; values are kept, the newest {KEPT_MAX} times")
                    break
                for batch in batches:
                    if self._kept[0] is batch:  # Else it made room for newer ones while it was written.
                        self._kept.popleft()

    def _write(self, text: str) -> Exception | None:
        """Write lines, and return why they were not taken."""
        settings = self._settings
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        try:
            if settings.token_file is not None:  # Read each time: it may be renewed.
                headers["Authorization"] = f"Token {settings.token_file.read_text(encoding='utf-8').strip()}"
            tls = ssl.create_default_context(cafile=settings.ca_file) if settings.url.startswith("https:") else None
            request = urllib.request.Request(settings.url, data=text.encode(), headers=headers)
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=tls):
                return None
        except (OSError, HTTPException, ValueError) as error:
            return error

    def _say(self, fault: str) -> None:
        """Log a change of how it goes, not each write."""
        if fault == self.fault:
            return
        self.fault = fault
        if fault:
            log.warning("values are not written to the database", extra={"url": self._settings.host, "reason": fault})
        else:
            log.info("values are written to the database", extra={"url": self._settings.host})


def _reason(fault: Exception) -> str:
    if isinstance(fault, HTTPError):
        return f"refused with {fault.code}: {_sentence(fault)}"
    wrapped = getattr(fault, "reason", None)
    return reason_of(wrapped if isinstance(wrapped, OSError) else fault)


def _sentence(refusal: HTTPError) -> str:
    with refusal:
        return printable(refusal.read(_SENTENCE_MAX).decode(errors="replace").strip(), _SENTENCE_MAX)
