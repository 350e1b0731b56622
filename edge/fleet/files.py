"""Files that survive a power cut whole or not at all, and keys that nobody else may read."""

import os
from pathlib import Path

FOLDER_MODE = 0o700
SECRET_MODE = 0o600


def private_folder(path: Path) -> Path:
    """Make a folder that only we may enter, and return it."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)
    return path


def write_whole(path: Path, content: bytes, *, mode: int = SECRET_MODE) -> None:
    """Replace a file: after a power cut, or on a full disk, it holds the old content or the new, never part of either.

    Raises:
        OSError: It cannot be written; the old content stands.
    """
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:  # Writes all of it or raises, where os.write may write a part.
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder's own entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
