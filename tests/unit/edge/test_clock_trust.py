"""The wall clock is trusted as far as there is reason to, and control does not ask."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.clock import SteppedClock, parse_clock, scaled_clock
from contracts.units import ClockTrust
from edge.clock_trust import CLOCK_KEY, LOOK_S, ClockWatch, SteadyClock, watched_clock
from edge.state_store import StateStore, VolatileStateStore
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON


def _synchronised(path: Path, at: datetime) -> None:
    path.touch()
    os.utime(path, (at.timestamp(), at.timestamp()))


def test_a_synchronised_clock_is_trusted_until_it_steps(tmp_path: Path) -> None:
    """A step takes the trust at once; a synchronisation after it gives it back."""
    clock, file = ManualClock(NOON), tmp_path / "synchronized"
    _synchronised(file, NOON)
    watch = ClockWatch(clock, synchronised=file)
    assert watch.trust() is ClockTrust.SYNCED
    clock.advance(1)
    clock.step_wall(3_600)
    assert watch.trust() is ClockTrust.UNTRUSTED
    clock.advance(LOOK_S)
    assert watch.trust() is ClockTrust.UNTRUSTED, "the old synchronisation was before the step"
    clock.advance(LOOK_S)
    _synchronised(file, clock.now())
    assert watch.trust() is ClockTrust.SYNCED


def test_a_small_correction_is_no_step(tmp_path: Path) -> None:
    """Time servers move a clock all day."""
    clock, file = ManualClock(NOON), tmp_path / "synchronized"
    _synchronised(file, NOON)
    watch = ClockWatch(clock, synchronised=file)
    for _ in range(20):
        clock.advance(LOOK_S)
        clock.step_wall(1.5)
        assert watch.trust() is ClockTrust.SYNCED


class HaltedClock(ManualClock):
    """A clock whose reader stands still for a while after each look at the wall clock."""

    halts_s = 0.0

    def now(self) -> datetime:
        """Return the instant before the halt."""
        instant = super().now()
        self.advance(self.halts_s)
        return instant


def test_a_process_that_stands_still_between_two_reads_is_no_step(tmp_path: Path) -> None:
    """A busy machine halted it for seconds, and where nobody sets the clock no order was taken from then on."""
    clock = HaltedClock(NOON)
    watch = ClockWatch(clock, synchronised=tmp_path / "none" / "synchronized")
    assert watch.trust() is ClockTrust.HOLDOVER
    for halts_s in (0.0, 30.0, 0.0, 5.0):
        clock.halts_s = halts_s
        clock.advance(LOOK_S)
        assert watch.trust() is ClockTrust.HOLDOVER
    clock.halts_s = 0.0
    clock.step_wall(10.0)
    assert watch.trust() is ClockTrust.UNTRUSTED, "a step is one still"


def test_a_clock_without_a_battery_is_not_trusted(tmp_path: Path) -> None:
    """1970 is before this software."""
    clock = ManualClock(datetime(1970, 1, 1, tzinfo=UTC))
    assert ClockWatch(clock, synchronised=tmp_path / "synchronized").trust() is ClockTrust.UNTRUSTED


def test_never_synchronised_is_untrusted_where_a_service_should_have(tmp_path: Path) -> None:
    """The folder is there, the file is not: the network never came up."""
    watch = ClockWatch(ManualClock(NOON), synchronised=tmp_path / "synchronized")
    assert watch.trust() is ClockTrust.UNTRUSTED


def test_a_machine_with_another_time_service_is_in_holdover_until_it_steps(tmp_path: Path) -> None:
    """We cannot ask every service there is; a step under us has no excuse."""
    clock = ManualClock(NOON)
    watch = ClockWatch(clock, synchronised=tmp_path / "none" / "synchronized")
    assert watch.trust() is ClockTrust.HOLDOVER
    clock.advance(1)
    clock.step_wall(-3_600)
    assert watch.trust() is ClockTrust.UNTRUSTED


def test_a_scaled_clock_cannot_step(tmp_path: Path) -> None:
    """It is derived from the monotonic clock."""
    watch = ClockWatch(scaled_clock(started_at=NOON, speed=30), synchronised=tmp_path / "synchronized")
    assert watch.trust() is ClockTrust.SYNCED


async def test_who_waits_for_a_trusted_clock_goes_on_when_it_is_set(tmp_path: Path) -> None:
    """A link connects with the first synchronisation, not at the end of its patience."""
    clock, file = ManualClock(NOON), tmp_path / "synchronized"
    watch = ClockWatch(clock, synchronised=file)
    waiting = asyncio.create_task(watch.trusted(within_s=120), name="wait")
    await _passes(clock, seconds=5)
    assert not waiting.done()
    _synchronised(file, clock.now())
    await _passes(clock, seconds=2)
    assert waiting.done() and waiting.result()


async def test_who_waits_for_a_clock_that_nobody_sets_goes_on_without(tmp_path: Path) -> None:
    """A site without a time server still reports."""
    clock = ManualClock(NOON)
    waiting = asyncio.create_task(
        ClockWatch(clock, synchronised=tmp_path / "synchronized").trusted(within_s=3), name="wait"
    )
    await _passes(clock, seconds=4)
    assert waiting.done() and not waiting.result()


async def _passes(clock: ManualClock, *, seconds: int) -> None:
    """Let time pass, second by second, and whoever waits look."""
    for _ in range(seconds):
        await asyncio.sleep(0)
        clock.advance(1)
        await asyncio.sleep(0)


@pytest.mark.parametrize("step_s", [86_400.0, -86_400.0, 3_600.0, 30.0])
def test_a_step_is_not_followed_until_the_time_service_has_set_the_clock(tmp_path: Path, step_s: float) -> None:
    """A day's meter readings would be told under tomorrow's date, and tomorrow's not at all."""
    clock, path = ManualClock(NOON), tmp_path / "synchronized"
    _synchronised(path, NOON)
    steady = SteadyClock(clock, ClockWatch(clock, synchronised=path))
    assert steady.now() == NOON
    clock.advance(10)
    clock.step_wall(step_s)
    for seconds in (0, 1, 600):
        clock.advance(seconds)
        assert steady.now() - NOON == timedelta(seconds=clock.monotonic())
    clock.step_wall(7.5 - step_s)  # What the time service says is true, also where it is not what was before.
    clock.advance(1)
    assert steady.now() - NOON == timedelta(seconds=clock.monotonic()), "it has not said so yet"
    _synchronised(path, clock.now())
    clock.advance(LOOK_S)
    assert steady.now() == clock.now()


