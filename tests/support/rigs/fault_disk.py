"""Disks that fill up or turn read-only under a running gateway, and the nearest thing where nothing may be mounted."""

import contextlib
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SIZE = 16 * 1024 * 1024


@dataclass(kw_only=True)
class Disk:
    """Where state lies. ``mounted`` is false where nobody may mount: then processes lose the right to write instead.

    Writing with a file size limit of zero fails with EFBIG at every offset. Source: setrlimit(2), RLIMIT_FSIZE.
    """

    folder: Path
    mounted: bool

    def fill(self, *pids: int) -> None:
        """Leave no room at all."""
        if not self.mounted:
            return self._take_writing(*pids)
        with (self.folder / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            for size in (65_536, 512, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(bytes(size)):
                        pass
        return None

    def turn_read_only(self, *pids: int) -> None:
        """Refuse every write from now on, also to files that are open, as a kernel does after an error of the card."""
        if not self.mounted:
            return self._take_writing(*pids)
        # Source: ext4(5), mount option ``abort``.
        _run("mount", "-o", "remount,abort", str(self.folder))
        return None

    @staticmethod
    def _take_writing(*pids: int) -> None:
        for pid in pids:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))


@contextlib.contextmanager
def disk(folder: Path, *, image: Path) -> Iterator[Disk]:
    """Mount a small file system of its own at a folder, where that is possible."""
    folder.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(_SIZE)
    try:
        _run("mkfs.ext4", "-q", "-F", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))
    except (OSError, subprocess.CalledProcessError):
        yield Disk(folder=folder, mounted=False)
        return
    try:
        yield Disk(folder=folder, mounted=True)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)
