"""A session with a broker ends when it is told to, whatever its use does with that."""

import asyncio
import contextlib
from typing import Self, cast

import aiomqtt
import pytest

from cloud.local.session import keep_session

SAFETY_S = 60.0


class _Connected:
    """A client that is connected at once, and counts its ends."""

    def __init__(self) -> None:
        self.ends = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ends += 1


async def test_a_use_that_loses_its_cancellation_is_cancelled_again() -> None:
    """A demonstration that was asked to end as its watcher's subscription was answered went on for ever.

    Python's ``wait_for`` drops a cancellation that comes together with what it waits for.
    """
    client, answered = _Connected(), asyncio.Event()

    async def use(_: aiomqtt.Client) -> None:
        answer = asyncio.get_running_loop().create_future()
        answered.set()
        with contextlib.suppress(asyncio.CancelledError):
            await answer
        await asyncio.get_running_loop().create_future()

    session = asyncio.create_task(keep_session(lambda: cast(aiomqtt.Client, client), use, pause_s=lambda: 0.0))
    async with asyncio.timeout(SAFETY_S):
        await answered.wait()
        session.cancel()
        with pytest.raises(asyncio.CancelledError):
            await session
    assert client.ends == 1


async def test_a_use_that_ends_or_loses_its_broker_is_begun_anew() -> None:
    """The next connection comes after each end, and each end is told."""
    client, told = _Connected(), list[aiomqtt.MqttError | None]()
    third = asyncio.Event()

    async def use(_: aiomqtt.Client) -> None:
        if len(told) == 1:
            raise aiomqtt.MqttError("the broker is gone")
        if len(told) == 2:
            third.set()
            await asyncio.get_running_loop().create_future()

    session = asyncio.create_task(
        keep_session(lambda: cast(aiomqtt.Client, client), use, ended=told.append, pause_s=lambda: 0.0)
    )
    async with asyncio.timeout(SAFETY_S):
        await third.wait()
        session.cancel()
        with pytest.raises(asyncio.CancelledError):
            await session
    assert [str(error) for error in told] == ["None", "the broker is gone", "None"]
    assert client.ends == 3
