"""Pure packages wait for nobody and touch nothing: no await, no file, no clock, no environment in their code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = ("domain", "edge/control", "edge/trading", "cloud/market", "cloud/grid")
MODULES = sorted(path for package in PURE for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_decision_waits_for_nobody_and_opens_nothing(path: Path) -> None:
    """What a decision needs is handed in; then it can be replayed, and never blocks a control cycle."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith), _at(path, node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "input", "print", "eval", "exec"}, _at(path, node)
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"environ", "now", "utcnow", "today"} or _is_argument(node), _at(path, node)


def _is_argument(node: ast.Attribute) -> bool:
    """Return whether the attribute is of a value handed in, not of the classes that read the clock."""
    return not (isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date", "os", "time"})


def _at(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
