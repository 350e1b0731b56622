"""Moves an outbox's file out from under a reader that would let its write-ahead log grow without end.

SQLite begins its log anew only when no reader needs an old part of it. A program that keeps a read open (a backup that
hangs, somebody's shell) would fill the disk. So the records go into a new file under the same name; the reader keeps
the old one, which the system frees when the reader ends. Source: sqlite.org/wal.html, "Avoiding Excessively Large WAL
Files".

The steps are such that a power cut leaves the old file or the new one: the new one is whole before it has the name
``.next``, and whoever finds a file of that name goes on from there.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from edge.private_files import SECRET_MODE, sync_folder

_PARTS: Final = ("-wal", "-shm", "")


def copy_beside(connection: sqlite3.Connection, path: Path) -> None:
    """Write all that an outbox holds into a new file beside it, on the disk on return.

    Raises:
        sqlite3.Error: It cannot be read or written.
        OSError: The folder cannot be written.
    """
    part = _part(path)
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SECRET_MODE))
    connection.execute("VACUUM INTO ?", (str(part),))
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(_next(path))
    sync_folder(path.parent)


def finish(path: Path) -> None:
    """Put a new file in the old one's place, where there is one; also what a power cut stopped in between.

    Raises:
        OSError: The folder cannot be written.
    """
    with contextlib.suppress(FileNotFoundError):
        _part(path).unlink()
    if not _next(path).exists():
        return
    for suffix in _PARTS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _next(path).replace(path)
    sync_folder(path.parent)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".next")
