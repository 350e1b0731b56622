"""Mutate the code that decides: python -m tests.mutants [GROUP ...] [--update].

Without a name every group runs. `--update` writes the results that a later run may not fall below, and docs/mutants.md.
"""

import argparse
import json
import sys
import tempfile
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.mutants.report import Reason, Result, fallen, page, results
from tests.mutants.run import ROOT, Group, Mutant, MutantError, judge

_HERE: Final = Path(__file__).parent
_RESULTS: Final = _HERE / "results.json"
_PAGE: Final = ROOT / "docs" / "mutants.md"


def groups() -> dict[str, Group]:
    """Return the groups of targets.toml by name."""
    raw = tomllib.loads((_HERE / "targets.toml").read_text(encoding="utf-8"))
    return {
        name: Group(
            name=name,
            files=tuple(group["files"]),
            tests=tuple(group["tests"]),
            without=tuple(file for other in group.get("without", ()) for file in raw[other]["files"]),
        )
        for name, group in raw.items()
    }


def reasons() -> tuple[Reason, ...]:
    """Return the judgements of reasons.toml."""
    raw = tomllib.loads((_HERE / "reasons.toml").read_text(encoding="utf-8"))
    return tuple(Reason(**reason) for reason in raw.get("reason", []))


def committed() -> dict[str, Result]:
    """Return the results that stand in the tree, by file."""
    raw = json.loads(_RESULTS.read_text(encoding="utf-8"))
    return {
        file: Result(file=file, **{**entry, "survivors": tuple(Mutant(**mutant) for mutant in entry["survivors"])})
        for file, entry in raw.items()
    }


def main() -> int:
    """Return 0 where no score fell, 1 where one did or a group could not be judged."""
    known = groups()
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"one of {', '.join(known)}; all when none is named")
    parser.add_argument("--update", action="store_true", help="write results.json and docs/mutants.md")
    parser.add_argument("--folder", type=Path, help="where the copies of the tree are made (default: a temporary one)")
    arguments = parser.parse_args()
    unknown = set(arguments.groups) - set(known)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    before = committed()
    judged: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="sitewatt-mutants-") as temporary:
        folder = arguments.folder or Path(temporary)
        for name in arguments.groups or known:
            try:
                judged += judge(known[name], folder / name)
            except MutantError as error:
                print(error, file=sys.stderr)
                return 1
    now = results(judged, before)
    for file, result in now.items():
        print(f"{file}: {result.killed} of {result.mutants} mutants killed, {result.percent} %")
    complaints = fallen(now, before)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if arguments.update:
        _write({**before, **now})
    return 1 if complaints else 0


def _write(now: dict[str, Result]) -> None:
    raw = {
        file: {**asdict(result), "survivors": [asdict(mutant) for mutant in result.survivors]}
        for file, result in now.items()
    }
    for entry in raw.values():
        del entry["file"]
    _RESULTS.write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _PAGE.write_text(page(now, reasons()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
