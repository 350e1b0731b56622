"""A link stops when it is told to, whatever its connection does, and stays up whatever is refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from edge.errors import LinkError
from edge.links.link import Ack, LinkState
from edge.links.managed import Arrived, ManagedLink
from edge.links.settings import LinkSettings


class _Connection:
    """Stays open and answers nothing."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, topic: str, payload: bytes, *, retain: bool) -> "asyncio.Future[Ack]":
        raise LinkError(f"{topic} is not sent here")

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str | None]:
        return dict.fromkeys(topics)

    def oldest_sent_s(self) -> float:
        return 0.0


@contextlib.asynccontextmanager
async def _fails_to_close(
    settings: LinkSettings, client_id: str, presence: object, arrived: Arrived
) -> AsyncIterator[_Connection]:
    try:
        yield _Connection()
    finally:
        raise LinkError("the goodbye failed")


async def test_a_goodbye_that_fails_does_not_undo_a_stop() -> None:
    """Otherwise the cancellation is lost, the link reconnects, and whoever waits for it waits for ever."""
    link = ManagedLink(LinkSettings(), client_id="home-1", connect=_fails_to_close)
    task = asyncio.create_task(link.run(), name="link")
    async with asyncio.timeout(5):
        await link.wait_for(LinkState.CONNECTED)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class _Refusing(_Connection):
    """Grants no topic of trades."""

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str | None]:
        return {topic: "Not authorized" if topic.endswith("trades") else None for topic in topics}


async def test_a_refused_subscription_leaves_the_link_up_and_is_told() -> None:
    """One wrong line of a policy must not cost the commands; without being told, nobody would find it."""

    @contextlib.asynccontextmanager
    async def refusing(*_: object) -> AsyncIterator[_Connection]:
        yield _Refusing()

    link = ManagedLink(LinkSettings(), client_id="home-1", connect=refusing)
    link.subscribe(["a/commands", "a/trades"])
    task = asyncio.create_task(link.run(), name="link")
    async with asyncio.timeout(5):
        await link.wait_for(LinkState.CONNECTED)
        status = link.status()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (status.subscribed, status.refused) == (frozenset({"a/commands"}), {"a/trades": "Not authorized"})


class _Swallowing(_Connection):
    """Takes a cancellation for the end of its waiting, as a library may."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str | None]:
        self.waiting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        return dict.fromkeys(topics)


async def test_a_stop_that_a_library_swallowed_still_stops() -> None:
    """Otherwise the gateway hangs at its end, until the service manager kills it."""
    connection = _Swallowing()

    @contextlib.asynccontextmanager
    async def swallowing(*_: object) -> AsyncIterator[_Connection]:
        yield connection

    link = ManagedLink(LinkSettings(), client_id="home-1", connect=swallowing)
    link.subscribe(["a/commands"])
    task = asyncio.create_task(link.run(), name="link")
    async with asyncio.timeout(5):
        await connection.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
