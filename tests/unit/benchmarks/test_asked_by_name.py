"""A benchmark that is asked for by name and has nothing to measure is no success."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "command",
    [("benchmarks", "solar_home"), ("benchmarks", "--json", "sites"), ("benchmarks.bench_solar_home",)],
    ids=" ".join,
)
def test_without_its_data_it_says_so_and_fails(command: tuple[str, ...], tmp_path: Path) -> None:
    """A figure in the documentation would stay as it was, and nobody would know."""
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={"SITEWATT_SERIES": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "measured" in ran.stderr and str(tmp_path) not in ran.stdout
