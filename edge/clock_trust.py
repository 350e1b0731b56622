"""How far the gateway's wall clock may be trusted.

Control runs on the monotonic clock and does not care. Orders and signed evidence do: without a trusted clock there are
none. A trusted clock that was synchronised once and is no longer is in holdover.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.clock import Clock, ScaledClock, SteppedClock
from contracts.units import ClockTrust

# systemd-timesyncd creates this file at the first synchronisation of a boot. Source: systemd-timesyncd.service(8).
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
# No gateway of this software ran before; an earlier instant is a clock without a battery.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
STEP_S_MAX = 2.0
LOOK_S = 10.0
WAIT_LOOK_S = 1.0
# Two clocks that agree so well need no closer look; each reading of a device is stamped.
_NO_STEP = timedelta(seconds=STEP_S_MAX / 2)


class ClockWatch:
    """Watches one wall clock against the monotonic one.

    A step of more than two seconds takes the trust away until the clock was synchronised after it. A scaled clock is
    derived from the monotonic clock and cannot step; that of a simulated host brings its time service with it.
    """

    def __init__(self, clock: Clock, *, synchronised: Path = SYNCHRONISED) -> None:
        self._clock = clock
        self._file = clock.synchronised if isinstance(clock, SteppedClock) else synchronised
        self._derived = isinstance(clock, ScaledClock)
        self._trust = ClockTrust.SYNCED if self._derived else ClockTrust.UNTRUSTED
        self._wall, self._after_s, self._before_s = self._read()
        self._stepped_at: float | None = None
        self._stepped_back = False
        self._set_at: float | None = None  # The synchronisation by which the clock was trusted last.
        self._looked_s = float("-inf")

    def trust(self) -> ClockTrust:
        """Return how far the wall clock may be trusted now."""
        if self._derived:
            return self._trust
        now_s = self._clock.monotonic()
        stepped = self._stepped()
        look_s = WAIT_LOOK_S if self._trust is ClockTrust.UNTRUSTED else LOOK_S
        if stepped or now_s - self._looked_s >= look_s:
            self._looked_s = now_s
            self._trust = self._look()
        return self._trust

    async def trusted(self, *, within_s: float) -> bool:
        """Wait until the clock may be trusted, at most so long, and say whether it may."""
        give_up_s = self._clock.monotonic() + within_s
        while self.trust() is ClockTrust.UNTRUSTED:
            if self._clock.monotonic() >= give_up_s:
                return False
            await self._clock.sleep(WAIT_LOOK_S)
        return True

    def _read(self) -> tuple[datetime, float, float]:
        """Read the wall clock, between two looks at the monotonic one, the later first."""
        before_s = self._clock.monotonic()
        wall = self._clock.now()
        return wall, self._clock.monotonic(), before_s

    def _stepped(self) -> bool:
        """Note whether the wall clock moved other than the monotonic one since the last look.

        A process may stand still for seconds between two of these reads, so what passed is known within bounds; only
        what no such halt explains is a step.
        """
        wall, after_s, before_s = self._read()
        passed_s = (wall - self._wall).total_seconds()
        least_s, most_s = before_s - self._after_s, after_s - self._before_s
        self._wall, self._after_s, self._before_s = wall, after_s, before_s
        if least_s - STEP_S_MAX <= passed_s <= most_s + STEP_S_MAX:
            return False
        self._stepped_at = wall.timestamp()
        self._stepped_back = passed_s < least_s
        return True

    def _look(self) -> ClockTrust:
        if self._clock.now() < EARLIEST:
            return ClockTrust.UNTRUSTED
        try:
            synchronised_at = self._file.stat().st_mtime
        except OSError:
            # Another service may keep the time; a clock that has stepped under us has no such excuse.
            managed = not self._file.parent.exists()
            return ClockTrust.HOLDOVER if managed and self._stepped_at is None else ClockTrust.UNTRUSTED
        if self._stepped_at is not None and not self._is_set_since(synchronised_at):
            return ClockTrust.UNTRUSTED
        self._stepped_at, self._set_at = None, synchronised_at
        return ClockTrust.SYNCED

    def _is_set_since(self, synchronised_at: float) -> bool:
        """Say whether a synchronisation came after the step.

        Behind a clock that was set back, the synchronisation before looks like one to come: only another one counts.
        """
        if self._stepped_back and synchronised_at == self._set_at:
            return False
        return self._stepped_at is not None and synchronised_at >= self._stepped_at


class SteadyClock:
    """A site's clock that follows no step which its time service has not confirmed.

    Once the wall clock was synchronised and then stepped, ``now`` goes on from before the step by the monotonic clock,
    until the time service has set the wall clock again. A stamp of tomorrow would otherwise end this day's meter
    readings: an interval is told once, and those between would count as told. Where no time service was ever seen, the
    wall clock is all there is, and is followed.
    """

    def __init__(self, clock: Clock, watch: ClockWatch) -> None:
        """Stand before a clock that is watched."""
        self._clock = clock
        self._watch = watch
        self._origin: datetime | None = None

    @property
    def speed(self) -> float:
        """Return how many seconds pass on this clock in one real second."""
        return self._clock.speed

    def now(self) -> datetime:
        """Return the wall clock's instant, or what it would be without the step."""
        wall, since = self._clock.now(), timedelta(seconds=self._clock.monotonic())
        if self._origin is not None and abs(wall - since - self._origin) <= _NO_STEP:
            return wall
        # Looked at after the clock was read: a step before that read is known by now.
        trust = self._watch.trust()
        if trust is ClockTrust.SYNCED:
            self._origin = wall - since
        elif trust is ClockTrust.UNTRUSTED and self._origin is not None:
            return self._origin + since
        return wall

    def monotonic(self) -> float:
        """Return seconds that only ever rise."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait until this clock has moved on by so many seconds."""
        await self._clock.sleep(seconds)


def watched_clock(clock: Clock) -> tuple[Clock, ClockWatch]:
    """Return the clock that a process goes by, and what says how far it may be trusted."""
    watch = ClockWatch(clock)
    return (clock if isinstance(clock, ScaledClock) else SteadyClock(clock, watch)), watch