def _started(clock: ManualClock, path: Path, memory: StateStore) -> tuple[SteadyClock, ClockWatch]:
    """Return the clock of a process that starts now."""
    watch = ClockWatch(clock, synchronised=path)
    watch.remember_in(memory)
    return SteadyClock(clock, watch), watch


@pytest.mark.parametrize("step_s", [86_400.0, -86_400.0, 3_600.0, 30.0])
def test_a_step_while_the_gateway_was_ended_is_not_followed_either(tmp_path: Path, step_s: float) -> None:
    """What says that the clock was synchronised is from before the step; what is told would bear a wrong instant."""
    clock, path, memory = ManualClock(NOON), tmp_path / "synchronized", VolatileStateStore()
    _synchronised(path, NOON)
    assert _started(clock, path, memory)[1].trust() is ClockTrust.SYNCED
    clock.advance(10)
    clock.step_wall(step_s)
    for _ in range(2):  # And once more, for a gateway may end again meanwhile.
        steady, watch = _started(clock, path, memory)
        for seconds in (0, 1, 600):
            clock.advance(seconds)
            assert steady.now() - NOON == timedelta(seconds=clock.monotonic())
            assert watch.trust() is ClockTrust.UNTRUSTED
    clock.step_wall(-step_s)
    assert watch.trust() is ClockTrust.UNTRUSTED
    _synchronised(path, clock.now())
    clock.advance(LOOK_S)
    assert watch.trust() is ClockTrust.SYNCED and steady.now() == clock.now()


