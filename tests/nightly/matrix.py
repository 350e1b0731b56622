"""Run tests on the oldest and the newest Python that we support, with the newest and the lowest versions of libraries.

``python -m tests.nightly.matrix [--only 3.11-lowest] [pytest's arguments]``. Each combination has an environment of its
own under ``build/matrix``, which uv sets up; "lowest" is the least version of every direct dependency that
``pyproject.toml`` admits, so that a bound which is too low is red here and not on somebody's gateway. Debian 12's own
Python runs too: its asyncio is older than the last 3.11, and gateways run on it. Where the machine has none, that
combination is red.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PYTHONS: Final = ("3.11", "3.13")
DEBIAN_12: Final = "3.11.2"
RESOLUTIONS: Final = {"newest": "highest", "lowest": "lowest-direct"}


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One Python, and which versions of the libraries are installed for it."""

    python: str
    versions: str

    @property
    def name(self) -> str:
        """Return the combination's name, as ``--only`` takes it."""
        return f"{self.python}-{self.versions}"

    def commands(self, folder: Path, tests: list[str]) -> tuple[list[str], ...]:
        """Return what sets the combination up in a folder, and what runs the tests there.

        Args:
            folder: Where the environments are.
            tests: pytest's arguments; the whole suite without any.
        """
        environment = folder / self.name
        python = str(environment / "bin" / "python")
        uv = str(Path(sys.executable).with_name("uv"))
        versions = ["--resolution", RESOLUTIONS[self.versions], "--editable", f"{ROOT}[dev]"]
        return (
            [uv, "venv", "--quiet", "--clear", "--python", self.python, str(environment)],
            [uv, "pip", "install", "--quiet", "--python", python, *versions],
            [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider", *tests],
        )


COMBINATIONS: Final = (
    *(Combination(python=python, versions=versions) for python in PYTHONS for versions in RESOLUTIONS),
    Combination(python=DEBIAN_12, versions="newest"),
)


def run(combination: Combination, folder: Path, tests: list[str]) -> bool:
    """Set a combination up and run the tests; return whether all of it went well."""
    for command in combination.commands(folder, tests):
        print(f"{combination.name}: {' '.join(command)}", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            return False
    return True


def main() -> int:
    """Return 0 where every combination is green, 1 where one is not; all are tried."""
    names = [combination.name for combination in COMBINATIONS]
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.matrix", description=__doc__)
    parser.add_argument("--only", choices=names, action="append", help="a combination; all of them without it")
    arguments, tests = parser.parse_known_args()
    chosen = [combination for combination in COMBINATIONS if combination.name in (arguments.only or names)]
    folder = ROOT / "build" / "matrix"
    results = {combination.name: run(combination, folder, tests) for combination in chosen}
    for name, green in results.items():
        print(f"{name}: {'green' if green else 'red'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
