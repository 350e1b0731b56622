"""A session with a broker that is kept until it is cancelled: connected, used, and connected anew where it was lost."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import aiomqtt

# A cancellation is repeated after so long: one that comes together with what ``asyncio.wait_for`` waits for is lost by
# Python 3.11, and aiomqtt waits so for each answer of a broker. Source: bpo-37658, put right in Python 3.12.
CANCEL_AGAIN_S: Final = 1.0


async def keep_session(
    client: Callable[[], aiomqtt.Client],
    use: Callable[[aiomqtt.Client], Awaitable[None]],
    *,
    ended: Callable[[aiomqtt.MqttError | None], None] = lambda _: None,
    pause_s: Callable[[], float],
) -> None:
    """Connect, use the connection, and do so again until cancelled; a lost broker is waited for.

    Args:
        client: Makes a client for each connection.
        use: What is done with it while it stands; it may end, which ends the connection.
        ended: Told of each end, with the error of a broker that was lost.
        pause_s: How long to wait before the next connection, in seconds.
    """
    task = asyncio.current_task()
    # A goodbye to the broker that fails takes the place of the cancellation: the stop still stands.
    while task is None or not task.cancelling():
        lost: aiomqtt.MqttError | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                connected = client()
                await _connect(connected, stack)
                await _use(use(connected))
        except aiomqtt.MqttError as error:
            lost = error
        finally:
            ended(lost)
        await asyncio.sleep(pause_s())


async def _connect(client: aiomqtt.Client, stack: contextlib.AsyncExitStack) -> None:
    """Connect, to the end even where we are cancelled: aiomqtt leaves its socket behind when stopped in between.

    Raises:
        MqttError: There is no broker, or it did not answer within the client's own time-out.
    """
    connecting = asyncio.ensure_future(stack.enter_async_context(client))
    try:
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):
            await connecting
        raise


async def _use(used: Awaitable[None]) -> None:
    """Wait for the use of a connection; where we are cancelled it is, until it has ended.

    Raises:
        MqttError: The connection was lost.
    """
    using = asyncio.ensure_future(used)
    try:
        await asyncio.shield(using)
    except asyncio.CancelledError:
        while not using.done():
            using.cancel()
            await asyncio.wait({using}, timeout=CANCEL_AGAIN_S)
        if not using.cancelled():
            using.exception()  # Marked as seen: a connection that is lost meanwhile needs nobody any more.
        raise
