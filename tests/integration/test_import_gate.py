"""The import contracts are red when somebody breaks them: forbidden imports are added to a copy, one by one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "contracts",
    "domain",
    "device_profiles",
    "tariffs",
    "page_parts",
    "edge",
    "cloud",
    "firmware_sim",
    "sitewatt",
)

PROBES = [
    ("edge/control/split.py", "edge.process.service_manager", "decisions are pure"),
    ("edge/control/split.py", "edge.inputs.lock", "arrows run down from site"),
    ("edge/devices/health.py", "edge.inputs.lock", "arrows run down from site"),
    ("edge/modbus/pdu.py", "edge.setup.finding", "arrows run down from site"),
    ("cloud/market/tools/inputs.py", "cloud.cost.prices", "arrows run down from local"),
    ("edge/loop/snapshot.py", "edge.telemetry.uplink", "no arrow from the rooms of control"),
    ("cloud/handlers/telemetry.py", "cloud.infra.rules", "what runs in the cloud does not read the stack's definition"),
    ("edge/control/split.py", "socket", "decisions are pure"),
    ("domain/forecasting/load.py", "cloud.stores.keys", "each side stands on domain and contracts"),
    ("firmware_sim/bank.py", "domain.forecasting.load", "the simulator stands on contracts alone"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the contracts look at."""
    folder = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.yaml", "*.csv")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def _lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_tree_as_it_is_keeps_every_contract(tree: Path) -> None:
    """Otherwise a red probe would prove nothing."""
    result = _lint(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("module", "imported", "contract"), PROBES)
def test_a_forbidden_import_breaks_its_contract(tree: Path, module: str, imported: str, contract: str) -> None:
    """A gate that names every room stops an arrow that runs back up."""
    path = tree / module
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(f"{text}\nimport {imported}\n", encoding="utf-8")
        result = _lint(tree)
    finally:
        path.write_text(text, encoding="utf-8")
    assert result.returncode != 0
    broken = [line for line in result.stdout.splitlines() if "BROKEN" in line]
    assert any(contract in line for line in broken), result.stdout


def test_a_new_loose_module_breaks_the_layers(tree: Path) -> None:
    """Every module of a side is in a layer; a room that nobody placed is refused."""
    path = tree / "edge" / "loose.py"
    path.write_text('"""A module that no layer names."""\n', encoding="utf-8")
    try:
        result = _lint(tree)
    finally:
        path.unlink()
    assert result.returncode != 0
    assert "loose" in result.stdout
