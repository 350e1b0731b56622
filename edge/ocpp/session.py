"""One connected station: its calls are answered in order, ours are asked one after the other.

A station that sends faster than it may waits; one that does not read, or sends what is no frame, is dropped. The
protocol has one open call each way, so nothing here queues. Times are real seconds: they are bounds on the machine.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from edge.errors import DeviceSilent
from edge.ocpp.dialects import DialectV16, DialectV201, Payload, StationRefused
from edge.ocpp.frames import (
    CALL,
    ERROR,
    RESULT,
    Frame,
    FrameRefused,
    call_text,
    check_payload,
    error_text,
    read_frame,
    result_text,
)
from edge.ocpp.settings import Version
from edge.ocpp.station import Station

log = logging.getLogger(__name__)

CALL_S = 20.0  # A station that thinks longer is silent.
SEND_S = 10.0
FIRST_WORD_S = 10.0  # One that says nothing of itself is asked after this.
PREPARE_AGAIN_S = 10.0
START_AGAIN_S = 10.0
MESSAGES_PER_S = 20.0
MESSAGES_BURST = 60.0
FAULTS_MAX = 8  # Frames that are none, before the connection is given up.
PROTOCOL_ERROR = 1002


class Session:
    """A connection of a station that has proven who it is.

    Args:
        version: What both agreed on.
    """

    def __init__(self, connection: ServerConnection, station: Station, version: Version) -> None:
        self._connection = connection
        self._station = station
        self._version = version
        dialect = DialectV16 if version is Version.V16 else DialectV201
        self.dialect: DialectV16 | DialectV201 = dialect(station, self.call)
        self._open: tuple[str, asyncio.Future[Frame]] | None = None
        self._asking = asyncio.Lock()
        self._numbers = 0
        self._spoken = asyncio.Event()
        self._heard = asyncio.Event()
        self._faults = 0
        self._tokens, self._filled_s = MESSAGES_BURST, time.monotonic()

    async def run(self) -> None:
        """Serve the station until it goes, is replaced, or is dropped."""
        station = self._station
        before, station.caller, station.ready = station.caller, self.dialect, False
        if isinstance(before, DialectV16 | DialectV201):
            log.info("a station has connected again", extra={"station": station.id})
        station.connections += 1
        station.since_at = station.clock.now()
        helpers = [
            asyncio.create_task(self._prepare(), name=f"prepare {station.id}"),
            asyncio.create_task(self._start_charges(), name=f"start charges {station.id}"),
        ]
        try:
            async for text in self._connection:
                await self._pace()
                if not await self._take(text):
                    break
        except (ConnectionClosed, TimeoutError):
            pass
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            if self._open is not None and not self._open[1].done():
                self._open[1].cancel()
            if station.caller is self.dialect:
                station.caller, station.ready = None, False
                station.since_at = station.clock.now()
                log.warning("a station has gone", extra={"station": station.id})

    def drop(self) -> None:
        """Give the connection up at once: another one of this station took its place."""
        self._connection.transport.abort()

    async def call(self, action: str, payload: Payload) -> Payload:
        """Ask the station, one call after the other.

        Raises:
            DeviceSilent: No answer in time, or the connection ended.
            StationRefused: It answered with an error.
        """
        check_payload(self._version, CALL, action, payload)
        async with self._asking:
            self._numbers += 1
            unique_id = f"sw{self._numbers}"
            answered: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
            self._open = (unique_id, answered)
            try:
                async with asyncio.timeout(CALL_S):
                    await self._connection.send(call_text(unique_id, action, payload))
                    frame = await asyncio.shield(answered)
            except (TimeoutError, ConnectionClosed) as error:
                raise DeviceSilent(f"station {self._station.id} did not answer {action} in {CALL_S:g} s") from error
            except asyncio.CancelledError:
                if answered.cancelled():
                    raise DeviceSilent(f"station {self._station.id} went before it answered {action}") from None
                raise
            finally:
                self._open = None
        if frame.kind == ERROR:
            raise StationRefused(action, frame.action)
        try:
            check_payload(self._version, RESULT, action, frame.payload)
        except FrameRefused as error:
            self._station.faults += 1
            raise StationRefused(action, f"with what does not fit: {error}") from error
        return frame.payload

    async def _take(self, text: Any) -> bool:
        """Act on one message; return whether the connection goes on."""
        self._station.messages += 1
        try:
            if not isinstance(text, str):
                raise FrameRefused("it is no text", code="FormationViolation")
            frame = read_frame(text)
            if frame.kind == CALL:
                answer = self._answer(frame)
                await self._station.noted()
                await self._send(answer)
            elif self._open is not None and self._open[0] == frame.unique_id and not self._open[1].done():
                self._open[1].set_result(frame)
        except FrameRefused as error:
            self._faults += 1
            self._station.faults += 1
            self._station.last_error = f"a message cannot be used: {error}"
            if self._faults >= FAULTS_MAX:
                log.warning("a station sends what is no OCPP", extra={"station": self._station.id})
                await self._connection.close(PROTOCOL_ERROR)
                return False
            if error.unique_id is not None:
                await self._send(error_text(error.unique_id, error.code, str(error)))
        return True

    def _answer(self, frame: Frame) -> str:
        """Return the answer to a call, an error where we do not know it or it does not fit."""
        answer = self.dialect.answers.get(frame.action)
        if answer is None:
            return error_text(frame.unique_id, "NotImplemented", "it is not known here")
        try:
            check_payload(self._version, CALL, frame.action, frame.payload)
        except FrameRefused as error:
            raise FrameRefused(str(error), code=error.code, unique_id=frame.unique_id) from error
        payload = answer(frame.payload)
        self._spoken.set()
        self._heard.set()
        return result_text(frame.unique_id, payload)

    async def _send(self, text: str) -> None:
        """Send an answer; a station that does not read is dropped.

        Raises:
            TimeoutError: It was not taken in time.
        """
        async with asyncio.timeout(SEND_S):
            await self._connection.send(text)

    async def _pace(self) -> None:
        """Let a station that sends too fast wait: what it sends on stays in its own buffers."""
        now_s = time.monotonic()
        self._tokens = min(MESSAGES_BURST, self._tokens + (now_s - self._filled_s) * MESSAGES_PER_S) - 1
        self._filled_s = now_s
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / MESSAGES_PER_S)

    async def _prepare(self) -> None:
        """Leave the station with its fallback before anything else is asked of it; again until it takes it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORD_S):
                await self._spoken.wait()
        while True:
            try:
                await self.dialect.prepare()
            except (DeviceSilent, StationRefused) as error:
                if str(error) != self._station.last_error:
                    log.warning("a station cannot be used yet", extra={"station": self._station.id, "why": str(error)})
                self._station.last_error = str(error)
            else:
                self._station.ready = True
                self._heard.set()
                log.info("a station is ready", extra={"station": self._station.id, "version": self._version.value})
                return
            await asyncio.sleep(PREPARE_AGAIN_S)

    async def _start_charges(self) -> None:
        """Start a charge for each car that waits for one, where the site's file says as whom; a few times a car."""
        station = self._station
        while True:
            await self._heard.wait()
            self._heard.clear()
            for number, connector in station.connectors.items():
                while (id_tag := station.starts_as(number)) is not None:
                    connector.starts += 1
                    try:
                        await self.dialect.start(number, id_tag)
                        log.info("a charge is started", extra={"station": station.id, "connector": number})
                    except (DeviceSilent, StationRefused) as error:
                        station.last_error = f"a charge could not be started: {error}"
                        log.warning("a charge cannot be started", extra={"station": station.id, "why": str(error)})
                    await asyncio.sleep(START_AGAIN_S)
