"""The market over the wire: from an order's publication to its trade notice, with a hundred agents on a real broker.

    python -m benchmarks market_wire [--json]

mosquitto, the cloud's process with its tables on disk, and this process with one connection for each agent share the
machine. Each order meets a counterpart at once, so every order trades. The prototype that the system is judged by took
100 ms. Shares are of one core.
"""

import asyncio
import contextlib
import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiomqtt

from contracts.clock import SystemClock
from contracts.market import OrderMessage, Side
from contracts.topics import Broadcast, Down, Up, broadcast_topic, site_topic
from contracts.units import DeliveryInterval
from tests.support.brokers.broker import free_port
from tests.support.cloud.process import Process, started
from tests.support.cloud.sites import ZONE, order, write_config

AGENTS: Final = 100
ROUNDS: Final = 20
# Between two rounds: agents act on what they were told, not at the instant at which they are told.
PAUSE_S: Final = 0.2
RUN_S: Final = 20.0
TRADES_PER_DAY: Final = 1_000_000
QUANTITY_WH: Final = 10
PRICE: Final = 20_000
SEED_MS: Final = 100.0
ANSWER_TIMEOUT_S: Final = 60.0
READY_TIMEOUT_S: Final = 60.0
# Continuous trading ends ten minutes before delivery; an interval that starts later than this stays open long enough.
AHEAD: Final = timedelta(minutes=40)


@dataclass
class Waiting:
    """Orders whose trade has not been told yet, by id, with when they were published; and how long the others took."""

    sent_s: dict[str, float] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self, payload: bytes) -> None:
        """Take a notice in."""
        now_s = time.perf_counter()
        for line in json.loads(payload).get("trades", ()):
            sent_s = self.sent_s.pop(line["order_id"], None)
            if sent_s is not None:
                self.latencies_ms.append((now_s - sent_s) * 1000)
        if not self.sent_s:
            self.settled.set()

    async def all_told(self) -> None:
        """Wait until every order has its trade.

        Raises:
            TimeoutError: One never traded.
        """
        self.settled.clear()
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while self.sent_s:
                await self.settled.wait()
                self.settled.clear()

    def taken(self) -> list[float]:
        """Return the latencies so far, in rising order, and begin anew."""
        found, self.latencies_ms = sorted(self.latencies_ms), []
        return found


class Agent(asyncio.Protocol):
    """One site's agent with its own connection; numbers its orders as a gateway does.

    It speaks just as much MQTT 3.1.1 as that takes (OASIS standard, chapter 3): a full client in this process would
    cost more than what is measured.
    """

    def __init__(self, site: str, side: Side, waiting: Waiting) -> None:
        self._site = site
        self._side = side
        self._waiting = waiting
        self._received = b""
        self._seq = 0
        self._transport: asyncio.Transport | None = None
        self.subscribed = asyncio.Event()

    def order(self, interval_start: datetime, at: datetime) -> OrderMessage:
        """Return this site's next order."""
        self._seq += 1
        return order(self._site, self._seq, interval_start, self._side, QUANTITY_WH, PRICE, at=at)

    def send(self, message: OrderMessage, payload: bytes) -> None:
        """Publish an order; its time runs from here."""
        self._waiting.sent_s[message.order_id] = time.perf_counter()
        topic = _text(site_topic(zone=ZONE, site=self._site, channel=Up.ORDERS))
        self._write(0x32, topic + self._seq.to_bytes(2, "big") + payload)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect and subscribe."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._write(0x10, _text("MQTT") + bytes([4, 2, 0, 0]) + _text(f"agent-{self._site}"))
        topic = site_topic(zone=ZONE, site=self._site, channel=Down.TRADES)
        self._write(0x82, b"\xff\xff" + _text(topic) + b"\x01")

    def data_received(self, data: bytes) -> None:
        """Take notices in and acknowledge them."""
        self._received += data
        while (packet := self._packet()) is not None:
            kind, body = packet
            if kind >> 4 == 3:
                begin = 2 + int.from_bytes(body[:2], "big")
                self._write(0x40, body[begin : begin + 2])
                self._waiting.told(body[begin + 2 :])
            elif kind >> 4 == 9:
                self.subscribed.set()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def _packet(self) -> tuple[int, bytes] | None:
        """Return the first whole packet's type and body, ``None`` while there is none."""
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self._received):
                return None
            byte = self._received[at]
            length, shift, at = length | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                break
        if len(self._received) < at + length:
            return None
        kind, body = self._received[0], self._received[at : at + length]
        self._received = self._received[at + length :]
        return kind, body

    def _write(self, kind: int, body: bytes) -> None:
        assert self._transport is not None
        length, digits = len(body), bytearray()
        while True:
            length, digit = divmod(length, 128)
            digits.append(digit | (0x80 if length else 0))
            if not length:
                break
        self._transport.write(bytes([kind, *digits]) + body)


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def run() -> dict[str, float]:
    """Measure latency with all agents at once, and both rates, and return the figures by name."""
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(_run(Path(name)))


