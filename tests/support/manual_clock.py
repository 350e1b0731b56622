"""A clock that moves when a test says so."""

import asyncio
from datetime import UTC, datetime, timedelta


class ManualClock:
    """Stands still until ``advance``; those who sleep on it wake when their time has come."""

    def __init__(self, at: datetime = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)) -> None:
        self._at = at
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    @property
    def speed(self) -> float:
        """Return 1."""
        return 1.0

    def now(self) -> datetime:
        """Return the wall clock's instant."""
        return self._at + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far."""
        waiter = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed_s + seconds, waiter))
        await waiter

    def advance(self, seconds: float) -> None:
        """Move on and wake whoever waited for it."""
        self._elapsed_s += seconds
        due = [waiter for wake_at, waiter in self._sleepers if wake_at <= self._elapsed_s]
        self._sleepers = [(wake_at, waiter) for wake_at, waiter in self._sleepers if wake_at > self._elapsed_s]
        for waiter in due:
            if not waiter.done():
                waiter.set_result(None)

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as a time server does."""
        self._at += timedelta(seconds=seconds)
