"""Starts the version that should run; belongs to the packaged version and uses nothing but the standard library.

``python3 -m edge.fleet.update.launch ROOT [ARGUMENTS]``. A version on trial that was started more often than
``BOOTS_MAX`` without proving itself is taken back here, because it may be too broken to do so. A version that is not
newer than the packaged one is left behind: whoever installs a package means it. A power cut may come at any point; each
step is one rename.

Each process of a gateway may be started by a unit of its own (``--only control``, ``--only site``). The starts of a
trial are counted for each, and either that was started too often takes the whole version back. The other one then runs
an older choice than its peer: ``CHOSEN_S`` tells each when its version was chosen, and the older choice ends itself
(``edge/border/same_version.py``).

``ROOT/versions/<version>/`` are environments, whole once ``whole.json`` is in them; ``ROOT/current`` links to one, and
where there is none the packaged version runs, that of the interpreter that runs this; ``ROOT/update.json`` is the
update that is under way.
"""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BOOTS_MAX = 3
WHOLE = "whole.json"
CURRENT = "current"
PROGRESS = "update.json"
TRIAL = "trial"
TAKEN_BACK = "taken_back"
# Set for a version on trial: its refusal of a configuration is its own fault, and it is started again, and taken back.
ON_TRIAL = "SITEWATT_ON_TRIAL"
# When the version of this process was chosen: seconds of the machine's monotonic clock, the same in every process.
CHOSEN_S = "SITEWATT_CHOSEN_S"
# How often a version on trial was started: the control process or both, and the site process where it starts alone.
BOOTS, SITE_BOOTS = "boots", "site_boots"
LOCK = "launch.lock"
# Real seconds for a new interpreter to find its modules, on a board that is busy starting.
PROBE_S = 30.0
_PROBE = (
    "import sys, importlib.util as u; "
    "sys.exit(0 if all(u.find_spec(name) for name in ('edge.__main__', 'contracts.wire')) else 9)"
)
_UNPROVEN = ("accepted", TRIAL)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the folder's lock: one at a time chooses, counts or notes. It ends with the process, however that ends."""
    if not root.is_dir():
        yield  # Nothing was ever updated, so there is nothing to disagree about.
        return
    descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def choose(root: Path, *, packaged: str, counted: str = BOOTS) -> str | None:
    """Return the version to start, ``None`` for the packaged one, and count the start where it is on trial.

    Args:
        root: The folder of versions.
        packaged: The version of the package.
        counted: As whose start it counts, ``BOOTS`` or ``SITE_BOOTS``.
    """
    with alone(root):
        return _choose(root, packaged=packaged, counted=counted)


def _choose(root: Path, *, packaged: str, counted: str) -> str | None:
    progress = read_progress(root)
    if progress is not None and progress["stage"] in _UNPROVEN and not _newer(str(progress["version"]), packaged):
        progress = {**progress, "stage": TAKEN_BACK, "reason": f"package {packaged} was installed meanwhile"}
        write_progress(root, progress)
    if progress is not None and is_on_trial(root):
        boots = int(str(progress.get(counted, 0))) + 1
        if boots > BOOTS_MAX or not is_whole(root, str(progress["version"])):
            take_back(root, progress, f"started {boots - 1} times and did not prove itself")
        else:
            write_progress(root, {**progress, counted: boots})
    chosen = current(root)
    if chosen is not None and is_whole(root, chosen) and _newer(chosen, packaged):
        return chosen
    # Nobody has proven a version that is not linked but was being made.
    unproven = None if progress is None else progress["version"]
    proven = [name for name in installed(root) if is_whole(root, name) and name != unproven and _newer(name, packaged)]
    if chosen is None or not proven:
        (root / CURRENT).unlink(missing_ok=True)
        return None
    switch(root, proven[-1])
    return proven[-1]


def choose_starting(root: Path, *, packaged: str, counted: str = BOOTS) -> str | None:
    """Return the version to start, the next one where it does not start any more, at last the packaged one."""
    chosen = choose(root, packaged=packaged, counted=counted)
    while chosen is not None and not starts(root, chosen):
        # The system's Python was replaced below it, or its files are gone: it would be started for ever.
        sys.stderr.write(f"version {chosen} does not start any more; left behind\n")
        leave(root, chosen)
        chosen = choose(root, packaged=packaged, counted=counted)
    return chosen


