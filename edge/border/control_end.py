"""Control's end of the border: listens for the site process, tells it of each cycle, hands its records over.

Control never waits for the site: a cycle is put into a slot, where the next takes its place; records wait in control's
own store until the site says that it has them. What the site sends is taken frame by frame between two cycles.
"""

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from contracts.clock import Clock
from contracts.topics import Up
from contracts.wire import WireError
from edge.border.frames import Frames, StreamBroken
from edge.border.messages import (
    RECORDS_MAX,
    VERSION,
    Adopt,
    Arrived,
    Beat,
    Frame,
    Hello,
    Kept,
    Live,
    NewStart,
    Seen,
    Waiting,
)
from edge.border.same_version import chosen_s, is_outdated
from edge.border.sockets import listening, peer
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox

log = logging.getLogger(__name__)

SOCKET = "control.sock"
HELLO_TIMEOUT_S = 10.0  # Real seconds for the first frame.
# Channels that control itself speaks on; answers before events, as the uplink has them.
_CHANNELS = (Up.ACKS, Up.EVENTS)


class Hears(Protocol):
    """What control does with what the site sends."""

    async def command(self, payload: bytes, *, retained: bool) -> None:
        """Take a message from the command topic."""

    def beat(self, beat: Beat) -> None:
        """Take what is asked now."""

    def adopt(self, adopt: Adopt) -> None:
        """Lay what is wanted from afar over the site's file."""

    def new_start(self, reason: str) -> None:
        """Stop, to be started anew."""


@dataclass(kw_only=True)
class Peer:
    """The site process as control sees it: since when it is there, and how often it came."""

    connected: bool = False
    since_at: datetime | None = None
    pid: int | None = None
    connects: int = 0


class ControlEnd:
    """The way to the site process; lives in ``run``."""

    def __init__(self, *, state_dir: Path, site: str, outbox: Outbox, clock: Clock) -> None:
        self.peer = Peer()
        self._state_dir = state_dir
        self._site = site
        self._outbox = outbox
        self._clock = clock
        self._newest: CycleSeen | None = None
        self._live: Live | None = None
        self._news = asyncio.Event()
        self._kept = asyncio.Event()
        self._handed: frozenset[int] = frozenset()
        self._serving: asyncio.Task[None] | None = None

    def tell(self, cycle: CycleSeen) -> None:
        """Have a cycle told; one that has not left yet is replaced."""
        self._newest = cycle
        self._news.set()

    def live(self, *, period_s: float, for_s: float) -> None:
        """Have the site told that somebody watches."""
        self._live = Live(period_s=period_s, for_s=for_s)
        self._news.set()

    async def run(self, hears: Hears) -> None:
        """Serve the site process, one at a time, until cancelled; the newest connection is the one that counts."""
        server = await asyncio.start_unix_server(
            lambda reader, writer: self._accept(hears, reader, writer), sock=listening(self._state_dir, SOCKET)
        )
        try:
            async with server:
                await server.serve_forever()
        finally:
            if self._serving is not None:
                self._serving.cancel()
                await asyncio.gather(self._serving, return_exceptions=True)
            with contextlib.suppress(OSError):
                (self._state_dir / SOCKET).unlink()

    def _accept(self, hears: Hears, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, uid = peer(writer.get_extra_info("socket"))
        if uid != os.getuid():
            log.warning("site process refused", extra={"reason": f"user {uid} is not ours", "pid": pid})
            writer.close()
            return
        if self._serving is not None:
            self._serving.cancel()
        self._serving = asyncio.create_task(self._serve(hears, Frames(reader, writer), pid), name="serve the site")

    async def _serve(self, hears: Hears, frames: Frames, pid: int) -> None:
        """Serve one connection to its end; what goes wrong on it ends it and nothing else."""
        try:
            if not await self._greet(frames, pid, hears):
                return
            self.peer = Peer(connected=True, since_at=self._clock.now(), pid=pid, connects=self.peer.connects + 1)
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(self._hear(frames, hears), name="hear the site")
                telling = tasks.create_task(self._tell(frames), name="tell the site")
                handing = tasks.create_task(self._hand_over(frames), name="hand records over")
                hearing.add_done_callback(lambda _: (telling.cancel(), handing.cancel()))
        except* (OSError, WireError) as errors:
            log.info("site process lost", extra={"reason": str(errors.exceptions[0])})
        finally:
            if asyncio.current_task() is self._serving:
                self.peer.connected = False
            frames.close()

    async def _greet(self, frames: Frames, pid: int, hears: Hears) -> bool:
        """Exchange the first frames, and say whether the other side can be served."""
        own = Hello(software=version("sitewatt"), site=self._site, pid=os.getpid(), chosen_s=chosen_s())
        await frames.send(own)
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            hello = await frames.read()
        if not isinstance(hello, Hello):
            return False
        if is_outdated(own, hello):
            hears.new_start(f"the site process runs {hello.software}, chosen after our {own.software}")
            return False
        if (hello.v, hello.site) != (VERSION, self._site):
            reason = f"it speaks version {hello.v} for {hello.site}, not {VERSION} for {self._site}"
            log.error("site process refused", extra={"reason": reason, "software": hello.software})
            return False
        log.info("site process connected", extra={"software": hello.software, "pid": pid})
        return True

    async def _hear(self, frames: Frames, hears: Hears) -> None:
        while True:
            try:
                frame = await frames.read()
            except StreamBroken:
                raise
            except WireError as error:
                log.warning("frame of the site not understood", extra={"reason": str(error)})
                continue
            if frame is None:
                return
            await self._take(frame, hears)
            # Frames that wait are taken one between two looks of the loop: a flood must not hold a control cycle up.
            await asyncio.sleep(0)

    async def _take(self, frame: Frame, hears: Hears) -> None:
        if isinstance(frame, Arrived):
            try:
                payload = frame.payload()
            except ValueError:
                log.warning("command of the site not understood", extra={"reason": "no base64"})
                return
            await hears.command(payload, retained=frame.retained)
        elif isinstance(frame, Beat):
            hears.beat(frame)
        elif isinstance(frame, Kept):
            self._take_kept(frame)
        elif isinstance(frame, Adopt):
            hears.adopt(frame)
        elif isinstance(frame, NewStart):
            hears.new_start(frame.reason)
        else:
            log.error("frame of the site out of place", extra={"kind": frame.kind})

    def _take_kept(self, frame: Kept) -> None:
        """Forget what the site has: of that which was handed to it, and of nothing else."""
        kept = self._handed & set(frame.ids)
        self._handed -= kept
        self._outbox.acknowledge(kept)
        if not self._handed:
            self._kept.set()

    async def _tell(self, frames: Frames) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            live, self._live = self._live, None
            if live is not None:
                await frames.send(live)
            cycle, self._newest = self._newest, None
            if cycle is not None:
                await frames.send(Seen.of(cycle))

    async def _hand_over(self, frames: Frames) -> None:
        """Hand over a few records at a time, and the next when the site has these."""
        self._handed = frozenset()
        while True:
            self._outbox.committed.clear()
            records = [record for channel in _CHANNELS for record in self._outbox.read(channel, limit=RECORDS_MAX)][
                :RECORDS_MAX
            ]
            if not records:
                await self._outbox.committed.wait()
                continue
            self._kept.clear()
            self._handed = frozenset(record.id for record in records)
            for record in records:
                await frames.send(
                    Waiting(
                        id=record.id,
                        channel=record.channel,
                        record_class=record.record_class,
                        payload=record.payload.decode(),
                        last=record is records[-1],
                    )
                )
            await self._kept.wait()
