"""Plant a bug in a copy of the tree and see whether the swarm finds it: python -m tests.nightly.planted [--seed N].

Each is of a kind that was found once, by chance or by attack. A swarm that does not find one within ``MINUTES_MAX`` of
its search has lost a judge, or the luck that its report counts on.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.nightly.matrix import ROOT

MINUTES_MAX: Final = 30.0
RUN_MINUTES: Final = 2.0
_STAYS: Final = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__")


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A change of the tree: ``good`` stands once in each file that is named and becomes ``bad``."""

    name: str
    changes: tuple[tuple[str, str, str], ...]
    judges: tuple[str, ...]
    """Who is to find it, any of them."""

    def plant(self, tree: Path) -> None:
        """Change the files of a tree.

        Raises:
            ValueError: The tree is not what the bug was written for.
        """
        for name, good, bad in self.changes:
            path = tree / name
            text = path.read_text(encoding="utf-8")
            if text.count(good) != 1:
                raise ValueError(f"{self.name}: {name} has {text.count(good)} times {good!r}, not once")
            path.write_text(text.replace(good, bad), encoding="utf-8")


BUGS: Final = (
    Bug(
        name="trading raises while there is no outlook",
        changes=(
            (
                "edge/agent/trader.py",
                "        outlook = self._outlook(now)\n        self._wait(",
                "        outlook = self._outlook(now)\n        assert outlook.forecasts\n        self._wait(",
            ),
        ),
        judges=("processes_live", "refusals_typed"),
    ),
    Bug(
        name="the tables lose the last line of the ledger of each settlement",
        changes=(
            (
                "cloud/shell/market/projection.py",
                "        yield Put(key=keys.ledger_line(zone, start, line.number), body=body)",
                "        if line is not outcome.lines[-1]:\n"
                "            yield Put(key=keys.ledger_line(zone, start, line.number), body=body)",
            ),
        ),
        judges=("books_balance",),
    ),
    Bug(
        name="what an order asks lasts an hour longer than the order",
        changes=(
            (
                "edge/control/orders.py",
                "expires_s=now_s + (command.expires_at - now).total_seconds(),",
                "expires_s=now_s + (command.expires_at - now).total_seconds() + 3600,",
            ),
            (
                "edge/commands/executor.py",
                "expires_s = now_s + (command.expires_at - now).total_seconds()",
                "expires_s = now_s + (command.expires_at - now).total_seconds() + 3600",
            ),
        ),
        judges=("leases_end",),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Hunt:
    """What became of the search for one bug."""

    bug: Bug
    seed: int | None
    minutes: float
    said: str


def hunt(bug: Bug, *, seed: int) -> Hunt:
    """Search a copy of the tree for a planted bug, seed after seed, until it is found or the time is over."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sitewatt-planted-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=_STAYS)
        bug.plant(tree)
        said = ""
        while (minutes := (time.monotonic() - began_s) / 60) < MINUTES_MAX:
            said = _search(tree, seed)
            if any(f"FAILED  {judge}" in said for judge in bug.judges):
                return Hunt(bug=bug, seed=seed, minutes=(time.monotonic() - began_s) / 60, said=said)
            seed += 1
        return Hunt(bug=bug, seed=None, minutes=minutes, said=said)


def _search(tree: Path, seed: int) -> str:
    command = [
        sys.executable, "-m", "sitewatt", "sim", "swarm", "--seed", str(seed), "--minutes", str(RUN_MINUTES),
        "--sites", "2", "--shrink", "0",
    ]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(tree)}
    ran = subprocess.run(
        command, cwd=tree, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ran.stdout


def main() -> int:
    """Return 0 where every bug was found, 1 where one was not."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly.planted", description=__doc__)
    parser.add_argument("--seed", type=int, default=500, help="the first one")
    parser.add_argument("--bug", type=int, choices=range(1, len(BUGS) + 1), help="this one alone")
    arguments = parser.parse_args()
    missed = 0
    for bug in BUGS if arguments.bug is None else [BUGS[arguments.bug - 1]]:
        found = hunt(bug, seed=arguments.seed)
        if found.seed is None:
            missed += 1
            print(f"MISSED  {bug.name}, {found.minutes:.1f} min\n{found.said[-2000:]}", flush=True)
        else:
            print(f"found   {bug.name}: seed {found.seed}, {found.minutes:.1f} min", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
