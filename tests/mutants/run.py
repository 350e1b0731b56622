"""Mutate one group of files in a copy of the tree and return what became of every mutant."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = (
    "contracts",
    "domain",
    "device_profiles",
    "tariffs",
    "edge",
    "cloud",
    "firmware_sim",
    "sitewatt",
    "benchmarks",
    "docs",
)
_DIFFS: Final = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
print(json.dumps({name: get_diff_for_mutant(name) for name in json.load(sys.stdin)}))
"""


class MutantError(Exception):
    """The tool could not judge a group; the message holds the end of what it printed."""


class Fate(StrEnum):
    """What the tests did with a mutant; one that ran into the time limit changed what is promised, so it counts."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNTESTED = "untested"


# A mutant that loops for ever is ended after so many times of what its tests took without a mutant.
_TIMEOUT_MULTIPLIER: Final = 4.0
# Source: mutmut 3.8, mutmut/stats.py, status_by_exit_code.
_SURVIVED: Final = 0
_NO_TESTS: Final = frozenset({5, 33})
_UNJUDGED: Final = frozenset({None, 2, 34})


@dataclass(frozen=True, kw_only=True)
class Group:
    """Files that are mutated together, and the tests that have to notice; ``without`` are left to another group."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One changed line: the tool's id, the file, and the line before and after (empty for a killed mutant)."""

    id: str
    file: str
    fate: Fate
    before: str = ""
    after: str = ""


def judge(group: Group, folder: Path) -> tuple[Mutant, ...]:
    """Run the tool over a group in a folder that is made anew.

    Raises:
        MutantError: The tests are red without a mutant, or a mutant was not judged.
    """
    files = tuple(
        str(path.relative_to(ROOT))
        for pattern in group.files
        for path in sorted(ROOT.glob(pattern))
        if path.name != "__init__.py" and str(path.relative_to(ROOT)) not in group.without
    )
    _copy_tree(group, files, folder)
    tool = Path(sys.executable).with_name("mutmut")
    ran = subprocess.run(
        [str(tool), "run", "--max-children", "1"],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    fates = [pair for file in files for pair in _fates(folder, file)]
    if ran.returncode != 0 or not fates:
        raise MutantError(
            f"group {group.name}: mutmut ended with {ran.returncode}; {(ran.stdout + ran.stderr)[-2000:]}"
        )
    diffs = _diffs(folder, [mutant.id for mutant in fates if mutant.fate is not Fate.KILLED])
    return tuple(_with_lines(mutant, diffs.get(mutant.id, "")) for mutant in fates)


def _copy_tree(group: Group, files: tuple[str, ...], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (*_PACKAGES, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, folder)
    settings = {
        "source_paths": files,
        "also_copy": (*_PACKAGES, "README.md", "CHANGELOG.md", "Makefile"),
        "pytest_add_cli_args": ("-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants"),
        "pytest_add_cli_args_test_selection": group.tests,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    lines += ["use_git_change_detection = false", "track_dependencies = false"]
    lines += [f"timeout_multiplier = {_TIMEOUT_MULTIPLIER}"]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text("\n".join([text, "[tool.mutmut]", *lines, ""]), encoding="utf-8")


def _fates(folder: Path, file: str) -> list[Mutant]:
    meta = folder / "mutants" / f"{file}.meta"
    if not meta.exists():
        return []
    codes: dict[str, int | None] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    unjudged = [name for name, code in codes.items() if code in _UNJUDGED]
    if unjudged:
        raise MutantError(f"{file}: {len(unjudged)} mutants were not judged, the first {unjudged[0]}")
    return [Mutant(id=name, file=file, fate=_fate(code)) for name, code in codes.items()]


def _fate(code: int | None) -> Fate:
    if code == _SURVIVED:
        return Fate.SURVIVED
    return Fate.UNTESTED if code in _NO_TESTS else Fate.KILLED


def _diffs(folder: Path, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    ran = subprocess.run(
        [sys.executable, "-c", _DIFFS], cwd=folder, input=json.dumps(names), capture_output=True, text=True, check=True
    )
    diffs: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return diffs


def _with_lines(mutant: Mutant, diff: str) -> Mutant:
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return Mutant(
        id=mutant.id,
        file=mutant.file,
        fate=mutant.fate,
        before=" ".join(line[1:].strip() for line in lines if line.startswith("-")),
        after=" ".join(line[1:].strip() for line in lines if line.startswith("+")),
    )
