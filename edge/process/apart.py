"""Work in a task of its own, so that what it leaves behind in its task ends with it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Do work in a task of its own, which ends with ours, and return or raise what comes of it.

    Before Python 3.13 a ``TaskGroup`` of which a task failed leaves its request to cancel behind in the task that
    waited for it. There ``Task.cancelling`` counts one for ever, and each later ``asyncio.timeout`` of Python 3.11.2,
    which Debian 12 ships, cancels its task instead of raising ``TimeoutError``. So whoever goes on after a group that
    may fail runs it apart.
    """
    return await asyncio.create_task(work)
