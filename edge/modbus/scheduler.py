"""Who may use the bus next: the most urgent waits least, and units of equal urgency take turns."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.modbus.point import Priority

PATIENCE_S = 5.0  # After so long a request counts one step more urgent, so that nothing waits for ever.


class Scheduler:
    """One user at a time. A free bus is granted without a wait, so an idle bus costs nothing."""

    def __init__(self) -> None:
        self._busy = False
        self._waiting: dict[tuple[Priority, int], deque[tuple[float, asyncio.Future[None]]]] = {}
        self._served: dict[int, int] = {}
        self._count = 0

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, unit: int, priority: Priority) -> AsyncIterator[None]:
        """Hold the bus; released when the block ends."""
        await self.take(unit, priority)
        try:
            yield
        finally:
            self.give_back()

    async def take(self, unit: int, priority: Priority) -> None:
        """Wait for the bus. Whoever takes it gives it back."""
        if self._busy:
            loop = asyncio.get_running_loop()
            granted: asyncio.Future[None] = loop.create_future()
            self._waiting.setdefault((priority, unit), deque()).append((loop.time(), granted))
            try:
                await granted
            except asyncio.CancelledError:
                if granted.done() and not granted.cancelled():
                    self.give_back()
                raise
        self._busy = True
        self._count += 1
        self._served[unit] = self._count

    def give_back(self) -> None:
        """Let the next one in."""
        self._busy = False
        while self._waiting:
            best = min(self._waiting, key=self._rank)
            queue = self._waiting[best]
            _, granted = queue.popleft()
            if not queue:
                del self._waiting[best]
            if not granted.done():
                self._busy = True
                granted.set_result(None)
                return

    def _rank(self, waiter: tuple[Priority, int]) -> tuple[int, int]:
        priority, unit = waiter
        waited_s = asyncio.get_running_loop().time() - self._waiting[waiter][0][0]
        return max(0, priority - int(waited_s / PATIENCE_S)), self._served.get(unit, 0)
