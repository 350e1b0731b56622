"""The link to any MQTT broker, on aiomqtt: MQTT 5 or 3.1.1, plain, TLS, client certificate or WebSocket."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from contracts.reasons import reason_of
from contracts.units import SiteId
from edge.errors import ConfigError, LinkEndedByBroker, LinkError, LinkTakenOver
from edge.links.flow import IN_FLIGHT_MAX
from edge.links.link import Ack, Inbound, Presence
from edge.links.managed import CONNECT_TIMEOUT_S, Arrived, ManagedLink
from edge.links.settings import LinkSettings, Protocol

# Header, lengths, identifier and properties of a PUBLISH, at most. Source: MQTT 5.0, 3.3.
_PUBLISH_BYTES = 16
_SESSION_TAKEN_OVER = 0x8E  # Source: MQTT 5.0, 2.4 Reason Code.


class MqttLink(ManagedLink):
    """A link on aiomqtt."""

    def __init__(
        self,
        settings: LinkSettings,
        *,
        client_id: SiteId,
        presence: Presence | None = None,
        generator: random.Random | None = None,
    ) -> None:
        """Prepare a link; see ``ManagedLink``."""
        super().__init__(settings, client_id=client_id, connect=connect, presence=presence, generator=generator)


@contextlib.asynccontextmanager
async def connect(
    settings: LinkSettings, client_id: SiteId, presence: Presence | None, arrived: Arrived
) -> AsyncIterator["MqttConnection"]:
    """Open a connection for the block, and leave in order.

    Raises:
        LinkError: The broker cannot be reached, refuses us, or ended the connection.
        ConfigError: A certificate, key or password is missing or unusable.
    """
    arguments = await asyncio.to_thread(_arguments, settings, client_id, presence)
    client = _Client(**arguments, arrived=arrived)
    connection = MqttConnection(client, settings)
    try:
        async with client:
            yield connection
    except aiomqtt.MqttError as error:
        raise _link_error(error, told=client.told_why) from error
    finally:
        client.abandon()


class _Client(aiomqtt.Client):
    """aiomqtt's client with what it hides: the reason in a PUBACK, a publish without a task, the end as a future."""

    def __init__(self, *args: Any, arrived: Arrived, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrived = arrived
        self._tls = kwargs.get("tls_context") is not None
        self._sent: dict[int, tuple[asyncio.Future[Ack], float]] = {}
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._packet_bytes_max: int | None = None
        # Whether the broker ended the connection by a DISCONNECT, which carries its reason.
        self.told_why = False

    @property
    def ended(self) -> "asyncio.Future[None]":
        return self._disconnected

    def send(self, topic: str, payload: bytes, *, retain: bool) -> "asyncio.Future[Ack]":
        size_bytes = len(topic.encode()) + len(payload) + _PUBLISH_BYTES
        if self._packet_bytes_max is not None and size_bytes > self._packet_bytes_max:
            refused: asyncio.Future[Ack] = self._loop.create_future()
            refused.set_result(Ack.TOO_LARGE)
            return refused
        info = self._client.publish(topic, payload, 1, retain)
        if info.rc != 0 or self._disconnected.done():
            raise LinkError(f"{topic} was not sent: {aiomqtt.MqttCodeError(info.rc)}")
        answer: asyncio.Future[Ack] = self._loop.create_future()
        self._sent[info.mid] = (answer, self._loop.time())
        return answer

    def oldest_sent_s(self) -> float:
        return self._loop.time() - next(iter(self._sent.values()))[1] if self._sent else 0.0

    def _on_socket_register_write(self, client: PahoClient, userdata: object, sock: Any) -> None:
        """Wait for the socket to take bytes, unless it is closed by the time the event loop comes to it.

        aiomqtt registers the number of the socket; after a close that is nobody's, or another connection's.
        """
        self._loop.call_soon_threadsafe(self._wait_to_write, client, sock)

    def _wait_to_write(self, client: PahoClient, sock: Any) -> None:
        number = sock.fileno()
        if number >= 0 and client.socket() is sock:
            self._loop.add_writer(number, self._write, client)

    def _write(self, client: PahoClient) -> None:
        try:
            client.loop_write()
        except Exception as error:  # As aiomqtt does: the connection below is broken, whatever it says.
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def abandon(self) -> None:
        """Let go of the socket, which both libraries leave open after some errors, and fail what is not answered."""
        self._client._sock_close()
        error = LinkError("the connection was lost before the broker answered")
        for answer, _ in self._sent.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # Marked as seen: nobody needs to wait for an answer they no longer want.
        self._sent.clear()

    def _on_connect(
        self,
        client: PahoClient,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        """Keep to what the broker bounds: unacknowledged publishes and the size of a packet; beyond, it ends us."""
        unacknowledged = getattr(properties, "ReceiveMaximum", None) or IN_FLIGHT_MAX
        # paho's own setter refuses once the socket is open, which is before the broker has said its bound.
        client._max_inflight_messages = min(IN_FLIGHT_MAX, unacknowledged)
        self._packet_bytes_max = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: PahoClient, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        answer, _ = self._sent.pop(mid, (None, 0.0))
        if answer and not answer.done():
            answer.set_result(Ack.REFUSED if reason_code.is_failure else Ack.ACCEPTED)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(
        self,
        client: PahoClient,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():
            reason = "the broker closed the connection before it answered"
            hint = "; with TLS that often means that it does not accept our certificate" if self._tls else ""
            self._connected.set_exception(aiomqtt.MqttError(reason + hint))
            return
        self.told_why = bool(getattr(flags, "is_disconnect_packet_from_server", False))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: PahoClient, userdata: Any, message: MQTTMessage) -> None:
        self._arrived(Inbound(topic=message.topic, payload=bytes(message.payload), retained=message.retain))


class MqttConnection:
    """A connection on aiomqtt."""

    def __init__(self, client: _Client, settings: LinkSettings) -> None:
        self._client = client
        self._settings = settings

    @property
    def ended(self) -> "asyncio.Future[None]":
        """See ``Connection.ended``."""
        return self._client.ended

    def send(self, topic: str, payload: bytes, *, retain: bool) -> "asyncio.Future[Ack]":
        """See ``Connection.send``. A 3.1.1 broker cannot refuse a publish, it drops it silently."""
        return self._client.send(topic, payload, retain=retain)

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str | None]:
        """See ``Connection.subscribe``."""
        if self._settings.protocol is Protocol.V5:
            codes = await self._client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in topics])
        else:
            codes = await self._client.subscribe([(topic, 1) for topic in topics])
        refusals: dict[str, str | None] = {}
        for topic, code in zip(topics, codes, strict=True):
            assert isinstance(code, ReasonCode)
            refusals[topic] = str(code) if code.is_failure else None
        return refusals

    def oldest_sent_s(self) -> float:
        """See ``Connection.oldest_sent_s``."""
        return self._client.oldest_sent_s()