async def _run(folder: Path) -> dict[str, float]:
    port = free_port()
    config = write_config(folder, port=port, homes=AGENTS - 2)
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(folder / "broker"), folder=folder)
    cloud = Process("cloud.local", "--config", str(config), folder=folder)
    waiting = Waiting()
    async with started(broker), contextlib.AsyncExitStack() as stack:
        sites = ["farm", "factory", *(f"home-{number}" for number in range(1, AGENTS - 1))]
        agents = [await _agent(site, number, port, waiting) for number, site in enumerate(sites)]
        for agent in agents:
            stack.callback(agent.close)
        await _settle_down(stack, cloud, port)
        assert cloud.process is not None
        pid = cloud.process.pid
        figures = await _at_once(agents, waiting)
        for factor, label in ((1, "1 M trades/day"), (10, "10 M trades/day")):
            per_s = factor * TRADES_PER_DAY / 86_400
            figures |= await _at_rate(agents, waiting, pid, trades_per_s=per_s, label=label)
    return {**figures, "prototype: order to trade, ms": SEED_MS}


async def _agent(site: str, number: int, port: int, waiting: Waiting) -> Agent:
    side = Side.BUY if number % 2 else Side.SELL
    loop = asyncio.get_running_loop()
    _, agent = await loop.create_connection(lambda: Agent(site, side, waiting), "127.0.0.1", port)
    async with asyncio.timeout(READY_TIMEOUT_S):
        await agent.subscribed.wait()
    return agent


async def _settle_down(stack: contextlib.AsyncExitStack, cloud: Process, port: int) -> None:
    """Start the cloud and wait for its first forecasts: what it does once at its start is not what is measured."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(broadcast_topic(zone=ZONE, channel=Broadcast.FORECAST), qos=1)
        await stack.enter_async_context(started(cloud))
        async with asyncio.timeout(READY_TIMEOUT_S):
            await anext(client.messages)


async def _at_once(agents: Sequence[Agent], waiting: Waiting) -> dict[str, float]:
    """Let all agents send one order at the same moment, again and again; the first round opens the market's books.

    The median of the slowest orders is what a burst costs; the p99 over all rounds is also what else the machine did.
    """
    rounds: list[list[float]] = []
    for _ in range(ROUNDS + 1):
        interval_start, at = _interval()
        orders = [agent.order(interval_start, at) for agent in agents]
        payloads = [message.encode() for message in orders]
        for agent, message, payload in zip(agents, orders, payloads, strict=True):
            agent.send(message, payload)
        await waiting.all_told()
        rounds.append(waiting.taken())
        await asyncio.sleep(PAUSE_S)
    found = sorted(latency_ms for one in rounds[1:] for latency_ms in one)
    slowest = sorted(one[-1] for one in rounds[1:])
    return {
        f"{AGENTS} at once: orders": float(len(found)),
        f"{AGENTS} at once: order to trade p50, ms": _quantile(found, 0.5),
        f"{AGENTS} at once: order to trade p99, ms": _quantile(found, 0.99),
        f"{AGENTS} at once: slowest order of the median round, ms": _quantile(slowest, 0.5),
    }


async def _at_rate(
    agents: Sequence[Agent], waiting: Waiting, pid: int, *, trades_per_s: float, label: str
) -> dict[str, float]:
    """Send pairs of orders at even distances, each by two agents of the draw."""
    draw = random.Random(7)
    sellers, buyers = agents[::2], agents[1::2]
    loop = asyncio.get_running_loop()
    cpu_s, begin_s, pairs = _cpu_s(pid), loop.time(), 0
    while (elapsed_s := loop.time() - begin_s) < RUN_S:
        while pairs < elapsed_s * trades_per_s:
            interval_start, at = _interval()
            for agent in (draw.choice(sellers), draw.choice(buyers)):
                message = agent.order(interval_start, at)
                agent.send(message, message.encode())
            pairs += 1
        await asyncio.sleep(min(0.002, 1 / trades_per_s))
    await waiting.all_told()
    elapsed_s = loop.time() - begin_s
    found = waiting.taken()
    # A seller waits for its buyer, who sends after it; the pair's latency is the buyer's or less.
    return {
        f"{label}: trades/s": pairs / elapsed_s,
        f"{label}: order to trade p50, ms": _quantile(found, 0.5),
        f"{label}: order to trade p99, ms": _quantile(found, 0.99),
        f"{label}: cloud's share of a core, %": 100 * (_cpu_s(pid) - cpu_s) / elapsed_s,
    }


def _interval() -> tuple[datetime, datetime]:
    """Return the start of an interval in continuous trading, and now."""
    now = SystemClock().now()
    return DeliveryInterval.containing(now + AHEAD).start, now


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process has used. Source: proc(5), fields 14 and 15 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
