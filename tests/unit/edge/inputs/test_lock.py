"""Who locks a site by hand finds it locked until the time is over or the lock is taken away."""

from datetime import timedelta
from pathlib import Path

import pytest

from edge.inputs.lock import FILE, LocalLock, lock, unlock
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON

HOUR_S = 3_600.0


@pytest.fixture
def clock() -> ManualClock:
    """A clock at noon."""
    return ManualClock(NOON)


def test_a_lock_holds_for_the_next_process_too_until_it_is_taken_away(tmp_path: Path, clock: ManualClock) -> None:
    """A gateway that restarts beside an open cabinet must not begin to switch."""
    lock(tmp_path, until_at=None)
    for _ in range(2):
        clock.advance(400 * 24 * HOUR_S)
        assert LocalLock(tmp_path, clock).locked()
    assert unlock(tmp_path)
    assert not LocalLock(tmp_path, clock).locked()
    assert not unlock(tmp_path)


def test_a_lock_for_a_time_ends_with_it(tmp_path: Path, clock: ManualClock) -> None:
    """Forgotten locks must not cost a season."""
    watched = LocalLock(tmp_path, clock)
    assert not watched.locked()
    lock(tmp_path, until_at=NOON + timedelta(hours=2))
    assert watched.locked()
    clock.advance(2 * HOUR_S - 1)
    assert watched.locked()
    clock.advance(1)
    assert not watched.locked()
    lock(tmp_path, until_at=NOON + timedelta(hours=5))
    assert watched.locked(), "the new file counts"


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_step_of_the_wall_clock_neither_ends_a_lock_nor_keeps_it(
    tmp_path: Path, clock: ManualClock, step_s: float
) -> None:
    """Somebody may have the cabinet open when a time server finds the network."""
    watched = LocalLock(tmp_path, clock)
    lock(tmp_path, until_at=NOON + timedelta(minutes=30))
    assert watched.locked()
    clock.step_wall(step_s)
    clock.advance(HOUR_S / 2 - 1)
    assert watched.locked()
    clock.advance(1)
    assert not watched.locked()


def test_a_damaged_lock_locks(tmp_path: Path, clock: ManualClock) -> None:
    """Whoever wrote it wanted something; the safe reading is the stricter."""
    for text in ("", "{}", '{"until_ms": "soon"}', "[1]"):
        (tmp_path / FILE).write_text(text, encoding="utf-8")
        assert LocalLock(tmp_path, clock).locked(), text
