"""Who locks a site by hand finds it locked until the time is over or the lock is taken away."""

from datetime import timedelta
from pathlib import Path

from edge.lock import FILE, LocalLock, lock, unlock
from tests.support.edge_parts import NOON


def test_a_lock_holds_for_the_next_process_too_until_it_is_taken_away(tmp_path: Path) -> None:
    """A gateway that restarts beside an open cabinet must not begin to switch."""
    lock(tmp_path, until_at=None)
    for _ in range(2):
        assert LocalLock(tmp_path).locked(NOON + timedelta(days=400))
    assert unlock(tmp_path)
    assert not LocalLock(tmp_path).locked(NOON)
    assert not unlock(tmp_path)


def test_a_lock_for_a_time_ends_with_it(tmp_path: Path) -> None:
    """Forgotten locks must not cost a season."""
    watched = LocalLock(tmp_path)
    assert not watched.locked(NOON)
    lock(tmp_path, until_at=NOON + timedelta(hours=2))
    assert watched.locked(NOON + timedelta(hours=1, minutes=59))
    assert not watched.locked(NOON + timedelta(hours=2))
    lock(tmp_path, until_at=NOON + timedelta(hours=5))
    assert watched.locked(NOON + timedelta(hours=2)), "the new file counts"


def test_a_damaged_lock_locks(tmp_path: Path) -> None:
    """Whoever wrote it wanted something; the safe reading is the stricter."""
    for text in ("", "{}", '{"until_ms": "soon"}', "[1]"):
        (tmp_path / FILE).write_text(text, encoding="utf-8")
        assert LocalLock(tmp_path).locked(NOON), text
