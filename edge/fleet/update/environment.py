"""Makes and tries an environment for a version: a virtual environment with the artefact unpacked into it.

The dependencies are those of the packaged environment: an update that needs others comes as a package of the system.
"""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Protocol

from contracts.reasons import file_reason_of, reason_of
from edge.errors import UpdateFailed

MAKE_TIMEOUT_S = 300.0
TRY_TIMEOUT_S = 60.0
_BASE = "zz_base.pth"


class Environments(Protocol):
    """How an environment is made and tried. Both block, and bound themselves.

    Raises:
        UpdateFailed: From both; the sentence says what went wrong.
    """

    def make(self, artefact: Path, folder: Path) -> None:
        """Make an environment of an artefact in a new folder; ``folder/bin/python -m edge`` runs it."""

    def try_out(self, folder: Path) -> None:
        """Start what is in an environment as far as is possible beside a running gateway."""


class VenvEnvironments:
    """Virtual environments of the interpreter that runs now."""

    def __init__(self, *, trial: tuple[str, ...] = ("-I", "-m", "edge", "--help")) -> None:
        """Prepare; ``trial`` is what the new interpreter is run with to see that the version starts."""
        self._trial = trial

    def make(self, artefact: Path, folder: Path) -> None:
        """See ``Environments``."""
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], timeout_s=MAKE_TIMEOUT_S)
        site_packages = next(folder.glob("lib/python*/site-packages"), None)
        if site_packages is None:
            raise UpdateFailed(f"{folder} has no site-packages; the version is given up")
        try:
            with zipfile.ZipFile(artefact) as wheel:
                _refuse_escapes(wheel, site_packages)
                wheel.extractall(site_packages)
        except (zipfile.BadZipFile, OSError) as error:
            raise UpdateFailed(
                f"the artefact cannot be unpacked: {reason_of(error)}; the version is given up"
            ) from error
        # Below the artefact in the search order: what the version brings itself wins.
        (site_packages / _BASE).write_text(f"{packaged_modules()}\n")

    def try_out(self, folder: Path) -> None:
        """See ``Environments``."""
        _run([str(folder / "bin" / "python"), *self._trial], timeout_s=TRY_TIMEOUT_S)


def packaged_modules() -> Path:
    """Return the folder of the packaged environment's modules, also where an updated version runs now."""
    own = Path(sysconfig.get_paths()["purelib"])
    base = own / _BASE
    return Path(base.read_text().strip()) if base.exists() else own


def _refuse_escapes(wheel: zipfile.ZipFile, target: Path) -> None:
    for name in wheel.namelist():
        if not (target / name).resolve().is_relative_to(target.resolve()):
            raise UpdateFailed(f"the artefact holds {name!r}, outside its folder; the version is given up")


def _run(command: list[str], *, timeout_s: float) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpdateFailed(f"{' '.join(command)} failed: {file_reason_of(error)}; the version is given up") from error
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise UpdateFailed(f"{' '.join(command)} ended with {done.returncode}: {told[0]}; the version is given up")
