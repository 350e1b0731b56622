"""The link to any MQTT broker, on aiomqtt: MQTT 5 or 3.1.1, plain, TLS, client certificate or WebSocket."""

import asyncio
import contextlib
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from contracts.units import SiteId
from edge.errors import ConfigError, LinkError
from edge.links.backoff import Backoff
from edge.links.link import Ack, Inbound, LinkState, LinkStatus, Presence
from edge.links.session import Session
from edge.links.settings import LinkSettings, Protocol

log = logging.getLogger(__name__)

TOPICS_PER_SUBSCRIBE = 8  # Source: AWS IoT Core quotas, subscriptions per SUBSCRIBE.
CONNECT_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 2.0
_WATCH_S = 1.0
_SESSION_TAKEN_OVER = 0x8E  # Source: MQTT 5.0, 2.4 Reason Code.
# A 3.1.1 broker gives no reason: so many connections in a row that it closed so soon mean another client has our id.
_SHORT_S = 5.0
_SHORT_CONNECTIONS = 3


class _Client(aiomqtt.Client):
    """aiomqtt's client with what it hides: the reason in a PUBACK, a publish without a task, the end as a future."""

    def __init__(self, *args: Any, arrived: Callable[[Inbound], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrived = arrived
        self._sent: dict[int, tuple[asyncio.Future[Ack], float]] = {}
        self._client.connect_timeout = CONNECT_TIMEOUT_S

    @property
    def ended(self) -> "asyncio.Future[None]":
        return self._disconnected

    def send(self, topic: str, payload: bytes, *, retain: bool) -> "asyncio.Future[Ack]":
        info = self._client.publish(topic, payload, 1, retain)
        if info.rc != 0 or self._disconnected.done():
            raise LinkError(f"{topic} was not sent: {aiomqtt.MqttCodeError(info.rc)}")
        answer: asyncio.Future[Ack] = self._loop.create_future()
        self._sent[info.mid] = (answer, self._loop.time())
        return answer

    def oldest_sent_s(self) -> float:
        """Return how long the oldest publish has waited for its PUBACK."""
        return self._loop.time() - next(iter(self._sent.values()))[1] if self._sent else 0.0

    def fail_sent(self, error: LinkError) -> None:
        for answer, _ in self._sent.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # Retrieved: nobody needs to wait for an answer that they no longer want.
        self._sent.clear()

    def _on_publish(
        self, client: PahoClient, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        answer, _ = self._sent.pop(mid, (None, 0.0))
        if answer and not answer.done():
            answer.set_result(Ack.REFUSED if reason_code.is_failure else Ack.ACCEPTED)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_message(self, client: PahoClient, userdata: Any, message: MQTTMessage) -> None:
        self._arrived(Inbound(topic=message.topic, payload=bytes(message.payload), retained=message.retain))


class MqttLink:
    """One session with a broker under the site's id; made idle, lives in ``run``."""

    def __init__(
        self,
        settings: LinkSettings,
        *,
        client_id: SiteId,
        presence: Presence | None = None,
        generator: random.Random | None = None,
    ) -> None:
        """Prepare a link.

        Args:
            settings: Where and how to connect.
            client_id: The site's id; a broker allows one connection per id.
            presence: What is announced, retained, when the link comes up and goes down.
            generator: Source of the jitter.
        """
        self._settings = settings
        self._client_id = client_id
        self._presence = presence
        self._backoff = Backoff(
            floor_s=settings.reconnect_s_min,
            cap_s=settings.reconnect_s_max,
            generator=generator or random.Random(),
        )
        self._session = Session()
        self._client: _Client | None = None
        self._topics_added = asyncio.Event()
        self._short_connections = 0

    async def run(self) -> None:
        """Stay connected until cancelled; then announce that we are gone and disconnect."""
        while True:
            try:
                await self._connect_once()
            except (aiomqtt.MqttError, LinkError, OSError) as error:
                self._lost(error)
            taken_over = self._session.state is LinkState.TAKEN_OVER
            await asyncio.sleep(self._backoff.taken_over_s() if taken_over else self._backoff.next_s())

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> "asyncio.Future[Ack]":
        """See ``Link.publish``."""
        if self._client is None or self._session.state is not LinkState.CONNECTED:
            raise LinkError(f"{topic} was not sent: the link is {self._session.state}")
        answer = self._client.send(topic, payload, retain=retain)
        self._session.published += 1
        return answer

    def subscribe(self, topics: Iterable[str]) -> None:
        """See ``Link.subscribe``."""
        if self._session.want(topics):
            self._topics_added.set()

    def messages(self) -> AsyncIterator[Inbound]:
        """See ``Link.messages``."""
        return self._session.messages()

    def status(self) -> LinkStatus:
        """See ``Link.status``."""
        return self._session.status()

    async def wait_for(self, state: LinkState) -> None:
        """See ``Link.wait_for``."""
        await self._session.wait_for(lambda present: present is state)

    async def wait_while(self, state: LinkState) -> None:
        """See ``Link.wait_while``."""
        await self._session.wait_for(lambda present: present is not state)

    async def _connect_once(self) -> None:
        """Connect, serve the connection until it ends, and raise why it ended."""
        client = _Client(**await asyncio.to_thread(self._arguments), arrived=self._session.arrived)
        connected_at: float | None = None
        loop = asyncio.get_running_loop()
        try:
            async with client:
                connected_at = loop.time()
                await self._serve(client)
        finally:
            self._client = None
            client.fail_sent(LinkError("the connection was lost before the broker answered"))
            self._judge(None if connected_at is None else loop.time() - connected_at)

    async def _serve(self, client: _Client) -> None:
        self._topics_added.clear()
        await self._subscribe_all(client)
        if self._presence:
            birth = self._presence.birth()
            await asyncio.wait_for(client.send(birth.topic, birth.payload, retain=True), self._settings.ack_timeout_s)
        self._client = client
        self._session.enter(LinkState.CONNECTED)
        log.info("link connected", extra={"broker": self._settings.host, "client_id": self._client_id})
        try:
            await self._watch(client)
        except asyncio.CancelledError:
            await self._say_goodbye(client)
            raise

    async def _watch(self, client: _Client) -> None:
        """Wait for the connection's end, subscribe what is added, and end it when the broker stops answering."""
        while not client.ended.done():
            added = asyncio.create_task(self._topics_added.wait(), name="topics added")
            waited_for: set[asyncio.Future[Any]] = {client.ended, added}
            try:
                await asyncio.wait(waited_for, timeout=_WATCH_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                added.cancel()
            if self._topics_added.is_set():
                self._topics_added.clear()
                await self._subscribe_all(client)
            waited_s = client.oldest_sent_s()
            if waited_s > self._settings.ack_timeout_s:
                raise LinkError(
                    f"no PUBACK for {waited_s:.0f} s, above {self._settings.ack_timeout_s:g} s; connection given up"
                )
        raise client.ended.exception() or LinkError("the broker closed the connection")

    async def _subscribe_all(self, client: _Client) -> None:
        """Subscribe what is wanted and not subscribed yet; a refused topic is noted and left."""
        session = self._session
        missing = [topic for topic in session.wanted if topic not in session.subscribed]
        for start in range(0, len(missing), TOPICS_PER_SUBSCRIBE):
            chunk = missing[start : start + TOPICS_PER_SUBSCRIBE]
            if self._settings.protocol is Protocol.V5:
                codes = await client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in chunk])
            else:
                codes = await client.subscribe([(topic, 1) for topic in chunk])
            for topic, code in zip(chunk, codes, strict=True):
                assert isinstance(code, ReasonCode)
                if code.is_failure:
                    session.refused[topic] = str(code)
                    log.error("subscription refused", extra={"topic": topic, "reason": str(code)})
                else:
                    session.refused.pop(topic, None)
                    session.subscribed.add(topic)

    async def _say_goodbye(self, client: _Client) -> None:
        """Announce that we are gone, because the broker forgets the will of a client that leaves in order."""
        if self._presence is None:
            return
        will = self._presence.will
        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await client.send(will.topic, will.payload, retain=True)

    def _lost(self, error: Exception) -> None:
        code = getattr(error, "rc", None)
        value = code.value if isinstance(code, ReasonCode) else None
        taken_over = value == _SESSION_TAKEN_OVER or self._short_connections >= _SHORT_CONNECTIONS
        self._session.enter(LinkState.TAKEN_OVER if taken_over else LinkState.DISCONNECTED, reason=str(error))
        if taken_over:
            log.error("another client uses our id", extra={"client_id": self._client_id, "reason": str(error)})
        else:
            log.warning("link lost", extra={"broker": self._settings.host, "reason": str(error)})

    def _judge(self, connected_s: float | None) -> None:
        """Note how long a connection lasted, ``None`` where there was none."""
        self._backoff.lasted(connected_s or 0.0)
        short = connected_s is not None and connected_s < _SHORT_S
        self._short_connections = self._short_connections + 1 if short else 0

    def _arguments(self) -> dict[str, Any]:
        """Return the client's arguments; reads the certificates, so it runs beside the loop."""
        settings = self._settings
        arguments: dict[str, Any] = {
            "hostname": settings.host,
            "port": settings.port,
            "identifier": self._client_id,
            "username": settings.username,
            "password": settings.password(),
            "keepalive": settings.keep_alive_s,
            "timeout": CONNECT_TIMEOUT_S,
            "max_inflight_messages": settings.in_flight_max,
            "socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            "tls_context": tls_context(settings) if settings.tls else None,
        }
        if self._presence:
            will = self._presence.will
            arguments["will"] = aiomqtt.Will(will.topic, will.payload, qos=1, retain=True)
        if settings.websocket_path is not None:
            arguments |= {"transport": "websockets", "websocket_path": settings.websocket_path}
        if settings.protocol is Protocol.V311:
            return arguments | {
                "protocol": aiomqtt.ProtocolVersion.V311,
                "clean_session": settings.session_expiry_s == 0,
            }
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.session_expiry_s
        return arguments | {
            "protocol": aiomqtt.ProtocolVersion.V5,
            "clean_start": settings.session_expiry_s == 0,
            "properties": properties,
        }


def tls_context(settings: LinkSettings) -> ssl.SSLContext:
    """Return the TLS context of a link.

    Raises:
        ConfigError: A file is missing or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert_file and settings.key_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (settings.ca_file, settings.cert_file, settings.key_file) if path)
        raise ConfigError(f"link certificates ({files}) cannot be used: {error}") from error
    if settings.alpn:
        context.set_alpn_protocols([settings.alpn])
    return context
