"""What a finished cycle is a sign of: that control is alive, and that the devices have been looked at."""

import asyncio

from edge.control.feasible import seen
from edge.loop.cycle import Cycle
from edge.process.service_manager import ServiceManager

# An order is judged by what the devices say, so the first ones wait for that; not for a device that is dead.
FIRST_LOOK_S = 10.0


class SignOfLife:
    """Tells the service manager of each cycle that shows that control is alive."""

    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager

    def finished(self, cycle: Cycle) -> None:
        """Pass on a sound cycle."""
        if cycle.sound:
            self._manager.cycle_done()


class FirstLook:
    """Says when the devices were looked at first, or have had ``FIRST_LOOK_S`` to answer."""

    def __init__(self, opened_s: float) -> None:
        """Begin at an instant of the monotonic clock."""
        self._until_s = opened_s + FIRST_LOOK_S
        self._looked = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the first look."""
        await self._looked.wait()

    def finished(self, cycle: Cycle) -> None:
        """Look whether a cycle has seen the devices."""
        if not self._looked.is_set() and (seen(cycle.snapshot) or cycle.snapshot.taken_s >= self._until_s):
            self._looked.set()
