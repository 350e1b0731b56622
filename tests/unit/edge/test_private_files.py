"""What root does in a folder that another user may change stays in that folder."""

import os
from pathlib import Path

import pytest

from edge.private_files import (
    SMALL_BYTES_MAX,
    private_database,
    private_folder,
    read_small,
    remove,
    write_whole,
)


def test_a_link_at_a_files_place_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    """The temporary name and the name itself may both be links that somebody put there."""
    target = tmp_path / "target"
    target.write_text("theirs")
    target.chmod(0o640)
    folder = private_folder(tmp_path / "state")
    for name in ("file", "file.new"):
        (folder / name).symlink_to(target)
    write_whole(folder / "file", b"ours", mode=0o644)
    assert target.read_text() == "theirs"
    assert target.stat().st_mode & 0o777 == 0o640
    assert not (folder / "file").is_symlink()
    assert (folder / "file").read_bytes() == b"ours"
    assert (folder / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large"])
def test_only_small_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    """A pipe would hold the reader for ever; a link leads it to another's secrets."""
    path = tmp_path / "file"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"x" * (SMALL_BYTES_MAX + 1))
    with pytest.raises(OSError, match=r"file"):
        read_small(path)


def test_a_removed_link_leaves_its_target(tmp_path: Path) -> None:
    """Unlocking a site must not delete what a planted link names."""
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    remove(tmp_path / "link")
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]
    with pytest.raises(FileNotFoundError):
        remove(tmp_path / "link")


def test_a_database_of_an_older_version_is_closed_to_others_and_named(tmp_path: Path) -> None:
    """The log beside it holds the same readings."""
    path = tmp_path / "outbox.db"
    for name in ("outbox.db", "outbox.db-wal", "outbox.db-shm"):
        (tmp_path / name).touch(mode=0o644)
        (tmp_path / name).chmod(0o644)
    assert private_database(path) == ("outbox.db", "outbox.db-wal", "outbox.db-shm")
    assert {entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()} == {0o600}
    assert private_database(path) == ()
