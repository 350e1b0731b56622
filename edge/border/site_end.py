"""The site's end of the border: connects to control, takes what its cycles saw, takes its records over.

A record of control is on the site's disk, together with the note that it is, before control is told to forget it: a
kill of either process at any moment leaves it taken over once.
"""

import asyncio
import contextlib
import logging
import os
import time
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from contracts.clock import Clock
from contracts.reasons import reason_of
from contracts.wire import WireError
from edge.border.control_end import HELLO_TIMEOUT_S, SOCKET
from edge.border.frames import Frames, StreamBroken
from edge.border.messages import RECORDS_MAX, VERSION, Frame, Hello, Kept, Live, Seen, Waiting, encode
from edge.border.same_version import chosen_s, is_outdated
from edge.border.sockets import reach
from edge.border.takeover import Takeover
from edge.loop.seen import CycleSeen
from edge.process.apart import apart

log = logging.getLogger(__name__)

# Real seconds between two attempts to reach control.
_AGAIN_S_MIN = 0.05
_AGAIN_S_MAX = 1.0
# Real seconds for which control may be away without a warning: it is started, or stopped, at about the same time.
AWAY_S = 5.0
# Frames that wait for control; beyond, the newest is refused once ``ROOM_S`` real seconds have not made room.
SENDING_MAX = 256
ROOM_S = 5.0


class Refused(Exception):
    """Control speaks another version, or is another site's."""


class SeesCycles(Protocol):
    """What the site does with what control tells."""

    def cycle(self, cycle: CycleSeen) -> Frame:
        """Take a cycle, and return the answer to it."""

    def live(self, *, period_s: float, for_s: float) -> None:
        """Somebody watches."""

    def greeting(self) -> list[Frame]:
        """Return what control must know first on a connection."""

    def new_start(self, reason: str) -> None:
        """Stop, to be started anew."""


@dataclass(kw_only=True)
class Peer:
    """Control as the site sees it."""

    connected: bool = False
    since_at: datetime | None = None
    pid: int | None = None
    connects: int = 0
    error: str | None = None


class SiteEnd:
    """The way to control; lives in ``run``.

    What is sent waits in a bounded queue, in order, and goes out over reconnects; a frame that a lost connection may
    have taken goes again, for control knows a repetition.
    """

    def __init__(self, *, state_dir: Path, site: str, takeover: Takeover, clock: Clock) -> None:
        self.peer = Peer()
        self._state_dir = state_dir
        self._site = site
        self._takeover = takeover
        self._clock = clock
        self._sending: asyncio.Queue[Frame] = asyncio.Queue(SENDING_MAX)
        self._unsent: Frame | None = None
        self._away_since_s: float | None = None
        self._warned: str | None = None

    async def run(self, sees: SeesCycles) -> None:
        """Stay connected until cancelled."""
        again_s = _AGAIN_S_MIN
        while True:
            try:
                frames = await self._connect(sees)
            except (OSError, WireError, Refused) as error:
                self._note(reason_of(error))
                await asyncio.sleep(again_s)
                again_s = min(_AGAIN_S_MAX, 2 * again_s)
                continue
            again_s = _AGAIN_S_MIN
            try:
                await apart(self._serve(frames, sees))
            except* (OSError, WireError) as errors:
                self._note(f"{errors.exceptions[0]}")
            finally:
                self.peer.connected = False
                frames.close()

    async def send(self, frame: Frame) -> bool:
        """Have a frame sent, and say whether there was room for it; a full queue is waited for while control is there.

        Raises:
            WireError: It is too long.
        """
        encode(frame)
        try:
            async with asyncio.timeout(ROOM_S if self.peer.connected else 0.0):
                await self._sending.put(frame)
        except TimeoutError:
            return False
        return True

    def post(self, frame: Frame) -> None:
        """Have a frame sent that is told anew on each connection; a full queue leaves it to the next one."""
        with contextlib.suppress(asyncio.QueueFull):
            self._sending.put_nowait(frame)

    async def ended(self) -> None:
        """Wait until control has closed the connection."""
        while self.peer.connected:  # noqa: ASYNC110 (seldom, and for a moment)
            await asyncio.sleep(_AGAIN_S_MIN)

    async def _connect(self, sees: SeesCycles) -> Frames:
        """Return a connection to control after the first frames.

        Raises:
            OSError: Control does not listen.
            Refused: It cannot be spoken to.
        """
        with reach(self._state_dir, SOCKET) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        frames = Frames(reader, writer)
        try:
            own = Hello(software=version("sitewatt"), site=self._site, pid=os.getpid(), chosen_s=chosen_s())
            await frames.send(own)
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = await frames.read()
            if not isinstance(hello, Hello):
                raise Refused("control closed the connection")
            if is_outdated(own, hello):
                reason = f"control runs {hello.software}, chosen after our {own.software}"
                sees.new_start(reason)
                raise Refused(reason)
            if (hello.v, hello.site) != (VERSION, self._site):
                raise Refused(
                    f"control {hello.software} speaks version {hello.v} for {hello.site}, "
                    f"not {VERSION} for {self._site}"
                )
        except BaseException:
            frames.close()
            raise
        self.peer = Peer(connected=True, since_at=self._clock.now(), pid=hello.pid, connects=self.peer.connects + 1)
        self._away_since_s = self._warned = None
        log.info("control connected", extra={"software": hello.software, "pid": hello.pid})
        return frames

    async def _serve(self, frames: Frames, sees: SeesCycles) -> None:
        for frame in sees.greeting():
            await frames.send(frame)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send(frames), name="send to control")
            hearing = tasks.create_task(self._hear(frames, sees), name="hear control")
            hearing.add_done_callback(lambda _: sending.cancel())

    async def _send(self, frames: Frames) -> None:
        while True:
            if self._unsent is None:
                self._unsent = await self._sending.get()
            await frames.send(self._unsent)
            self._unsent = None

    async def _hear(self, frames: Frames, sees: SeesCycles) -> None:
        records: list[Waiting] = []
        while (frame := await _read(frames)) is not None:
            if isinstance(frame, Seen):
                await frames.send(sees.cycle(frame.cycle()))
            elif isinstance(frame, Live):
                sees.live(period_s=frame.period_s, for_s=frame.for_s)
            elif isinstance(frame, Waiting):
                records.append(frame)
                if frame.last or len(records) >= RECORDS_MAX:
                    await frames.send(Kept(ids=await self._takeover.take(records)))
                    records.clear()

    def _note(self, error: str) -> None:
        """Tell why control is not there, and warn once of each reason that stays for longer than a start or a stop."""
        self.peer.error, now_s = error, time.monotonic()
        if self._away_since_s is None:
            self._away_since_s = now_s
        if now_s - self._away_since_s >= AWAY_S and error != self._warned:
            log.warning("control is not there", extra={"reason": error})
            self._warned = error


async def _read(frames: Frames) -> Frame | None:
    """Return the next frame that is understood."""
    while True:
        try:
            return await frames.read()
        except StreamBroken:
            raise
        except WireError as error:
            log.warning("frame of control not understood", extra={"reason": str(error)})
