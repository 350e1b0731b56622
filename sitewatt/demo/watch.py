"""What a neighbourhood says on its broker, gathered for the live view and the latency figures.

A listener like any other: it subscribes to everything and decides nothing.
"""

import socket
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiomqtt

from cloud.local.session import keep_session
from contracts.clock import Clock
from contracts.control import AckStage, Command, CommandAck
from contracts.forecast import ForecastBroadcast
from contracts.grid import GridBroadcast
from contracts.market import MarketBroadcast, OrderMessage, OrderStatus, TradesMessage
from contracts.metering import MeterReading
from contracts.receipt import Receipt
from contracts.telemetry import EventMessage, StatusMessage, TelemetryMessage, samples_of
from contracts.topics import ROOT, Broadcast, Down, Topic, Up, parse
from contracts.units import Quality
from contracts.wire import Message, WireError
from edge.commands.evidence_chain import PHRASE

RECONNECT_S = 1.0
NEWS_MAX = 12
_POWER_POINTS = ("active_power_w", "battery_power_w", "pv_power_w", "soc_pct")

UP_MESSAGES: dict[Up, type[Message]] = {
    Up.TELEMETRY: TelemetryMessage,
    Up.METER: MeterReading,
    Up.ORDERS: OrderMessage,
    Up.ACKS: CommandAck,
    Up.EVENTS: EventMessage,
    Up.STATUS: StatusMessage,
}
_DOWN: dict[Down, type[Message]] = {
    Down.COMMANDS: Command,
    Down.TRADES: TradesMessage,
    Down.OUTLOOK: ForecastBroadcast,
    Down.RECEIPTS: Receipt,
}
_BROADCAST: dict[Broadcast, type[Message]] = {
    Broadcast.FORECAST: ForecastBroadcast,
    Broadcast.MARKET: MarketBroadcast,
    Broadcast.GRID: GridBroadcast,
}


@dataclass(kw_only=True)
class SiteView:
    """The last that one site said."""

    online: bool = False
    values: dict[str, float] = field(default_factory=dict)
    orders: int = 0
    traded_wh: int = 0
    command: str = ""
    settled_uct: dict[datetime, int] = field(default_factory=dict)  # By interval; positive is what the site owes.
    last_at: datetime | None = None


@dataclass(kw_only=True)
class Latency:
    """Milliseconds of machine time, in the order in which they were seen."""

    order_to_trade_ms: list[float] = field(default_factory=list)
    command_to_effect_ms: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class NeighbourhoodView:
    """Everything that was heard."""

    sites: dict[str, SiteView] = field(default_factory=dict)
    intervals: dict[datetime, MarketBroadcast] = field(default_factory=dict)
    grid: GridBroadcast | None = None
    forecast: ForecastBroadcast | None = None
    news: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=NEWS_MAX))
    messages: int = 0
    unreadable: int = 0
    connected: bool = False
    latency: Latency = field(default_factory=Latency)