def _link_error(error: aiomqtt.MqttError, *, told: bool) -> LinkError:
    code = getattr(error, "rc", None)
    if isinstance(code, ReasonCode) and code.value == _SESSION_TAKEN_OVER:
        return LinkTakenOver(str(error))
    return LinkEndedByBroker(str(error)) if told else LinkError(str(error))


def _arguments(settings: LinkSettings, client_id: SiteId, presence: Presence | None) -> dict[str, Any]:
    """Return the client's arguments; reads certificates and password, so it runs beside the loop."""
    arguments: dict[str, Any] = {
        "hostname": settings.host,
        "port": settings.port,
        "identifier": client_id,
        "username": settings.username,
        "password": settings.password(),
        "keepalive": settings.keep_alive_s,
        "timeout": CONNECT_TIMEOUT_S,
        "max_inflight_messages": IN_FLIGHT_MAX,
        # Without it every request and answer waits some 40 ms for Nagle and a delayed ACK.
        "socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        "tls_context": tls_context(settings) if settings.tls else None,
    }
    if presence:
        arguments["will"] = aiomqtt.Will(presence.will.topic, presence.will.payload, qos=1, retain=True)
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


class _ClosedWhenRefused(ssl.SSLSocket):
    """A socket that does not stay open after a handshake that failed: the library lets go of it as it is."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException:
            self.close()
            raise


def tls_context(settings: LinkSettings) -> ssl.SSLContext:
    """Return the TLS context of a link.

    Raises:
        ConfigError: A file is missing or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.sslsocket_class = _ClosedWhenRefused
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert_file and settings.key_file:
            # Without a password of its own OpenSSL asks for that of an encrypted key on the terminal, and waits.
            context.load_cert_chain(settings.cert_file, settings.key_file, password=b"")
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (settings.ca_file, settings.cert_file, settings.key_file) if path)
        raise ConfigError(f"link certificates ({files}) cannot be used: {reason_of(error)}") from error
    if settings.alpn_asked is not None:
        context.set_alpn_protocols([settings.alpn_asked])
    return context
