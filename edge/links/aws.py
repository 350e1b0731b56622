"""The link to AWS IoT Core, on awsiotsdk: MQTT 5 with a client certificate, up-channels by Basic Ingest.

The SDK's client runs on threads of its own; whatever it calls back only hands over to the event loop. Its own
reconnecting is not used: each connection is a client that ends with it.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from typing import Any

from awscrt import io, mqtt5

from contracts.topics import Up, parse
from contracts.units import SiteId
from edge.errors import LinkEndedByBroker, LinkError, LinkTakenOver
from edge.links.aws_client import make_client
from edge.links.link import Ack, Inbound, Presence
from edge.links.managed import CONNECT_TIMEOUT_S, GOODBYE_TIMEOUT_S, Arrived, ManagedLink
from edge.links.settings import LinkSettings

_FAILURE_MIN = 0x80  # Reason codes from here on are failures. Source: MQTT 5.0, 2.4 Reason Code.
_NEVER_MS = 3_600_000  # The client would reconnect by itself; it is stopped long before.


class AwsLink(ManagedLink):
    """A link on awsiotsdk."""

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
) -> AsyncIterator["AwsConnection"]:
    """Open a connection for the block, and leave in order.

    Raises:
        LinkError: The broker cannot be reached, refuses us, or ended the connection.
        ConfigError: A certificate or key is missing or unusable.
    """
    connection = AwsConnection(settings, arrived)
    try:
        await connection.open(client_id, presence)
        yield connection
    finally:
        await connection.close()


class AwsConnection:
    """A connection on awsiotsdk."""

    def __init__(self, settings: LinkSettings, arrived: Arrived) -> None:
        self._settings = settings
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._sent: dict[asyncio.Future[Ack], float] = {}
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._client: mqtt5.Client | None = None

    @property
    def ended(self) -> "asyncio.Future[None]":
        """See ``Connection.ended``."""
        return self._ended

    async def open(self, client_id: SiteId, presence: Presence | None) -> None:
        """Connect. Raises ``LinkError`` or ``ConfigError`` when that fails."""
        client = await asyncio.to_thread(self._build, client_id, presence)
        self._client = client
        client.start()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.shield(self._opened)
        except TimeoutError as error:
            raise LinkError(f"{self._settings.host} did not answer within {CONNECT_TIMEOUT_S:g} s") from error

    async def close(self) -> None:
        """Disconnect, wait for the client's threads to let go, and fail what is not answered."""
        if self._client is not None:
            self._client.stop(mqtt5.DisconnectPacket())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                    await self._stopped
            self._client = None
        error = LinkError("the connection was lost before the broker answered")
        unanswered: list[asyncio.Future[Any]] = [*self._sent, self._opened, self._ended]
        for answer in unanswered:
            if not answer.done():
                answer.set_exception(error)
            if not answer.cancelled():
                answer.exception()  # Marked as seen: nobody needs to wait for an answer they no longer want.
        self._sent.clear()

    def send(self, topic: str, payload: bytes, *, retain: bool) -> "asyncio.Future[Ack]":
        """See ``Connection.send``."""
        if self._client is None or self._ended.done():
            raise LinkError(f"{topic} was not sent: the connection is gone")
        packet = mqtt5.PublishPacket(
            topic=ingest_topic(topic, rules_prefix=self._settings.rules_prefix),
            payload=payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=retain,
        )
        answer: asyncio.Future[Ack] = self._loop.create_future()
        self._sent[answer] = self._loop.time()
        sent: ThreadFuture[mqtt5.PublishCompletionData] = self._client.publish(packet)
        sent.add_done_callback(lambda done: self._on_loop(self._answered, done, answer))
        return answer

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str | None]:
        """See ``Connection.subscribe``."""
        if self._client is None:
            raise LinkError("the connection is gone")
        wanted = [mqtt5.Subscription(topic_filter=topic, qos=mqtt5.QoS.AT_LEAST_ONCE) for topic in topics]
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                suback = await asyncio.wrap_future(self._client.subscribe(mqtt5.SubscribePacket(subscriptions=wanted)))
        except TimeoutError as error:
            raise LinkError(f"no SUBACK within {CONNECT_TIMEOUT_S:g} s") from error
        except Exception as error:  # The SDK raises what its native part names; all of it is the connection's.
            raise LinkError(f"not subscribed: {error}") from error
        return {
            topic: code.name if code >= _FAILURE_MIN else None
            for topic, code in zip(topics, suback.reason_codes, strict=True)
        }

    def oldest_sent_s(self) -> float:
        """See ``Connection.oldest_sent_s``."""
        return self._loop.time() - next(iter(self._sent.values())) if self._sent else 0.0

    def _answered(self, done: "ThreadFuture[mqtt5.PublishCompletionData]", answer: "asyncio.Future[Ack]") -> None:
        self._sent.pop(answer, None)
        if answer.done():
            return
        if done.cancelled() or done.exception() is not None:
            answer.set_exception(
                LinkError(f"not acknowledged: {done.exception() if not done.cancelled() else 'stopped'}")
            )
            answer.exception()
            return
        refused = done.result().puback.reason_code >= _FAILURE_MIN
        answer.set_result(Ack.REFUSED if refused else Ack.ACCEPTED)

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        """Go on in the event loop; a loop that is closed by now has nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _build(self, client_id: SiteId, presence: Presence | None) -> mqtt5.Client:
        settings = self._settings
        flow_control = mqtt5.ExtendedValidationAndFlowControlOptions
        will = None
        if presence:
            will = mqtt5.PublishPacket(
                topic=presence.will.topic, payload=presence.will.payload, qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True
            )
        rejoin = mqtt5.ClientSessionBehaviorType
        return make_client(
            settings,
            connect=mqtt5.ConnectPacket(
                client_id=client_id,
                will=will,
                keep_alive_interval_sec=settings.keep_alive_s,
                session_expiry_interval_sec=settings.session_expiry_s,
            ),
            session_behavior=rejoin.REJOIN_ALWAYS if settings.session_expiry_s else rejoin.CLEAN,
            extended_validation_and_flow_control_options=(
                flow_control.AWS_IOT_CORE_DEFAULTS if settings.throttle else flow_control.NONE
            ),
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            # Ours decides, and gives the whole connection up; the SDK's would only fail the one publish.
            ack_timeout_sec=2 * math.ceil(settings.ack_timeout_s) + 10,
            connack_timeout_ms=int(CONNECT_TIMEOUT_S * 1000),
            socket_options=_socket_options(),
            min_reconnect_delay_ms=_NEVER_MS,
            max_reconnect_delay_ms=_NEVER_MS,
            on_publish_callback_fn=lambda data: self._on_loop(self._received, data.publish_packet),
            on_lifecycle_event_connection_success_fn=lambda data: self._on_loop(self._connected),
            on_lifecycle_event_connection_failure_fn=lambda data: self._on_loop(self._failed, data),
            on_lifecycle_event_disconnection_fn=lambda data: self._on_loop(self._disconnected, data),
            on_lifecycle_event_stopped_fn=lambda data: self._on_loop(self._note_stopped),
        )

    def _received(self, packet: mqtt5.PublishPacket) -> None:
        self._arrived(Inbound(topic=packet.topic, payload=bytes(packet.payload or b""), retained=bool(packet.retain)))

    def _connected(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _failed(self, data: mqtt5.LifecycleConnectFailureData) -> None:
        if not self._opened.done():
            reason = data.connack_packet.reason_code.name if data.connack_packet else data.exception
            self._opened.set_exception(LinkError(f"{self._settings.host} was not reached: {reason}"))

    def _disconnected(self, data: mqtt5.LifecycleDisconnectData) -> None:
        if self._ended.done():
            return
        packet = data.disconnect_packet
        if packet and packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
            self._ended.set_exception(LinkTakenOver("another client connected under our id"))
            return
        if packet:
            self._ended.set_exception(LinkEndedByBroker(f"the connection ended: {packet.reason_code.name}"))
            return
        self._ended.set_exception(LinkError(f"the connection ended: {data.exception}"))

    def _note_stopped(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)


def ingest_topic(topic: str, *, rules_prefix: str | None) -> str:
    """Return the topic by which a message reaches its rule without the broker's charge.

    Up-channels but ``status`` go to ``$aws/rules/<prefix><channel>/<topic>``; nobody can subscribe there. Source: AWS
    IoT Core developer guide, Basic Ingest.
    """
    if rules_prefix is None:
        return topic
    parsed = parse(topic)
    if parsed is None or not isinstance(parsed.channel, Up) or parsed.channel is Up.STATUS:
        return topic
    return f"$aws/rules/{rules_prefix}{parsed.channel}/{topic}"


def _socket_options() -> io.SocketOptions:
    options = io.SocketOptions()
    options.connect_timeout_ms = int(CONNECT_TIMEOUT_S * 1000)
    return options
