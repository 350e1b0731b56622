"""Ends tasks that were started for a while."""

import asyncio
from typing import Any

PATIENCE_S = 3.0  # Real seconds after which a task that still runs is asked again.
_ASKED_MAX = 5


async def stopped(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and return when they have ended.

    A client library that fails while it says goodbye can turn the cancellation into an error of the connection, which
    a link answers by connecting again; so who does not end is asked again.
    """
    pending = set(tasks)
    for _ in range(_ASKED_MAX):
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=PATIENCE_S)
        if not pending:
            break
    await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)
