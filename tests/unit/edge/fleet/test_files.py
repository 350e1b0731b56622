"""What an identity and an update rest on: a file that is replaced whole or not at all."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge import private_files
from edge.fleet.update import launch

BOTH = pytest.mark.parametrize("write_whole", [private_files.write_whole, launch.write_whole])


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Let no file grow above a size for the block: a write then takes what fits, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@BOTH
def test_on_a_full_disk_the_old_content_stands(tmp_path: Path, write_whole: Callable[[Path, bytes], None]) -> None:
    """Half a note of an update, or half a secret, would be worse than the old one."""
    path = tmp_path / "note.json"
    write_whole(path, b"old")
    with _room_for(100), pytest.raises(OSError, match="File too large"):
        write_whole(path, b"x" * 1000)
    assert path.read_bytes() == b"old"
    write_whole(path, b"y" * 1000)
    assert path.read_bytes() == b"y" * 1000


@BOTH
def test_what_is_written_is_nobody_elses_to_read(tmp_path: Path, write_whole: Callable[[Path, bytes], None]) -> None:
    """A key is an identity."""
    write_whole(tmp_path / "key.pem", b"secret")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
