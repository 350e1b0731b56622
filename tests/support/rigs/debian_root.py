"""A clean Debian in a folder, made by debootstrap, and commands that run in it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge.deploy.build_deb import WHEEL_ARCH
from edge.deploy.image import archive_of_apt
from edge.deploy.source_tree import BuildError

SUITE = "bookworm"
PYTHON = "3.11"  # The suite's.
BOOTSTRAP_TIMEOUT_S = 900.0
COMMAND_TIMEOUT_S = 900.0  # An emulated processor is ten times slower.
EMULATED = 4


class NoDebian(Exception):
    """No clean Debian can be made here; the message says why and what to do."""


@dataclass(frozen=True)
class DebianRoot:
    """One Debian in a folder."""

    folder: Path

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command in it as root, demand its exit code, and return what it wrote to both streams."""
        done = subprocess.run(
            ["chroot", str(self.folder), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )
        assert done.returncode == code, f"{' '.join(command)} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def alive(self, *command: str) -> list[str]:
        """Return the command that runs one in it beside a ``/proc``, as a gateway needs, which goes when it ends."""
        way = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        return ["unshare", "--mount", "sh", "-c", way, str(self.folder), *command]

    def path(self, inside: str) -> Path:
        """Return where a path of it lies outside."""
        return self.folder / inside.lstrip("/")

    def copied(self, folder: Path) -> "DebianRoot":
        """Return a copy of it."""
        subprocess.run(["cp", "-a", "--reflink=auto", str(self.folder), str(folder)], check=True)
        return DebianRoot(folder)


def clean_debian(folder: Path, *, arch: str | None = None) -> DebianRoot:
    """Return a Debian with Python and systemd and little else.

    Args:
        arch: Debian's name of another architecture than this machine's, which an emulator runs then.

    Raises:
        NoDebian: It cannot be made here.
    """
    tool = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if tool is None:
        raise NoDebian("debootstrap is not installed, so the package cannot be tried; `make debian` installs it")
    if os.geteuid() != 0:
        raise NoDebian("only root can chroot, so the package cannot be tried; run this test as root")
    try:
        archive = archive_of_apt()
    except BuildError as error:
        raise NoDebian(str(error)) from error
    if arch is not None:
        _let_run(arch)
    options = ["--variant=minbase", "--include=python3,adduser,systemd", *([] if arch is None else [f"--arch={arch}"])]
    timeout_s = BOOTSTRAP_TIMEOUT_S if arch is None else EMULATED * BOOTSTRAP_TIMEOUT_S
    try:
        # It mounts /proc below the folder; in a mount namespace of its own that is gone with it, however it ends.
        subprocess.run(
            ["unshare", "--mount", tool, *options, SUITE, str(folder), archive],
            check=True,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stdout + error.stderr).strip().splitlines()[-3:]
        raise NoDebian(f"debootstrap cannot make {SUITE} from {archive}: {'; '.join(last)}") from error
    return DebianRoot(folder)


def _let_run(arch: str) -> None:
    """Let this machine's kernel start the programs of an architecture, by an emulator.

    Raises:
        NoDebian: It is not installed, or may not be registered.
    """
    machine = WHEEL_ARCH[arch]
    kernel, said = Path("/proc/sys/fs/binfmt_misc"), Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf")
    if (kernel / f"qemu-{machine}").exists():
        return
    if not said.exists():
        raise NoDebian(f"no emulator for {arch} is installed; Debian has it as qemu-user-static")
    try:
        if not (kernel / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(kernel)], check=True)
        (kernel / "register").write_text(said.read_text(encoding="utf-8").strip(), encoding="utf-8")
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoDebian(f"this kernel cannot be told of {arch}: {error}") from error
