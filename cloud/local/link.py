"""The local cloud's connection to the broker: a persistent session, acknowledged by hand.

A message is acknowledged once the caller has it in a file, so the broker keeps what we have not, also while we are
away. Then its sender is told too, since a broker that is killed forgets what it keeps.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Final

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTT_ERR_SUCCESS
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.errors import PublishError
from cloud.local.config import BrokerSettings
from cloud.local.session import keep_session
from cloud.shell.publishing import EXPIRY_S_MAX, Outgoing
from contracts.topics import ROOT, Up

log = logging.getLogger(__name__)

RECONNECT_S_MIN: Final = 0.2  # Real seconds, full jitter between the two.
RECONNECT_S_MAX: Final = 5.0
ANSWER_TIMEOUT_S: Final = 5.0
TAKE_MAX: Final = 200
PUBLISH_INFLIGHT_MAX: Final = 200
SESSION_S: Final = 7 * 86_400

# Returns what to tell the senders once they are acknowledged.
Take = Callable[[Sequence[aiomqtt.Message]], Awaitable[Iterable[Outgoing]]]


@dataclass(kw_only=True)
class _Answers:
    """The messages of one call that the broker has not taken yet; ``lost`` once it never will in this session."""

    missing: set[int] = field(default_factory=set)
    lost: bool = False
    all: asyncio.Event = field(default_factory=asyncio.Event)


class BrokerLink:
    """Receives what sites publish and publishes what functions say."""

    def __init__(self, settings: BrokerSettings, take: Take | None) -> None:
        """Prepare, within a running loop; without ``take`` it only publishes, and the broker keeps nothing for it.

        Raises:
            SetupError: The password cannot be read.
        """
        self._settings = settings
        self._password = settings.password()
        self._take = take
        self._client: aiomqtt.Client | None = None
        self._connected = asyncio.Event()
        self._answers: dict[int, _Answers] = {}
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._attempts = 0

    @property
    def connected(self) -> asyncio.Event:
        """Return what is set while the session stands and all subscriptions are made."""
        return self._connected

    async def run(self) -> None:
        """Keep the session until cancelled; a lost broker is waited for."""
        await keep_session(self._new_client, self._serve, ended=self._ended, pause_s=self._pause_s)

    async def _serve(self, client: aiomqtt.Client) -> None:
        for channel in Up if self._take is not None else ():
            await client.subscribe(f"{ROOT}/+/+/{channel}", qos=1)
        self._client = client
        self._connected.set()
        self._attempts = 0
        log.info("broker connected", extra={"url": self._settings.url})
        await self._receive(client)

    def _ended(self, error: aiomqtt.MqttError | None) -> None:
        self._client = None
        self._connected.clear()
        for answered in self._answers.values():
            answered.lost = True
            answered.all.set()
        if error is not None:
            log.warning("broker lost", extra={"url": self._settings.url, "error": str(error)})

    def _pause_s(self) -> float:
        self._attempts += 1
        return random.uniform(RECONNECT_S_MIN, min(RECONNECT_S_MAX, 2**self._attempts * RECONNECT_S_MIN))

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the broker, in their order; for the threads of functions.

        Raises:
            PublishError: The broker did not take them in time, or we are closing.
        """
        if not messages:
            return
        if self._closing:
            raise PublishError(f"{len(messages)} messages not published: closing")
        future = asyncio.run_coroutine_threadsafe(self._publish(messages), self._loop)
        try:
            future.result(2 * ANSWER_TIMEOUT_S)
        except (FutureTimeoutError, TimeoutError, aiomqtt.MqttError, asyncio.CancelledError) as error:
            future.cancel()
            raise PublishError(f"{len(messages)} messages not taken by {self._settings.url}: {error!r}") from error

    def close(self) -> None:
        """Refuse whatever functions still want to publish."""
        self._closing = True

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await self._connected.wait()
            for start in range(0, len(messages), PUBLISH_INFLIGHT_MAX):
                await self._publish_part(messages[start : start + PUBLISH_INFLIGHT_MAX])

    async def _publish_part(self, messages: Sequence[Outgoing]) -> None:
        """Hand over messages and wait once for all their answers: a task for each would cost more than the sending."""
        client = self._client
        if client is None:
            raise aiomqtt.MqttError("broker lost")
        answered = _Answers()
        try:
            for message in messages:
                info = _paho(client).publish(
                    message.topic, message.payload, qos=1, retain=message.retain, properties=self._expiry(message)
                )
                if info.rc != MQTT_ERR_SUCCESS:
                    raise aiomqtt.MqttCodeError(info.rc, f"message to {message.topic} not published")
                answered.missing.add(info.mid)
                self._answers[info.mid] = answered
            if answered.missing:
                await answered.all.wait()
            if answered.lost:
                raise aiomqtt.MqttError("broker lost")
        finally:
            for mid in answered.missing:
                self._answers.pop(mid, None)

    def _answered(self, _client: object, _userdata: object, mid: int, *_: object) -> None:
        """Note that the broker has taken a message; called by the client from within the loop."""
        answered = self._answers.pop(mid, None)
        if answered is not None:
            answered.missing.discard(mid)
            if not answered.missing:
                answered.all.set()

    async def _receive(self, client: aiomqtt.Client) -> None:
        paho = _paho(client)
        async for message in client.messages:
            assert self._take is not None, "who subscribes to nothing hears nothing"
            batch = [message, *_waiting(client, TAKE_MAX - 1)]
            receipts = await self._take(batch)
            for taken in batch:
                if taken.qos:
                    paho.ack(taken.mid, taken.qos)
            for receipt in receipts:
                # One that is lost costs a repetition: the site sends again what it has no receipt for.
                paho.publish(receipt.topic, receipt.payload, qos=0)

    def _new_client(self) -> aiomqtt.Client:
        five = self._settings.protocol == "5"
        kept = self._take is not None
        session = None
        if five and kept:
            session = _properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = SESSION_S
        client = aiomqtt.Client(
            self._settings.host,
            self._settings.port,
            identifier=self._settings.client_id,
            username=self._settings.username if self._password is not None else None,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else not kept,
            clean_start=not kept if five else MQTT_CLEAN_START_FIRST_ONLY,
            properties=session,
            timeout=ANSWER_TIMEOUT_S,
            keepalive=self._settings.keepalive_s,
            max_inflight_messages=PUBLISH_INFLIGHT_MAX,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        _paho(client).manual_ack_set(True)
        _paho(client).on_publish = self._answered
        return client

    def _expiry(self, message: Outgoing) -> Properties | None:
        if self._settings.protocol != "5" or message.retain:
            return None
        properties = _properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = EXPIRY_S_MAX if message.expiry_s is None else max(1, message.expiry_s)
        return properties


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _paho(client: aiomqtt.Client) -> PahoClient:
    """Return the client below: aiomqtt has no door of its own to acknowledging by hand."""
    return client._client


def _waiting(client: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    """Return what has been received already: its own iterator takes a task a message, half of the cost of a burst."""
    queue = client._queue
    return [queue.get_nowait() for _ in range(min(count, queue.qsize()))]


async def until_connected(link: BrokerLink, *, timeout_s: float) -> bool:
    """Wait for the first session; return whether it came in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await link.connected.wait()
    return link.connected.is_set()
