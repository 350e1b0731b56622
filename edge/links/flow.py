"""Our own flow control: how fast a link may be used.

AWS IoT Core discards publishes above 100 a second and connection, delays bytes above 512 KiB/s, and allows 100
unacknowledged publishes. Source: AWS General Reference, AWS IoT Core endpoints and quotas, message broker.
"""

import asyncio
from collections.abc import Callable

PUBLISHES_PER_S = 100.0
BYTES_PER_S = 512 * 1024.0
IN_FLIGHT_MAX = 50  # Unacknowledged publishes: half of what is allowed, for who speaks beside the outbox.
_BURST_S = 0.1  # Of the rate; rate and burst together stay below the bound in every second.


class Rate:
    """Units per second with a small burst, in real time. ``monotonic`` is the event loop's clock."""

    def __init__(self, per_s: float, *, burst: float, monotonic: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._monotonic = monotonic
        self._level = burst
        self._at = monotonic()

    def wait_s(self) -> float:
        """Return how long until the next take is allowed; zero means now."""
        self._refill()
        return 0.0 if self._level > 0 else -self._level / self._per_s + 1e-4

    def take(self, units: float) -> None:
        """Use units; a take above what is there goes into debt, which the next one waits for."""
        self._refill()
        self._level -= units

    def _refill(self) -> None:
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now


class Flow:
    """Publishes and bytes per second together; ``share`` is the part of the link's bounds that this flow may use."""

    def __init__(self, *, share: float = 1.0, monotonic: Callable[[], float] | None = None) -> None:
        time = monotonic or asyncio.get_running_loop().time
        publishes, size = PUBLISHES_PER_S * share, BYTES_PER_S * share
        self._publishes = Rate(publishes * (1 - _BURST_S), burst=publishes * _BURST_S - 1, monotonic=time)
        self._bytes = Rate(size * (1 - _BURST_S), burst=size * _BURST_S, monotonic=time)

    def wait_s(self) -> float:
        """Return how long until the next publish is allowed; zero means now."""
        return max(self._publishes.wait_s(), self._bytes.wait_s())

    def take(self, size: int) -> None:
        """Note one publish of so many bytes."""
        self._publishes.take(1)
        self._bytes.take(size)