def take_back(root: Path, progress: dict[str, object], reason: str) -> None:
    """Return to the version that ran before the trial, and note why."""
    switch(root, str(progress["running"]))
    write_progress(root, {**progress, "stage": TAKEN_BACK, "reason": reason})


def starts(root: Path, version: str) -> bool:
    """Say whether a version's interpreter runs and finds the version; one that is only slow is trusted."""
    python = root / "versions" / version / "bin" / "python"
    try:
        done = subprocess.run([str(python), "-I", "-c", _PROBE], capture_output=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
    return done.returncode == 0


def leave(root: Path, version: str) -> None:
    """Never choose a version again; a trial of it is taken back."""
    with alone(root):
        progress = read_progress(root)
        (root / "versions" / version / WHOLE).unlink(missing_ok=True)
        if progress is not None and is_on_trial(root):
            take_back(root, progress, f"{version} does not start")


def current(root: Path) -> str | None:
    """Return the version that is linked as current."""
    link = root / CURRENT
    return link.readlink().name if link.is_symlink() else None


def is_on_trial(root: Path) -> bool:
    """Say whether the version that is linked as current has yet to prove itself."""
    progress = read_progress(root)
    return progress is not None and progress["stage"] == TRIAL and current(root) == progress["version"]


def installed(root: Path) -> list[str]:
    """Return all versions, oldest first."""
    folder = root / "versions"
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted((name for name in names if _numbers(name)), key=_numbers)


def is_whole(root: Path, version: str) -> bool:
    """Say whether a version's environment is all there."""
    return (root / "versions" / version / WHOLE).exists()


def switch(root: Path, version: str) -> None:
    """Link a version as current, in one step; one that is not in the folder is the packaged one, which has no link."""
    if not is_whole(root, version):
        (root / CURRENT).unlink(missing_ok=True)
        sync(root)
        return
    following = root / f"{CURRENT}.new"
    following.unlink(missing_ok=True)
    following.symlink_to(Path("versions") / version, target_is_directory=True)
    following.replace(root / CURRENT)
    sync(root)


def read_progress(root: Path) -> dict[str, object] | None:
    """Return the update that is under way; ``None`` where there is none or its file cannot be read."""
    try:
        found = json.loads((root / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"stage", "version", "running"} <= found.keys() else None


def write_progress(root: Path, progress: dict[str, object]) -> None:
    """Note how far the update has come: after a power cut the note is the old one or the new."""
    write_whole(root / PROGRESS, json.dumps(progress).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    following = path.with_name(path.name + ".new")
    following.unlink(missing_ok=True)
    descriptor = os.open(following, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:  # Writes all of it or raises, where os.write may write a part.
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    following.replace(path)
    sync(path.parent)


def sync_tree(folder: Path) -> None:
    """Put all files below a folder on the disk, and then the folders: after a power cut none of them is empty."""
    for here, _, names in os.walk(folder):
        for name in names:
            path = Path(here) / name
            if path.is_file() and not path.is_symlink():
                sync(path)
        sync(Path(here))


def sync(folder: Path) -> None:
    """Put a folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _newer(one: str, other: str) -> bool:
    return _numbers(one) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: three numbers, whatever follows them; none where it is no version."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in found.groups()) if found else ()


def main() -> None:
    """Become the chosen version."""
    from importlib.metadata import version  # Takes 4 MB, and the parent of a gateway imports this module for a name.

    root, arguments = Path(sys.argv[1]), sys.argv[2:]
    packaged = version("sitewatt")
    counted = SITE_BOOTS if arguments[-2:] == ["--only", "site"] else BOOTS
    chosen = choose_starting(root, packaged=packaged, counted=counted)
    python = sys.executable if chosen is None else str(root / "versions" / chosen / "bin" / "python")
    environ = {name: value for name, value in os.environ.items() if name != ON_TRIAL}
    environ[CHOSEN_S] = repr(time.monotonic())
    if is_on_trial(root):
        environ[ON_TRIAL] = "1"
    # Isolated: neither the folder that we are started in nor the user's own modules are looked at.
    os.execve(python, [python, "-I", "-m", "edge", *arguments], environ)


if __name__ == "__main__":
    main()
