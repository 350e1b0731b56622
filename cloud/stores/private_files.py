"""Files with households' readings, orders and debts, and keys: nobody else of the machine may look at them."""

import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
_DATABASE_PARTS: Final = ("", "-wal", "-shm")


def private_folder(path: Path) -> Path:
    """Make a folder that only we may enter, or take what others may do away from one, and return it.

    Raises:
        OSError: It cannot be made or changed.
    """
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    before = path.stat().st_mode
    if before & _OTHERS:
        path.chmod(FOLDER_MODE)
        log.warning("folder made private", extra={"path": str(path), "mode": f"{before & 0o777:o}"})
    return path


def private_database(path: Path) -> None:
    """Make a SQLite file that nobody else may read, or take what others may do away from one of an older version.

    SQLite gives its ``-wal`` and ``-shm`` the mode of the file.

    Raises:
        OSError: It cannot be made or changed.
    """
    for part in (path.with_name(path.name + suffix) for suffix in _DATABASE_PARTS):
        close_to_others(part, make=part == path)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file whole; nobody else may read it at any instant, whatever mode the one before had.

    Raises:
        OSError: It cannot be written; the old content stands.
    """
    following = path.with_name(path.name + ".new")
    following.unlink(missing_ok=True)
    descriptor = os.open(following, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    following.replace(path)


def close_to_others(path: Path, *, make: bool = False) -> None:
    """Take what others may do away from a file; one that is missing is made on demand.

    The file is not opened: to close it again would end the locks that SQLite has on it in this process.
    Source: fcntl(2), "Advisory record locking"; open(2), O_PATH.

    Raises:
        OSError: It cannot be made or changed.
    """
    if make:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        before = os.fstat(descriptor).st_mode
        if stat.S_ISREG(before) and before & _OTHERS:
            Path(f"/proc/self/fd/{descriptor}").chmod(FILE_MODE)
            log.warning("file made private", extra={"path": str(path), "mode": f"{before & 0o777:o}"})
    finally:
        os.close(descriptor)
