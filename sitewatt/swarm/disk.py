"""The disk of a neighbourhood: a cut of its supply takes what was not synced, as a real one does.

Everything that gateways, broker and cloud keep lies on one file system in a file. Where this user may not mount one,
a cut only kills, and what the kernel has taken stays.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sitewatt.demo.processes import ProcessFailed

_BYTES: Final = 1024 * 1024 * 1024  # The file is sparse: it takes what is written.
_KEPT: Final = ("state", "cloud", "broker")
# Source: linux/fs/ext4/ext4.h, EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH: nothing that waits for the disk
# reaches it any more, and every further write fails.
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2
_FREE_S_MAX: Final = 20.0  # Real seconds until the last process has let go of its files.


class Disk:
    """A file system of its own under the folders in which the parts of a run keep something."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image = folder / "disk.img"
        self._mounted = folder / "disk"
        self._is_cut = False

    @classmethod
    @contextlib.contextmanager
    def under(cls, folder: Path) -> Iterator["Disk | None"]:
        """Lay a disk under a run's folders for the block, ``None`` where it cannot be; what it holds stays in them."""
        disk = cls(folder)
        if not disk._make():
            yield None
            return
        try:
            yield disk
        finally:
            if disk._is_cut:  # Who ended the run did so in the dark; nothing can be read there.
                disk.come_back()
            disk._take_off(keep=True)
            disk._image.unlink()

    def cut(self) -> None:
        """Lose what was not synced. Nobody may be writing who would tell others of it: stop all parts before."""
        place = os.open(self._mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
            self._is_cut = True
        finally:
            os.close(place)

    def come_back(self) -> None:
        """Find what had been synced, by the file system's own journal; all parts must have ended.

        Raises:
            ProcessFailed: Somebody still holds files on it.
        """
        self._take_off(keep=False)
        self._put_on()
        self._is_cut = False

    def _make(self) -> bool:
        for name in ("disk", *_KEPT):
            (self._folder / name).mkdir(exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(_BYTES)
        try:
            _run("mkfs.ext4", "-q", "-F", str(self._image))
            self._put_on()
        except (OSError, subprocess.CalledProcessError):
            self._image.unlink()
            return False
        return True

    def _put_on(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self._mounted))
        for name in _KEPT:
            (self._mounted / name).mkdir(exist_ok=True)
            _run("mount", "--bind", str(self._mounted / name), str(self._folder / name))

    def _take_off(self, *, keep: bool) -> None:
        for name in _KEPT:
            self._unmount(self._folder / name)
        try:
            for name in _KEPT if keep else ():
                copy_files(self._mounted / name, self._folder / name)
        finally:
            self._unmount(self._mounted)

    def _unmount(self, place: Path) -> None:
        until_s = time.monotonic() + _FREE_S_MAX
        while True:
            try:
                return _run("umount", str(place))
            except subprocess.CalledProcessError as error:
                if time.monotonic() > until_s:
                    raise ProcessFailed(f"{place} is still in use: {error.stderr.decode().strip()}") from error
                time.sleep(0.2)


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of a folder; the sockets of processes that were killed are none, and cannot be copied."""

    def sockets(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if (Path(folder) / name).is_socket()]

    shutil.copytree(source, target, dirs_exist_ok=True, ignore=sockets)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)
