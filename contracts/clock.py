"""One clock for every process of a system, real or scaled.

Time-lapse is a property of the clock and of nothing else: a scaled clock runs ``speed`` times as fast as the machine's
monotonic clock, and whatever takes its time from it (control cycles, leases, device timers, delivery intervals) runs
so too. Socket time-outs are bounds on the machine, not on the site, and stay in real seconds.

Processes that are given the same specification agree on the time, because the monotonic clock is one per machine.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What reads the time and waits for it."""

    @property
    def speed(self) -> float:
        """Return how many seconds pass on this clock in one real second."""

    def now(self) -> datetime:
        """Return the wall clock's instant, aware UTC. It may step; nothing that controls may use it."""

    def monotonic(self) -> float:
        """Return seconds that only ever rise; the origin is arbitrary."""

    async def sleep(self, seconds: float) -> None:
        """Wait until this clock has moved on by so many seconds."""


@dataclass(frozen=True)
class SystemClock:
    """The machine's own clocks."""

    @property
    def speed(self) -> float:
        """Return 1: real time."""
        return 1.0

    def now(self) -> datetime:
        """Return the machine's wall clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(max(0.0, seconds))


@dataclass(frozen=True)
class ScaledClock:
    """A clock that showed ``started_at`` when the machine's showed ``origin_s``, and runs ``speed`` times as fast."""

    started_at: datetime
    origin_s: float
    speed: float

    def now(self) -> datetime:
        """Return the scaled instant."""
        return self.started_at + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return the scaled seconds since the clock started."""
        return (time.monotonic() - self.origin_s) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for scaled seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def spec(self) -> str:
        """Return the text from which ``parse_clock`` makes an equal clock in another process of this machine."""
        return f"{self.started_at.isoformat()}@{self.origin_s!r}x{self.speed!r}"


@dataclass(frozen=True)
class SteppedClock:
    """The clock of a simulated host: its wall clock is off by as many seconds as a file says, none where there is none.

    ``synchronised`` is the file that the host's time service touches each time it has set the clock.
    """

    inner: ScaledClock
    file: Path

    @property
    def speed(self) -> float:
        """Return how fast it runs."""
        return self.inner.speed

    @property
    def synchronised(self) -> Path:
        """Return the file that says when the clock was last set."""
        return self.file.with_suffix(".synchronised")

    def now(self) -> datetime:
        """Return the instant that the host believes."""
        try:
            off_s = float(self.file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            off_s = 0.0
        return self.inner.now() + timedelta(seconds=off_s)

    def monotonic(self) -> float:
        """Return the scaled seconds since the clock started, which no step moves."""
        return self.inner.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for scaled seconds."""
        await self.inner.sleep(seconds)

    def spec(self) -> str:
        """Return the text from which ``parse_clock`` makes an equal clock in another process of this machine."""
        return f"{self.inner.spec()}+{self.file}"


def scaled_clock(*, started_at: datetime, speed: float) -> ScaledClock:
    """Return a clock that shows ``started_at`` now.

    Raises:
        ValueError: The speed is not positive or the instant has no time zone.
    """
    return _checked(started_at, time.monotonic(), speed)


def parse_clock(spec: str | None) -> Clock:
    """Return the clock of a specification, the machine's own where there is none.

    Raises:
        ValueError: The specification is not ``INSTANT@ORIGINxSPEED``, nor that with ``+FILE``.
    """
    if not spec:
        return SystemClock()
    try:
        started_at, rest = spec.split("@", 1)
        numbers, _, file = rest.partition("+")
        origin_s, speed = numbers.split("x")
        clock = _checked(datetime.fromisoformat(started_at), float(origin_s), float(speed))
    except ValueError as error:
        raise ValueError(f"clock {spec!r} is not INSTANT@ORIGINxSPEED or INSTANT@ORIGINxSPEED+FILE: {error}") from error
    return SteppedClock(clock, Path(file)) if file else clock


def _checked(started_at: datetime, origin_s: float, speed: float) -> ScaledClock:
    if started_at.tzinfo is None:
        raise ValueError(f"clock starts at {started_at.isoformat()}, which has no time zone")
    if not 0 < speed <= 1000:
        raise ValueError(f"clock speed {speed} is outside 0 (excluded) to 1000")
    return ScaledClock(started_at=started_at.astimezone(UTC), origin_s=origin_s, speed=speed)
