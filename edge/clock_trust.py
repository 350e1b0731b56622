"""How far the gateway's wall clock may be trusted.

Control runs on the monotonic clock and does not care. Orders and signed evidence do: without a trusted clock there are
none. A trusted clock that was synchronised once and is no longer is in holdover.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from contracts.clock import Clock, ScaledClock, SteppedClock
from contracts.units import ClockTrust
from edge.state_store import StateStore

# systemd-timesyncd creates this file at the first synchronisation of a boot. Source: systemd-timesyncd.service(8).
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
# No gateway of this software ran before; an earlier instant is a clock without a battery.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
STEP_S_MAX = 2.0
LOOK_S = 10.0
WAIT_LOOK_S = 1.0
# What a process of this boot knew of the clock last: ``boot``, ``origin_s`` (wall less monotonic), ``set_at``.
CLOCK_KEY: Final = "clock"
# Another one at each boot, and the monotonic clock with it. Source: Linux, Documentation/admin-guide/sysctl/kernel.
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
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
        self._memory: StateStore | None = None
        self._kept: tuple[str, float, float] | None = None
        # Where the wall clock stood when the monotonic one was zero, before a step that nobody saw.
        self.origin_before_step: datetime | None = None

    def remember_in(self, memory: StateStore) -> None:
        """Go on from what the process before this one knew, and keep what this one knows for the next.

        A gateway that ends and starts again while the clock is off would take the step for the time of day: what says
        that the clock was synchronised is from before the step. Within one boot wall and monotonic clock tell it.
        """
        boot = _boot()
        if self._derived or boot is None:
            return
        self._memory = memory
        self._kept = _read_kept(memory.recall(CLOCK_KEY))
        if self._kept is None or self._kept[0] != boot:
            return
        _, origin_s, set_at = self._kept
        off_s = self._origin_s() - origin_s
        if abs(off_s) > STEP_S_MAX and self._synchronised_at() == set_at:
            self._stepped_at, self._stepped_back, self._set_at = self._wall.timestamp(), True, set_at
            self.origin_before_step = datetime.fromtimestamp(origin_s, UTC)
            self._trust = ClockTrust.UNTRUSTED

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
        synchronised_at = self._synchronised_at()
        if synchronised_at is None:
            # Another service may keep the time; a clock that has stepped under us has no such excuse.
            managed = not self._file.parent.exists()
            return ClockTrust.HOLDOVER if managed and self._stepped_at is None else ClockTrust.UNTRUSTED
        if self._stepped_at is not None and not self._is_set_since(synchronised_at):
            return ClockTrust.UNTRUSTED
        self._stepped_at, self._set_at = None, synchronised_at
        self._keep(synchronised_at)
        return ClockTrust.SYNCED

    def _synchronised_at(self) -> float | None:
        try:
            return self._file.stat().st_mtime
        except OSError:
            return None

    def _origin_s(self) -> float:
        """Return the instant at which the monotonic clock was zero, by the wall clock as it was read last."""
        return self._wall.timestamp() - self._after_s

    def _keep(self, set_at: float) -> None:
        """Keep where the clocks stand, where that is news: a few dozen times a day."""
        boot = _boot()
        if self._memory is None or boot is None:
            return
        present = (boot, self._origin_s(), set_at)
        known = self._kept
        if known is None or (known[0], known[2]) != (boot, set_at) or abs(known[1] - present[1]) > STEP_S_MAX / 2:
            self._kept = present
            kept = {"boot": boot, "origin_s": round(present[1], 3), "set_at": set_at}
            self._memory.remember(CLOCK_KEY, kept, durable=known is None or known[0] != boot)

    def _is_set_since(self, synchronised_at: float) -> bool:
        """Say whether a synchronisation came after the step.

        Behind a clock that was set back, the synchronisation before looks like one to come: only another one counts. So
        it is of a step that nobody saw.
        """
        if self._stepped_back and synchronised_at == self._set_at:
            return False
        return self._stepped_at is not None and synchronised_at >= self._stepped_at


def _boot() -> str | None:
    """Return what names this boot of the machine, ``None`` where nothing does."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _read_kept(value: object) -> tuple[str, float, float] | None:
    """Return what was kept, ``None`` where it is not what it should be."""
    if not isinstance(value, dict):
        return None
    boot, origin_s, set_at = value.get("boot"), value.get("origin_s"), value.get("set_at")
    if not (isinstance(boot, str) and isinstance(origin_s, int | float) and isinstance(set_at, int | float)):
        return None
    return boot, float(origin_s), float(set_at)


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
        elif trust is ClockTrust.UNTRUSTED and (origin := self._origin or self._watch.origin_before_step) is not None:
            return origin + since
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
