"""The nightly run: every bound of pyproject.toml is tried, and a red part is in the report with its commit and seed."""

import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sitewatt.swarm.judges import JUDGES
from tests.nightly.__main__ import Outcome, parts, report, run
from tests.nightly.matrix import COMBINATIONS, ROOT
from tests.nightly.planted import BUGS, Bug


def test_the_matrix_begins_at_the_python_that_the_project_names_as_its_floor() -> None:
    """A floor that nobody tests is a promise that nobody keeps."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={COMBINATIONS[0].python}"
    assert {combination.versions for combination in COMBINATIONS} == {"newest", "lowest"}


def test_the_python_of_debian_12_is_one_of_the_matrix() -> None:
    """Two faults of asyncio stood on gateways and were invisible on every later 3.11."""
    assert "3.11.2-newest" in {combination.name for combination in COMBINATIONS}


def test_a_combination_installs_the_lowest_direct_versions_into_an_environment_of_its_own(tmp_path: Path) -> None:
    """The environment that tests run in every day stays as it is."""
    lowest = next(combination for combination in COMBINATIONS if combination.name == "3.11-lowest")
    _, install, tests = lowest.commands(tmp_path, ["tests/unit"])
    assert install[install.index("--resolution") + 1] == "lowest-direct"
    assert install[install.index("--python") + 1] == tests[0] == str(tmp_path / "3.11-lowest" / "bin" / "python")
    assert tests[-1] == "tests/unit"


def test_a_red_part_stands_in_the_report_with_the_end_of_what_it_printed() -> None:
    """The next morning somebody has to find what broke, and run it again."""
    outcome = run("swarm", ("sh", "-c", "echo first; echo the line sagged; exit 3"))
    assert (outcome.exit_code, outcome.tail[-1]) == (3, "the line sagged")
    text = report([outcome], commit="abc", seed=7, at=datetime(2026, 1, 2, 3, tzinfo=UTC))
    assert "Commit `abc`, seed 7." in text
    assert "| swarm | 3 |" in text
    assert "the line sagged" in text
    assert isinstance(outcome, Outcome)


def test_the_swarm_of_a_night_runs_from_the_seed_of_the_report() -> None:
    """A fault that chance found is found again by its seed."""
    command = parts(7)["swarm"]
    assert command[command.index("--seed") + 1] == "7"


def test_the_reader_of_series_meets_a_hundred_thousand_files_a_night() -> None:
    """The number goes by a key that the test itself reads; a change meets a few hundred."""
    command = parts(7)["series"]
    key, _, cases = command[1].partition("=")
    assert (command[0], int(cases)) == ("env", 100_000) and "--hypothesis-seed=7" in command
    assert f'"{key}"' in (ROOT / command[-1]).read_text(encoding="utf-8")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_bug_that_the_night_plants_still_fits_the_tree(bug: Bug, tmp_path: Path) -> None:
    """A bug that no longer changes anything would be missed, and a judge blamed for it."""
    for name, _, _ in bug.changes:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    bug.plant(tmp_path)
    for name, _, _ in bug.changes:
        compile((tmp_path / name).read_text(encoding="utf-8"), name, "exec")
    assert set(bug.judges) <= {judge.__name__ for judge in JUDGES}
