"""A connection that ends while a publish waits for its socket leaves nothing for the event loop to stumble over."""

import asyncio
import socket
from typing import Any

from edge.links.mqtt import _Client


async def test_a_socket_that_is_closed_meanwhile_is_not_waited_for() -> None:
    """Its number is nobody's by then, or another connection's."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    client = _Client("127.0.0.1", 1883, arrived=lambda _: None)
    ours, theirs = socket.socketpair()
    with theirs:
        client._client._sock = ours
        client._on_socket_register_write(client._client, None, ours)
        ours.close()
        for _ in range(3):
            await asyncio.sleep(0)
    assert raised == []


async def test_a_socket_that_stands_is_waited_for() -> None:
    """What waits to be sent is sent as soon as the socket takes it."""
    client = _Client("127.0.0.1", 1883, arrived=lambda _: None)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        client._client._sock = ours
        client._on_socket_register_write(client._client, None, ours)
        await asyncio.sleep(0)
        assert asyncio.get_running_loop().remove_writer(ours.fileno())
        client._client._sock = None
