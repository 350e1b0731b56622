"""Files of the gateway that are whole after a power cut, that nobody else may read, and that are never somebody's link.

Some commands run as root on folders that the gateway's own user may change. Whoever has taken over that user could
put a link there and let root write or read another file. So folders are entered one by one, and a link in a folder
that belongs to another user is refused. Source: open(2), O_NOFOLLOW; openat(2).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

FOLDER_MODE: Final = 0o700
SECRET_MODE: Final = 0o600
SMALL_BYTES_MAX: Final = 1024 * 1024
_ROOT_UID: Final = 0
_DATABASE_PARTS: Final = ("", "-wal", "-shm")


def private_folder(path: Path) -> Path:
    """Make a folder that only we may enter, and return it.

    Raises:
        OSError: It cannot be made, or the path holds a link of another user.
    """
    with opened_folder(path, make=True) as folder:
        os.fchmod(folder, FOLDER_MODE)
    return path


def write_whole(path: Path, content: bytes, *, mode: int = SECRET_MODE, as_folder: bool = False) -> None:
    """Replace a file: after a power cut, or on a full disk, it holds the old content or the new, never part of either.

    A link at the file's place is replaced, not followed.

    Args:
        path: The file; its folder is there.
        content: All of it.
        mode: Who may read it.
        as_folder: Written by root, it belongs to the user of its folder, who is to read it.

    Raises:
        OSError: It cannot be written, or its folder is reached by a link of another user; the old content stands.
    """
    temporary = path.name + ".new"
    with opened_folder(path.parent) as folder:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SECRET_MODE, dir_fd=folder
        )
        with os.fdopen(descriptor, "wb") as file:  # Writes all of it or raises, where os.write may write a part.
            os.fchmod(descriptor, mode)
            if as_folder and os.geteuid() == _ROOT_UID:
                owner = os.fstat(folder)
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def read_small(path: Path) -> bytes:
    """Return the content of a small file that is no link, pipe or device.

    Raises:
        OSError: It cannot be read, is none of ours to follow, or has more than ``SMALL_BYTES_MAX`` bytes.
    """
    with opened_file(path) as file:
        content = file.read(SMALL_BYTES_MAX + 1)
    if len(content) > SMALL_BYTES_MAX:
        raise OSError(errno.EFBIG, f"more than {SMALL_BYTES_MAX} bytes", str(path))
    return content


@contextlib.contextmanager
def opened_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for the block, to read it; never a link, pipe or device.

    Raises:
        OSError: It cannot be opened so.
    """
    with opened_folder(path.parent) as folder:
        # A pipe that nobody writes to would hold the reader for ever.
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        yield file


def remove(path: Path) -> None:
    """Remove a file, or a link itself; on the disk on return.

    Raises:
        OSError: It cannot be removed; ``FileNotFoundError`` where there is none.
    """
    with opened_folder(path.parent) as folder:
        os.unlink(path.name, dir_fd=folder)
        os.fsync(folder)


def private_database(path: Path) -> tuple[str, ...]:
    """Make a SQLite file that nobody else may read, or take what others may do away from one of an older version.

    SQLite gives its ``-wal`` and ``-shm`` the mode of the file. The file is not opened: to close it again would end
    the locks that SQLite has on it in this process. Source: fcntl(2), "Advisory record locking"; open(2), O_PATH.

    Returns:
        The names of files that others could use until now.

    Raises:
        OSError: It cannot be made or changed.
    """
    mended = []
    with opened_folder(path.parent) as folder:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE, dir_fd=folder))
        for name in (path.name + part for part in _DATABASE_PARTS):
            try:
                descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
            except FileNotFoundError:
                continue
            try:
                mode = os.fstat(descriptor).st_mode
                if stat.S_ISREG(mode) and mode & 0o077:
                    Path(f"/proc/self/fd/{descriptor}").chmod(SECRET_MODE)
                    mended.append(name)
            finally:
                os.close(descriptor)
    return tuple(mended)


def sync_folder(folder: Path) -> None:
    """Put a folder's own entries on the disk."""
    with opened_folder(folder) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def opened_folder(path: Path, *, make: bool = False) -> Iterator[int]:
    """Open a folder for the block, entering each part of its path by itself.

    A link is followed only where it and the folder that holds it belong to root or to us.

    Args:
        path: The folder.
        make: Make what is missing of the path, private to us.

    Raises:
        OSError: A part is missing, is no folder, or is a link of another user.
    """
    here = os.open(path.absolute().anchor, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in path.absolute().parts[1:]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, FOLDER_MODE, dir_fd=here)
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | _following(here, part), dir_fd=here)
            os.close(here)
            here = below
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
    finally:
        os.close(here)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _following(folder: int, name: str) -> int:
    """Return the flag by which a part of a path is opened: a link only where nobody else can have put it there."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        return os.O_NOFOLLOW
    ours = {_ROOT_UID, os.geteuid()}
    if status.st_uid not in ours or os.fstat(folder).st_uid not in ours:
        raise OSError(errno.ELOOP, f"{name} is a link of another user, which is not followed")
    return 0
