"""Wait for a condition, not for a time."""

import asyncio
from collections.abc import Callable

LOOK_EVERY_S = 0.01


async def until(condition: Callable[[], bool], *, safety_s: float = 60.0) -> None:
    """Return as soon as the condition holds.

    Raises:
        TimeoutError: It did not within the safety time-out.
    """
    async with asyncio.timeout(safety_s):
        while True:
            if condition():
                return
            await asyncio.sleep(LOOK_EVERY_S)
