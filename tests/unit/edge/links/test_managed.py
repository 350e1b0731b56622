"""A link stops when it is told to, whatever its connection does, and stays up whatever is refused."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from edge.errors import LinkError
from edge.links.link import Ack, LinkState
from edge.links.managed import Arrived, ManagedLink
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings
from tests.support.brokers.broker import Authority


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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
        await connection.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
async def test_a_password_that_cannot_be_read_is_said_and_waited_for(tmp_path: Path, content: bytes | None) -> None:
    """A rotation takes the file away for a moment; the site is controlled without a link meanwhile."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = LinkSettings(password_file=file, username="home-1", throttle=False, reconnect_s_min=0.05)

    @contextlib.asynccontextmanager
    async def reads_the_password(settings: LinkSettings, *_: object) -> AsyncIterator[_Connection]:
        assert settings.password() == "secret"
        yield _Connection()

    link = ManagedLink(settings, client_id="home-1", connect=reads_the_password)
    task = asyncio.create_task(link.run(), name="link")
    async with asyncio.timeout(60):
        while link.status().last_error is None:  # noqa: ASYNC110 (the link tries)
            await asyncio.sleep(0.01)
        assert f"link.password_file {file} cannot be read" in str(link.status().last_error)
        assert not task.done()
        file.write_text("secret\n")
        await link.wait_for(LinkState.CONNECTED)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("spoilt", ["missing", "encrypted", "not a key"])
async def test_a_key_that_cannot_be_used_is_said_and_waited_for(tmp_path: Path, spoilt: str) -> None:
    """OpenSSL would ask for an encrypted key's password on the terminal, and wait for it for ever."""
    authority = Authority(folder=tmp_path)
    identity = authority.issue("home-1")
    key = identity.key_path
    if spoilt == "missing":
        key.unlink()
    elif spoilt == "not a key":
        key.write_text("not a key")
    else:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        locked = serialization.BestAvailableEncryption(b"x")
        key.write_bytes(
            private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked),
        )
    settings = LinkSettings(
        url="mqtts://127.0.0.1:9", cert_file=identity.cert_path, key_file=key, throttle=False, reconnect_s_min=0.05
    )
    link = MqttLink(settings, client_id="home-1")
    task = asyncio.create_task(link.run(), name="link")
    async with asyncio.timeout(60):
        while link.status().last_error is None:  # noqa: ASYNC110 (the link tries)
            await asyncio.sleep(0.01)
    assert str(key) in str(link.status().last_error) and not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
