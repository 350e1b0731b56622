"""Keeps a connection: connects, subscribes, watches, pauses, connects again; the same for every client library."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from contracts.reasons import reason_of
from contracts.units import SiteId
from edge.errors import ConfigError, LinkEndedByBroker, LinkError, LinkTakenOver
from edge.links.backoff import Backoff
from edge.links.certificates import ended
from edge.links.link import Ack, Inbound, LinkState, LinkStatus, Presence
from edge.links.session import Session
from edge.links.settings import LinkSettings

log = logging.getLogger(__name__)

TOPICS_PER_SUBSCRIBE = 8  # Source: AWS IoT Core quotas, subscriptions per SUBSCRIBE request.
CONNECT_TIMEOUT_S = 10.0
GOODBYE_TIMEOUT_S = 2.0
_WATCH_S = 1.0
# A broker that gives no reason (MQTT 3.1.1): so many connections in a row that it closed so soon mean that another
# client has our id.
_SHORT_S = 5.0
_SHORT_CONNECTIONS = 3


class Connection(Protocol):
    """One connection, open."""

    @property
    def ended(self) -> "asyncio.Future[None]":
        """Return what is done when the connection is gone, with the reason as its exception where there is one."""

    def send(self, topic: str, payload: bytes, *, retain: bool) -> "asyncio.Future[Ack]":
        """Publish at QoS 1. Raises ``LinkError`` when it cannot; fails so when the connection ends first."""

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str | None]:
        """Subscribe at QoS 1 and return each topic's refusal, ``None`` where it was granted."""

    def oldest_sent_s(self) -> float:
        """Return how long the oldest publish has waited for its answer; real seconds."""


Arrived = Callable[[Inbound], None]
Connect = Callable[[LinkSettings, SiteId, Presence | None, Arrived], AbstractAsyncContextManager[Connection]]


