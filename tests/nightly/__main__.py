"""Run every long part and write one report: python -m tests.nightly [PART ...] [--seed N].

The report, ``build/nightly/<date>-<commit>.md``, names the commit and the seed, so that any red part can be run again.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.nightly.matrix import ROOT

LONG_S: Final = 7200  # A test that stands still this long is ended; the longest lasts ten minutes by design.
_TAIL_LINES: Final = 40
CASES_KEY: Final = "SITEWATT_FUZZ_CASES"


# The stack on the emulator, and what goes wrong there.
AWS: Final = tuple(f"tests/nightly/{path.name}" for path in sorted((ROOT / "tests" / "nightly").glob("aws*.py")))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one part: its exit code, how long it took, and the end of what it printed."""

    part: str
    command: tuple[str, ...]
    exit_code: int
    duration_s: float
    tail: tuple[str, ...]


def parts(seed: int) -> Mapping[str, tuple[str, ...]]:
    """Return the command of each part by name."""
    python = sys.executable
    sitewatt = str(Path(python).with_name("sitewatt"))
    return {
        "matrix": (python, "-m", "tests.nightly.matrix"),
        "mutants": (python, "-m", "tests.mutants"),
        "swarm": (sitewatt, "sim", "swarm", "--seed", str(seed), "--hours", "2"),
        "planted": (python, "-m", "tests.nightly.planted", "--seed", str(seed)),
        "conformance": (python, "-m", "tests.nightly.conformance"),
        "long": (python, "-m", "pytest", "-q", "-m", "nightly", "-o", f"faulthandler_timeout={LONG_S}"),
        "aws": (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={LONG_S}", *AWS),
        "home-assistant": (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/nightly/home_assistant.py"),
        "fuzz": (python, "-m", "tests.fuzz", "--inputs", "1000000", "--seed", str(seed)),
        "series": (
            *("env", f"{CASES_KEY}=100000", python, "-m", "pytest", "-q", "-o", "faulthandler_timeout=0"),
            *(f"--hypothesis-seed={seed}", "tests/unit/domain/series/test_fuzz.py"),
        ),
    }


def run(part: str, command: tuple[str, ...]) -> Outcome:
    """Run one part to its end, whatever it takes."""
    print(f"{part}: {' '.join(command)}", flush=True)
    began_s = time.monotonic()
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Outcome(
        part=part,
        command=command,
        exit_code=ran.returncode,
        duration_s=time.monotonic() - began_s,
        tail=tuple(ran.stdout.splitlines()[-_TAIL_LINES:]),
    )


def report(outcomes: Sequence[Outcome], *, commit: str, seed: int, at: datetime) -> str:
    """Return the report of a night."""
    lines = [
        f"# Nightly run of {at:%Y-%m-%d %H:%M} UTC",
        "",
        f"Commit `{commit}`, seed {seed}.",
        "",
        "| part | exit | minutes | command |",
        "|---|---:|---:|---|",
        *(
            f"| {outcome.part} | {outcome.exit_code} | {outcome.duration_s / 60:.1f} | `{' '.join(outcome.command)}` |"
            for outcome in outcomes
        ),
    ]
    for outcome in outcomes:
        lines += ["", f"## {outcome.part}", "", "```", *outcome.tail, "```"]
    return "\n".join([*lines, ""])


def main() -> int:
    """Return 0 where every part is green, 1 where one is not; all are run."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    names = tuple(parts(0))
    parser = argparse.ArgumentParser(prog="python -m tests.nightly", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(names)}; all when none is named")
    parser.add_argument("--seed", type=int, default=int(commit[:7], 16), help="default: from the commit")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(names)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    at = datetime.now(UTC)
    commands = parts(arguments.seed)
    outcomes = [run(part, commands[part]) for part in arguments.parts or names]
    folder = ROOT / "build" / "nightly"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{at:%Y%m%d-%H%M}-{commit[:12]}.md"
    path.write_text(report(outcomes, commit=commit, seed=arguments.seed, at=at), encoding="utf-8")
    print(path)
    return 0 if all(outcome.exit_code == 0 for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