class Watcher:
    """Listens to a broker and keeps the view."""

    def __init__(self, *, port: int, clock: Clock, gate_closure_s: int) -> None:
        self.view = NeighbourhoodView()
        self._port = port
        self._clock = clock
        self._gate_closure_s = gate_closure_s
        self._order_seen_s: dict[str, tuple[float, datetime]] = {}
        self._command_seen_s: dict[str, float] = {}

    async def run(self) -> None:
        """Listen until cancelled; a lost broker is waited for."""
        await keep_session(self._new_client, self._listen, ended=self._ended, pause_s=lambda: RECONNECT_S)

    def _new_client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1",
            self._port,
            protocol=aiomqtt.ProtocolVersion.V311,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    async def _listen(self, client: aiomqtt.Client) -> None:
        await client.subscribe(f"{ROOT}/#", qos=1)
        self.view.connected = True
        async for message in client.messages:
            if isinstance(message.payload, bytes | bytearray):
                self.hear(str(message.topic), bytes(message.payload))

    def _ended(self, _: aiomqtt.MqttError | None) -> None:
        self.view.connected = False

    def hear(self, name: str, payload: bytes) -> None:
        """Take one message into the view."""
        topic = parse(name)
        if topic is None or topic.channel is Down.RECEIPTS:
            return
        self.view.messages += 1
        try:
            message = _message_class(topic).decode(payload)
        except WireError:
            self.view.unreadable += 1
            return
        self._take(topic, message)

    def _take(self, topic: Topic, message: Message) -> None:
        if isinstance(message, MarketBroadcast):
            self.view.intervals[message.interval_start] = message
        elif isinstance(message, GridBroadcast):
            if self.view.grid is None or self.view.grid.state is not message.state:
                self._tell(f"feeder {message.state}" + (f" ({_kw(message.power_w)})" if message.power_w else ""))
            self.view.grid = message
        elif isinstance(message, ForecastBroadcast):
            if topic.site is None:
                self.view.forecast = message
        elif topic.site is not None:
            self._take_from_site(self.view.sites.setdefault(topic.site, SiteView()), topic.site, message)

    def _take_from_site(self, site: SiteView, name: str, message: Any) -> None:
        match message:
            case StatusMessage():
                if site.online and not message.online:
                    self._tell(f"{name} went offline")
                site.online = message.online
            case TelemetryMessage():
                _take_samples(site, message)
            case OrderMessage():
                site.orders += 1
                self._order_seen_s[message.order_id] = (time.monotonic(), message.interval_start)
            case TradesMessage():
                self._take_trades(site, message)
            case Command():
                self._command_seen_s.setdefault(message.command_id, time.monotonic())
                site.command = message.action.kind
            case CommandAck():
                self._take_ack(site, name, message)
            case EventMessage() if message.phrase != PHRASE:  # Proof is for the record: a piece for each meter reading.
                self._tell(f"{name}: {message.phrase}")
            case _:
                pass

    def _take_trades(self, site: SiteView, message: TradesMessage) -> None:
        site.traded_wh += sum(line.quantity_wh for line in message.trades)
        if (line := message.settlement) is not None:
            site.settled_uct[message.interval_start] = line.trades_uct + line.imbalance_uct + line.demand_response_uct
        heard_s = time.monotonic()
        for result in message.results:
            if result.status in {OrderStatus.ACCEPTED, OrderStatus.REJECTED}:
                continue
            seen = self._order_seen_s.pop(result.order_id, None)
            if seen is not None:
                # An auction answers at gate closure, so the wait for it is not the market's latency.
                gate_s = heard_s - self._since_gate_s(seen[1])
                self.view.latency.order_to_trade_ms.append((heard_s - max(seen[0], gate_s)) * 1000)

    def _since_gate_s(self, interval_start: datetime) -> float:
        """Return the machine's seconds since gate closure of an interval, zero before it."""
        until_start_s = (interval_start - self._clock.now()).total_seconds()
        return max(0.0, (self._gate_closure_s - until_start_s) / self._clock.speed)

    def _take_ack(self, site: SiteView, name: str, ack: CommandAck) -> None:
        if ack.stage is AckStage.EFFECTIVE:
            sent_s = self._command_seen_s.pop(ack.command_id, None)
            if sent_s is not None:
                self.view.latency.command_to_effect_ms.append((time.monotonic() - sent_s) * 1000)
        if ack.stage is AckStage.REJECTED:
            self._tell(f"{name} rejected a command: {ack.reason}")
        elif ack.stage in {AckStage.EFFECTIVE, AckStage.INEFFECTIVE}:
            self._tell(f"{name}: {site.command} {ack.stage} ({_kw(ack.measured_w)})")
        elif ack.stage in {AckStage.COMPLETED, AckStage.EXPIRED, AckStage.RELEASED}:
            site.command = ""

    def _tell(self, sentence: str) -> None:
        self.view.news.append((self._clock.now(), sentence))


def _message_class(topic: Topic) -> type[Message]:
    match topic.channel:
        case Up():
            return UP_MESSAGES[topic.channel]
        case Down():
            return _DOWN[topic.channel]
        case Broadcast():
            return _BROADCAST[topic.channel]


def _take_samples(site: SiteView, message: TelemetryMessage) -> None:
    for sample in samples_of(message):
        device, _, name = sample.point.rpartition("/")
        if name in _POWER_POINTS and sample.value is not None and sample.quality is Quality.GOOD:
            site.values[f"{device}/{name}"] = sample.value
            site.last_at = sample.at


def _kw(power_w: float | None) -> str:
    return "no measurement" if power_w is None else f"{power_w / 1000:.1f} kW"