class ManagedLink:
    """The ``Link`` over one kind of connection; made idle, lives in ``run``."""

    def __init__(
        self,
        settings: LinkSettings,
        *,
        client_id: SiteId,
        connect: Connect,
        presence: Presence | None = None,
        generator: random.Random | None = None,
    ) -> None:
        """Prepare a link.

        Args:
            settings: Where and how to connect.
            client_id: The site's id; a broker allows one connection per id.
            connect: Opens a connection; raises ``LinkError`` or ``OSError`` when it cannot.
            presence: What is announced, retained, when the link comes up and goes down.
            generator: Source of the jitter.
        """
        self._settings = settings
        self._client_id = client_id
        self._connect = connect
        self._presence = presence
        self._backoff = Backoff(
            floor_s=settings.reconnect_s_min,
            cap_s=settings.reconnect_s_max,
            generator=generator or random.Random(),
        )
        self._session = Session()
        self._connection: Connection | None = None
        self._topics_added = asyncio.Event()
        self._short_connections = 0

    async def run(self) -> None:
        """See ``Link.run``. A file that cannot be read now (it may be being renewed) is waited for, and said."""
        while True:
            try:
                await self._connect_once()
            except (LinkError, ConfigError, OSError) as error:
                self._lost(error)
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # The goodbye failed while we were being stopped; going on would never end.
                    raise asyncio.CancelledError from error
            taken_over = self._session.state is LinkState.TAKEN_OVER
            await asyncio.sleep(self._backoff.taken_over_s() if taken_over else self._backoff.next_s())

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> "asyncio.Future[Ack]":
        """See ``Link.publish``."""
        if self._connection is None:
            raise LinkError(f"{topic} was not sent: the link is {self._session.state}")
        answer = self._connection.send(topic, payload, retain=retain)
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
        connected_at: float | None = None
        loop = asyncio.get_running_loop()
        try:
            async with self._connect(
                self._settings, self._client_id, self._presence, self._session.arrived
            ) as connection:
                connected_at = loop.time()
                await self._serve(connection)
        finally:
            self._connection = None
            self._judge(None if connected_at is None else loop.time() - connected_at)

    async def _serve(self, connection: Connection) -> None:
        self._topics_added.clear()
        await self._subscribe_missing(connection)
        if self._presence:
            birth = self._presence.birth()
            async with asyncio.timeout(self._settings.ack_timeout_s):
                await connection.send(birth.topic, birth.payload, retain=True)
        self._connection = connection
        self._session.enter(LinkState.CONNECTED)
        log.info("link connected", extra={"broker": self._settings.host, "client_id": self._client_id})
        try:
            await self._watch(connection)
        except asyncio.CancelledError:
            await self._say_goodbye(connection)
            raise

    async def _watch(self, connection: Connection) -> None:
        """Wait for the connection's end, subscribe what is added, and end it when the broker stops answering."""
        task = asyncio.current_task()
        while not connection.ended.done():
            if task is not None and task.cancelling():
                # What was awaited before may have swallowed it, as ``asyncio.wait_for`` does before Python 3.12.
                raise asyncio.CancelledError
            added = asyncio.create_task(self._topics_added.wait(), name="topics added")
            waited_for: set[asyncio.Future[Any]] = {connection.ended, added}
            try:
                await asyncio.wait(waited_for, timeout=_WATCH_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                added.cancel()
            if self._topics_added.is_set():
                self._topics_added.clear()
                await self._subscribe_missing(connection)
            waited_s, bound_s = connection.oldest_sent_s(), self._settings.ack_timeout_s
            if waited_s > bound_s:
                raise LinkError(f"no PUBACK for {waited_s:.0f} s, above {bound_s:g} s; connection given up")
        raise connection.ended.exception() or LinkError("the broker closed the connection")

    async def _subscribe_missing(self, connection: Connection) -> None:
        """Subscribe what is wanted and not subscribed yet; a refused topic is noted and left."""
        session = self._session
        missing = [topic for topic in session.wanted if topic not in session.subscribed]
        for start in range(0, len(missing), TOPICS_PER_SUBSCRIBE):
            answers = await connection.subscribe(missing[start : start + TOPICS_PER_SUBSCRIBE])
            for topic, refusal in answers.items():
                if refusal is None:
                    session.refused.pop(topic, None)
                    session.subscribed.add(topic)
                else:
                    session.refused[topic] = refusal
                    log.error("subscription refused", extra={"topic": topic, "reason": refusal})

    async def _say_goodbye(self, connection: Connection) -> None:
        """Announce that we are gone, because a broker forgets the will of a client that leaves in order."""
        self._connection = None
        self._session.enter(LinkState.DISCONNECTED, reason="stopped")
        if self._presence is None:
            return
        will = self._presence.will
        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await connection.send(will.topic, will.payload, retain=True)

    def _lost(self, error: Exception) -> None:
        # A broker that says why it ended a connection is believed; one that just closes it leaves us to guess.
        told = isinstance(error, LinkEndedByBroker)
        guessed = not told and self._short_connections >= _SHORT_CONNECTIONS
        taken_over = isinstance(error, LinkTakenOver) or guessed
        why = ended(self._settings.cert_file)
        reason = reason_of(error) if why is None else f"{reason_of(error)}; our certificate {why}"
        self._session.enter(LinkState.TAKEN_OVER if taken_over else LinkState.DISCONNECTED, reason=reason)
        if taken_over:
            log.error("another client uses our id", extra={"client_id": self._client_id, "reason": reason})
        elif isinstance(error, ConfigError):
            log.error("link waits", extra={"broker": self._settings.host, "reason": reason})
        else:
            log.warning("link lost", extra={"broker": self._settings.host, "reason": reason})

    def _judge(self, connected_s: float | None) -> None:
        """Note how long a connection lasted, ``None`` where there was none."""
        self._backoff.lasted(connected_s or 0.0)
        short = connected_s is not None and connected_s < _SHORT_S
        self._short_connections = self._short_connections + 1 if short else 0
