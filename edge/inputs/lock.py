"""The maintenance lock of who stands in front of the device: a file beside the outbox, and a wired switch.

While it is on, batteries rest, only protection, fuse and grid operator stand above it, and remote orders are refused.
The file outlives a restart. One that cannot be read locks: whoever wrote it wanted something.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts.clock import Clock
from contracts.units import epoch_ms, instant
from edge.private_files import opened_folder, read_small, remove, write_whole

FILE = "maintenance.lock"


@dataclass(frozen=True, kw_only=True)
class LockFile:
    """What the file says: locked, until an instant or until it is taken away."""

    until_at: datetime | None = None
    damaged: bool = False

    def left_s(self, now: datetime) -> float:
        """Return for how long the lock is still on, infinite until it is taken away."""
        return float("inf") if self.until_at is None else (self.until_at - now).total_seconds()


class LocalLock:
    """Watches the lock file of a site; asking costs one look at the file's attributes.

    Its end is turned into the monotonic clock's once, when the file is read: a step of the wall clock must not give a
    site back to its orders while somebody has the cabinet open.
    """

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._path = state_dir / FILE
        self._clock = clock
        self._stamp: tuple[int, int] | None = None
        self._ends_s = float("-inf")

    def locked(self) -> bool:
        """Say whether the site is locked now."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._ends_s = None, float("-inf")
            return False
        except OSError:
            return True
        now_s = self._clock.monotonic()
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            found = read_lock(self._path)
            self._stamp = stamp
            self._ends_s = float("-inf") if found is None else now_s + found.left_s(self._clock.now())
        return now_s < self._ends_s


def lock(state_dir: Path, *, until_at: datetime | None) -> None:
    """Lock a site, until an instant or until it is unlocked; on the disk on return.

    Raises:
        OSError: The file cannot be written; the site is not locked by it.
    """
    content = {"until_ms": None if until_at is None else epoch_ms(until_at)}
    # The gateway's own user reads it, whoever wrote it; the folder is that user's, who may have put a link there.
    with opened_folder(state_dir, make=True):
        write_whole(state_dir / FILE, json.dumps(content).encode(), mode=0o644)


def unlock(state_dir: Path) -> bool:
    """Take the lock away, and return whether there was one.

    Raises:
        OSError: The file cannot be removed; the site stays locked.
    """
    try:
        remove(state_dir / FILE)
    except FileNotFoundError:
        return False
    return True


def read_lock(path: Path) -> LockFile | None:
    """Return what a lock file says, ``None`` where there is none."""
    try:
        until_ms = json.loads(read_small(path))["until_ms"]
        return LockFile(until_at=None if until_ms is None else instant(int(until_ms)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return LockFile(damaged=True)
