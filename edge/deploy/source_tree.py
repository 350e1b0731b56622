"""The sources as a build takes them, so that two builds are the same byte by byte, and the wheel made from them.

The instant of a build is ``SOURCE_DATE_EPOCH``, else that of the last commit; modes and the order of files do not
depend on the machine. Source: reproducible-builds.org, SOURCE_DATE_EPOCH.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
UMASK: Final = 0o022  # What is built has these modes, whatever the builder's own are.
EPOCH_VARIABLE: Final = "SOURCE_DATE_EPOCH"
_EPOCH_WITHOUT_HISTORY_S: Final = 1_767_225_600  # 2026-01-01, for sources without their history.
_DOCUMENTS: Final = ("pyproject.toml", "README.md", "LICENSE")


class BuildError(Exception):
    """A tool failed, or is missing; the message says which and what it said."""


def project() -> dict[str, Any]:
    """Return the project's own description."""
    described: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return described


def epoch_s() -> int:
    """Return the instant that a build has, in seconds since 1970."""
    if told := os.environ.get(EPOCH_VARIABLE):
        return int(told)
    try:
        return int(run(["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]))
    except (BuildError, ValueError):
        return _EPOCH_WITHOUT_HISTORY_S


def build_wheel(out: Path, *, at_s: int, work: Path) -> Path:
    """Build the wheel into a folder and return its file.

    Args:
        out: Where the wheel goes.
        at_s: The instant that its files have, in seconds since 1970.
        work: An empty folder to build in.

    Raises:
        BuildError: A tool failed.
    """
    source = work / "source"
    for package in _packages():
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _DOCUMENTS:
        shutil.copy(ROOT / name, source / name)
    for path in source.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # The build's tools are those of the lock that are installed here, not the newest of a registry.
    run([*pip, "--no-build-isolation", f"--wheel-dir={out}", str(source)], epoch=at_s)
    made = set(out.glob("*.whl")) - before or before
    (wheel,) = made
    return wheel


def _packages() -> list[str]:
    """Return the top-level packages that the project ships."""
    patterns = project()["tool"]["setuptools"]["packages"]["find"]["include"]
    return [pattern.removesuffix("*") for pattern in patterns]


def run(command: list[str], *, epoch: int | None = None) -> str:
    """Return what a tool wrote to standard output.

    Raises:
        BuildError: It is missing or failed.
    """
    environment = {**os.environ, **({} if epoch is None else {EPOCH_VARIABLE: str(epoch)})}
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, umask=UMASK)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed; nothing is built") from error
    except subprocess.CalledProcessError as error:
        said = re.sub(r"(?m)^WARNING:.*\n", "", error.stderr).strip()
        raise BuildError(f"{' '.join(command[:4])} … failed: {said}; nothing is built") from error
    return done.stdout
