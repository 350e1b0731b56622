"""A broker's own bounds (MQTT 5: Receive Maximum, Maximum Packet Size) are kept: beyond them it ends the connection."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contracts.clock import SystemClock
from contracts.telemetry import EventMessage
from contracts.topics import Up
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings
from edge.outbox.outbox import Outbox
from edge.telemetry.uplink import SET_ASIDE_KEY, Uplink
from tests.support.cloud.process import eventually

RECEIVE_MAXIMUM = 3
PACKET_BYTES_MAX = 1000


@dataclass
class _Strict:
    """A broker that ends whoever is beyond its bounds."""

    unacknowledged: set[int] = field(default_factory=set)
    most: int = 0
    acknowledged: int = 0
    broken: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await _packet(reader)
                match kind >> 4:
                    case 1:
                        bounds = struct.pack(">BHBI", 0x21, RECEIVE_MAXIMUM, 0x27, PACKET_BYTES_MAX)
                        writer.write(bytes([0x20, 3 + len(bounds), 0, 0, len(bounds)]) + bounds)
                    case 8:
                        writer.write(b"\x90\x04" + body[:2] + b"\x00\x01")
                    case 3:
                        topic = struct.unpack(">H", body[:2])[0]
                        number = struct.unpack(">H", body[2 + topic : 4 + topic])[0]
                        self.unacknowledged.add(number)
                        self.most = max(self.most, len(self.unacknowledged))
                        if len(self.unacknowledged) > RECEIVE_MAXIMUM or len(body) > PACKET_BYTES_MAX:
                            self.broken += 1
                            writer.close()
                            return
                        asyncio.get_running_loop().call_later(0.005, self._acknowledge, number, writer)
                    case 14:
                        writer.close()
                        return

    def _acknowledge(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.unacknowledged.discard(number)
        self.acknowledged += 1
        if not writer.is_closing():
            writer.write(b"\x40\x02" + struct.pack(">H", number))


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return kind, await reader.readexactly(size)


@asynccontextmanager
async def _uplink(folder: Path, broker: _Strict) -> AsyncIterator[tuple[Outbox, Uplink]]:
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = SystemClock()
    outbox = Outbox.open(folder / "outbox.db", site="home-1", clock=clock)
    link = MqttLink(LinkSettings(url=f"mqtt://127.0.0.1:{port}", throttle=False), client_id="home-1")
    uplink = Uplink(
        outbox=outbox, link=link, clock=clock, topic_of=lambda channel: f"t/{channel}", throttle=False, pause_s_max=0
    )
    tasks = [asyncio.create_task(link.run(), name="link"), asyncio.create_task(uplink.run(), name="uplink")]
    try:
        yield outbox, uplink
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        outbox.close()


async def test_brokers_bounds_are_kept_and_an_oversize_record_is_set_aside(tmp_path: Path) -> None:
    """Of 200 records a broker that takes 10 at once got none; one too large stopped everything behind it."""
    broker = _Strict()
    async with _uplink(tmp_path, broker) as (outbox, uplink):
        clock = SystemClock()
        for number in range(40):
            text = "x" * (3 * PACKET_BYTES_MAX if number == 7 else 10)
            outbox.append(
                Up.EVENTS,
                lambda epoch, seq, text=text: EventMessage(  # type: ignore[misc]
                    site="home-1",
                    epoch=epoch,
                    seq=seq,
                    sent_at=clock.now(),
                    at=clock.now(),
                    phrase="note",
                    fields={"a": text},
                ),
                durable=False,
            )
        outbox.flush()
        await eventually(lambda: uplink.stats().acknowledged == 39)
        assert (broker.most, broker.broken) == (RECEIVE_MAXIMUM, 0)
        assert uplink.stats().set_aside == 1
        (kept,) = outbox.recall(SET_ASIDE_KEY)
        assert "xxx" in kept["payload"]
