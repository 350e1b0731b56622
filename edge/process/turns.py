"""Shows that an event loop turns, and ends the process where it does not.

The timer is a thread below Python, so neither a native call nor a held lock of the interpreter keeps it from running;
whoever supervises the process starts it anew.
"""

import asyncio
import faulthandler
from collections.abc import Callable
from typing import Final, Protocol

# Real seconds without a turn of the event loop: far more than any disk or page makes it wait.
HUNG_S: Final = 60.0
TURN_S: Final = 5.0


class EndTimer(Protocol):
    """Ends the process when it was not set again for so long; ``faulthandler`` is one."""

    def dump_traceback_later(self, timeout: float, *, exit: bool) -> None:
        """Set the timer, anew where it runs; ``timeout`` in real seconds."""

    def cancel_dump_traceback_later(self) -> None:
        """Stop the timer."""


async def show_turns(
    turned: Callable[[], None],
    *,
    hung_s: float = HUNG_S,
    turn_s: float = TURN_S,
    timer: EndTimer = faulthandler,
) -> None:
    """Set the timer anew at each turn, until cancelled.

    Args:
        turned: Told at each turn, for the service manager.
        hung_s: Real seconds after which a loop that stands still ends the process, with where it stood.
        turn_s: Real seconds between two turns.
        timer: What ends the process.
    """
    try:
        while True:
            timer.dump_traceback_later(hung_s, exit=True)
            turned()
            await asyncio.sleep(turn_s)
    finally:
        timer.cancel_dump_traceback_later()