def test_a_clock_that_its_service_has_set_meanwhile_is_taken_as_it_is(tmp_path: Path) -> None:
    """The gateway was stopped for hours, and the time service has corrected a minute since."""
    clock, path, memory = ManualClock(NOON), tmp_path / "synchronized", VolatileStateStore()
    _synchronised(path, NOON)
    _started(clock, path, memory)[1].trust()
    clock.advance(7_200)
    clock.step_wall(-60)
    _synchronised(path, clock.now())
    clock.advance(100)
    steady, watch = _started(clock, path, memory)
    assert watch.trust() is ClockTrust.SYNCED and steady.now() == clock.now()


@pytest.mark.parametrize("kept", ["another boot", {"boot": 1}, [1], {"origin_s": "x", "set_at": 1, "boot": "b"}])
def test_what_was_kept_of_another_boot_or_of_no_clock_says_nothing(tmp_path: Path, kept: object) -> None:
    """The monotonic clock begins anew with each boot."""
    clock, path, memory = ManualClock(NOON), tmp_path / "synchronized", VolatileStateStore()
    _synchronised(path, NOON)
    _started(clock, path, memory)[1].trust()
    known = memory.recall(CLOCK_KEY)
    assert known is not None
    memory.remember(CLOCK_KEY, {**known, "boot": kept} if isinstance(kept, str) else kept)
    clock.step_wall(3_600)
    steady, watch = _started(clock, path, memory)
    assert watch.trust() is ClockTrust.SYNCED and steady.now() == clock.now()
    assert memory.recall(CLOCK_KEY)["boot"] == known["boot"], "and is written anew"


def test_a_clock_that_stays_where_it_is_is_kept_once(tmp_path: Path) -> None:
    """The card wears with each write."""
    clock, path, memory = ManualClock(NOON), tmp_path / "synchronized", _Counting()
    _synchronised(path, NOON)
    _, watch = _started(clock, path, memory)
    for _ in range(100):
        clock.advance(LOOK_S)
        watch.trust()
    assert memory.writes == 1
    _synchronised(path, clock.now())
    clock.advance(LOOK_S)
    watch.trust()
    assert memory.writes == 2


class _Counting(VolatileStateStore):
    """Counts what it is told to keep."""

    writes = 0

    def remember(self, key: str, value: object, *, durable: bool = True) -> None:
        """Keep and count."""
        self.writes += 1
        super().remember(key, value, durable=durable)


def test_a_clock_that_is_slewed_is_followed(tmp_path: Path) -> None:
    """A time service turns a clock a little faster or slower; that is no step, however much it comes to in a day."""
    clock, path = ManualClock(NOON), tmp_path / "synchronized"
    _synchronised(path, NOON)
    steady = SteadyClock(clock, ClockWatch(clock, synchronised=path))
    for _ in range(2_000):
        clock.advance(10)
        clock.step_wall(0.005)
        assert steady.now() == clock.now()


def test_where_no_time_service_was_seen_the_wall_clock_is_followed(tmp_path: Path) -> None:
    """Nobody says which of the two is right, and a board that wakes in the past is set once."""
    clock = ManualClock(NOON)
    steady = SteadyClock(clock, ClockWatch(clock, synchronised=tmp_path / "nobody" / "synchronized"))
    assert steady.now() == NOON
    clock.step_wall(3_600)
    assert steady.now() == clock.now()


def test_a_scaled_clock_is_itself_and_a_simulated_host_brings_its_time_service(tmp_path: Path) -> None:
    """Time-lapses stay as they are; a host whose clock steps is watched by the file that its service touches."""
    scaled = scaled_clock(started_at=NOON, speed=10.0)
    assert watched_clock(scaled)[0] is scaled
    host = parse_clock(f"{scaled.spec()}+{tmp_path / 'home-1.clock'}")
    assert isinstance(host, SteppedClock)
    assert host == SteppedClock(scaled, tmp_path / "home-1.clock") and parse_clock(host.spec()) == host
    _synchronised(host.synchronised, NOON)
    clock, watch = watched_clock(host)
    assert watch.trust() is ClockTrust.SYNCED
    assert abs(clock.now() - scaled.now()) < timedelta(hours=1)
    host.file.write_text("86400")
    assert host.now() - scaled.now() > timedelta(hours=23)
    assert clock.now() - scaled.now() < timedelta(hours=1)
    assert watch.trust() is ClockTrust.UNTRUSTED
