"""A process whose event loop stands still ends itself, whatever holds it."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from edge.process.turns import HUNG_S, TURN_S, show_turns

SAFETY_S = 120.0
# Holds the interpreter's lock, as a native library does that never comes back.
_STUCK = """
import asyncio, ctypes
from edge.process.turns import show_turns

async def main():
    turns = asyncio.create_task(show_turns(lambda: None, hung_s=0.2, turn_s=0.01))
    await asyncio.sleep(0.05)
    ctypes.PyDLL(None).sleep(600)

asyncio.run(main())
"""


@dataclass
class _Timer:
    """Notes what is asked of it."""

    asked: list[float | None] = field(default_factory=list)

    def dump_traceback_later(self, timeout: float, *, exit: bool) -> None:
        """Note that it was set."""
        assert exit
        self.asked.append(timeout)

    def cancel_dump_traceback_later(self) -> None:
        """Note that it was stopped."""
        self.asked.append(None)


async def test_each_turn_sets_the_timer_anew_and_the_end_stops_it() -> None:
    """A timer that outlives its process's work would end an orderly stop."""
    timer, turned = _Timer(), asyncio.Event()
    turns = 0

    def note() -> None:
        nonlocal turns
        turns += 1
        assert timer.asked == [HUNG_S] * turns, "set before anybody is told"
        if turns == 5:
            turned.set()

    task = asyncio.create_task(show_turns(note, turn_s=0.0, timer=timer), name="turns")
    async with asyncio.timeout(SAFETY_S):
        await turned.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert timer.asked[:5] == [HUNG_S] * 5 and timer.asked[-1] is None
    assert TURN_S < HUNG_S / 4, "a loop that turns late is none that hangs"


def test_a_native_call_that_holds_the_interpreter_ends_the_process_and_says_where() -> None:
    """Nothing in Python runs any more, so nothing in Python could notice."""
    done = subprocess.run([sys.executable, "-c", _STUCK], capture_output=True, text=True, timeout=SAFETY_S, check=False)
    assert done.returncode == 1, done.stderr
    assert "Timeout" in done.stderr and "in main" in done.stderr
