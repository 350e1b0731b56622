"""A Debian in a folder that is booted: its own systemd as process 1 of name spaces of its own."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.rigs.debian_root import DebianRoot

SAFETY_S = 120.0
_LOOK_S = 0.2

# A root of its own, since units with a private view of the files move mounts below it. Source: pivot_root(8).
_BOOT = """
set -e
cd "$1"
mount --make-rprivate /
mount --bind . . && cd "$1"
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --rbind /dev dev
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mkdir -p sys/fs/cgroup/systemd sys/fs/cgroup/unified outside
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
pivot_root . outside
exec /bin/sh -c 'umount -l /outside
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd'
"""


@dataclass(frozen=True, kw_only=True)
class Booted:
    """A running Debian; ``init`` is its first process, seen from outside."""

    root: DebianRoot
    init: int

    def run(self, *command: str) -> str:
        """Run a command in it, whatever its exit code, and return what it wrote."""
        inside = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd", *command]
        done = subprocess.run(
            inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            timeout=SAFETY_S, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout

    def shows(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def kill(self, unit: str, number: signal.Signals) -> None:
        """Send a signal to a unit's main process."""
        self.run("systemctl", "kill", "--kill-who=main", f"--signal={number.name}", unit)


@contextlib.contextmanager
def booted(root: DebianRoot) -> Iterator[Booted]:
    """Boot a Debian for the block; nothing of it is left when that ends.

    Raises:
        AssertionError: It does not boot here; the message says what systemd said.
    """
    log = root.folder.with_suffix(".boot")
    spaces = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child=SIGKILL"]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*spaces, "sh", "-c", _BOOT, "boot", str(root.folder)], stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        system = Booted(root=root, init=_first_process(process, log))
        until_s = time.monotonic() + SAFETY_S
        while system.run("systemctl", "is-system-running").strip() not in {"running", "degraded"}:
            assert time.monotonic() < until_s and process.poll() is None, f"no boot here: {log.read_text()}"
            time.sleep(_LOOK_S)
        yield system
    finally:
        process.kill()
        process.wait()


def _first_process(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Return the child of ``unshare`` that became systemd."""
    until_s = time.monotonic() + SAFETY_S
    while time.monotonic() < until_s and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/exe").readlink().name == "systemd":
                    return int(child)
        time.sleep(_LOOK_S)
    raise AssertionError(f"systemd does not start here: {log.read_text()}")
