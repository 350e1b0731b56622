"""Parts for tests of the outbox and the links: messages, a listener on the broker, running a task for a block."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import aiomqtt

from cloud.local.session import keep_session
from contracts.metering import MeterReading
from contracts.telemetry import EventMessage, Sample, TelemetryMessage, columns
from contracts.topics import Up, site_topic
from contracts.units import ClockTrust, Quality
from contracts.wire import SiteMessage
from tests.support.brokers.broker import Broker

SITE = "site-1"
ZONE = "zone-a"
AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
SAFETY_TIMEOUT_S = 120.0

Build = Callable[[int, int], SiteMessage]


def topic_of(channel: Up) -> str:
    """Return the topic of one of the test site's channels."""
    return site_topic(zone=ZONE, site=SITE, channel=channel)


def reading(import_wh: int) -> Build:
    """Build a meter reading that a test knows by its energy."""
    return lambda epoch, seq: MeterReading(
        site=SITE,
        epoch=epoch,
        seq=seq,
        sent_at=AT,
        interval_start=AT,
        import_wh=import_wh,
        export_wh=0,
        register_import_wh=import_wh,
        register_export_wh=0,
        quality=Quality.GOOD,
        clock=ClockTrust.SYNCED,
    )


def event(phrase: str) -> Build:
    """Build an event."""
    return lambda epoch, seq: EventMessage(site=SITE, epoch=epoch, seq=seq, sent_at=AT, at=AT, phrase=phrase)


def telemetry(samples: list[Sample]) -> Build:
    """Build a telemetry message."""
    base_at, series = columns(samples)
    return lambda epoch, seq: TelemetryMessage(
        site=SITE, epoch=epoch, seq=seq, sent_at=AT, base_at=base_at, series=series
    )


def one_sample(value: float) -> Build:
    """Build a telemetry message of a single sample."""
    return telemetry([Sample(point="meter/power_w", at=AT, value=value, quality=Quality.GOOD)])


async def until(condition: Callable[[], object], *, timeout_s: float = SAFETY_TIMEOUT_S) -> None:
    """Return when a condition holds.

    Raises:
        TimeoutError: It does not, within the safety timeout.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def background(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator["asyncio.Task[None]"]:
    """Run a coroutine for the block, then cancel it; its own error fails the test."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Listener:
    """Somebody at the broker who keeps what arrives, over its restarts."""

    def __init__(self, broker: Broker, *topics: str, **client: Any) -> None:
        self.received: list[aiomqtt.Message] = []
        self.arrived_s: list[float] = []
        self.ready = asyncio.Event()
        self._broker = broker
        self._topics = topics
        self._client = client

    def payloads(self, channel: Up) -> list[bytes]:
        """Return the payloads that came on one of the test site's channels, in order."""
        return [bytes(message.payload) for message in self.received if message.topic.value == topic_of(channel)]

    async def run(self) -> None:
        """Listen until cancelled."""
        await keep_session(
            lambda: aiomqtt.Client("localhost", self._broker.port, timeout=5, **self._client),
            self._keep,
            ended=lambda _: self.ready.clear(),
            pause_s=lambda: 0.05,
        )

    async def _keep(self, client: aiomqtt.Client) -> None:
        for topic in self._topics:
            await client.subscribe(topic, qos=1)
        self.ready.set()
        async for message in client.messages:
            self.received.append(message)
            self.arrived_s.append(asyncio.get_running_loop().time())


class Wire:
    """A TCP proxy in front of a broker, which can be cut or go silent."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.silent = False
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        """Carry connections for the block."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await until(lambda: not self._writers)

    def cut(self) -> None:
        """Break what is connected."""
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            ends.add(far_writer)
            self._writers |= ends
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._writers -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self.silent:
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
