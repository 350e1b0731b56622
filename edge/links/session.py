"""What the links share: the state that others watch, the inbound queue, the counters."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from edge.links.link import INBOUND_MAX, Inbound, LinkState, LinkStatus

StateListener = Callable[[LinkState], None]


class Session:
    """The part of a link that lives longer than any connection. Used from the event loop's thread only."""

    def __init__(self) -> None:
        self.wanted: dict[str, None] = {}
        self.subscribed: set[str] = set()
        self.refused: dict[str, str] = {}
        self.last_error: str | None = None
        self.published = 0
        self._state = LinkState.DISCONNECTED
        self._waiters: set[asyncio.Future[None]] = set()
        self._inbound: asyncio.Queue[Inbound] = asyncio.Queue(INBOUND_MAX)
        self._connects = self._takeovers = self._received = self._dropped = 0

    @property
    def state(self) -> LinkState:
        """Return the present state."""
        return self._state

    def enter(self, state: LinkState, *, reason: str | None = None) -> None:
        """Go to a state and wake whoever waits for it."""
        if reason is not None:
            self.last_error = reason
        if state is self._state:
            return
        self._state = state
        self._connects += state is LinkState.CONNECTED
        self._takeovers += state is LinkState.TAKEN_OVER
        if state is not LinkState.CONNECTED:
            self.subscribed.clear()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def want(self, topics: Iterable[str]) -> list[str]:
        """Note wanted topics and return those that are new."""
        new = [topic for topic in topics if topic not in self.wanted]
        self.wanted.update(dict.fromkeys(new))
        return new

    def arrived(self, message: Inbound) -> None:
        """Queue a message for the site; a full queue refuses it and counts."""
        self._received += 1
        try:
            self._inbound.put_nowait(message)
        except asyncio.QueueFull:
            self._dropped += 1

    async def messages(self) -> AsyncIterator[Inbound]:
        """Yield what arrives."""
        while True:
            yield await self._inbound.get()

    async def wait_for(self, wanted: Callable[[LinkState], bool]) -> None:
        """Wait until the state is one that is wanted."""
        while not wanted(self._state):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def status(self) -> LinkStatus:
        """Return state and counters."""
        return LinkStatus(
            state=self._state,
            connects=self._connects,
            takeovers=self._takeovers,
            published=self.published,
            received=self._received,
            inbound_dropped=self._dropped,
            subscribed=frozenset(self.subscribed),
            refused=dict(self.refused),
            last_error=self.last_error,
        )
