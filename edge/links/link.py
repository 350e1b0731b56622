"""What every link to a broker promises, whichever client library is below it.

A link keeps itself connected while ``run`` runs. A publish is one attempt on the present connection and tells when the
broker has taken it; repeating is the outbox's business. What is subscribed is subscribed again, and verified, on every
connection.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

# Inbound messages that wait for the site. A full queue refuses the newest: an old command is still in order.
INBOUND_MAX = 1000


class LinkState(StrEnum):
    """Whether the broker can be reached."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    TAKEN_OVER = "taken_over"


class Ack(StrEnum):
    """What the broker answered to a publish."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    # The broker takes no packet of this size: it was not sent.
    TOO_LARGE = "too_large"


@dataclass(frozen=True, kw_only=True)
class Inbound:
    """A message from the broker."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A retained message by which others know whether this client is online."""

    topic: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Presence:
    """What a client announces: on every connection, and, by the broker's hand or its own, when it is gone."""

    birth: Callable[[], Announcement]
    will: Announcement


@dataclass(frozen=True, kw_only=True)
class LinkStatus:
    """The link's state and counters since it was made; ``refused`` names topics and the broker's reason."""

    state: LinkState
    connects: int
    takeovers: int
    published: int
    received: int
    inbound_dropped: int
    subscribed: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    last_error: str | None = None


class Link(Protocol):
    """A session with a broker."""

    async def run(self) -> None:
        """Connect, and reconnect with jittered pauses, until cancelled; then say goodbye."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[Ack]:
        """Send at QoS 1 and return what tells the broker's answer.

        The future raises ``LinkError`` when the connection is lost first. Messages of one connection arrive in the
        order in which they are published.

        Raises:
            LinkError: There is no connection; nothing was sent.
        """

    def subscribe(self, topics: Iterable[str]) -> None:
        """Want topics at QoS 1, now and on every connection to come."""

    def messages(self) -> AsyncIterator[Inbound]:
        """Return what arrives, over reconnects, without end. One reader."""

    def status(self) -> LinkStatus:
        """Return the link's state and counters."""

    async def wait_for(self, state: LinkState) -> None:
        """Wait until the link is in a state."""

    async def wait_while(self, state: LinkState) -> None:
        """Wait until the link is no longer in a state."""
