"""The promises of docs/safety.md are worth what their tests are: each named test exists and runs."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<promise>[^|`]+) \| `(?P<path>tests/[^`]+\.py)` \| `(?P<test>test_\w+)` \|$", re.MULTILINE)
_SECTION = re.compile(r"## Promises.*?(?=^## )", re.DOTALL | re.MULTILINE)


def _section() -> str:
    found = _SECTION.search((ROOT / "docs/safety.md").read_text(encoding="utf-8"))
    assert found is not None, "docs/safety.md has a list of promises"
    return found[0]


def _promises() -> list[tuple[str, str, str]]:
    return [(row["promise"], row["path"], row["test"]) for row in _ROW.finditer(_section())]


def test_every_row_of_the_list_is_a_promise_with_its_test() -> None:
    """A row of another form would be judged by nobody."""
    rows = [line for line in _section().splitlines() if line.startswith("|")]
    assert len(_promises()) == len(rows) - 2 >= 20
    assert len({promise for promise, _, _ in _promises()}) == len(_promises())


@pytest.mark.parametrize(("promise", "path", "test"), _promises(), ids=[test for _, _, test in _promises()])
def test_the_test_of_a_promise_exists_and_is_not_switched_off(promise: str, path: str, test: str) -> None:
    """A test that was renamed, or is skipped, leaves a promise that nobody checks."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    (function,) = [node for node in found if node.name == test]
    # The words are what this test looks for in others; nothing is switched off here.
    switched_off = [ast.unparse(one) for one in function.decorator_list if re.search("skip|xfail", ast.unparse(one))]
    assert not switched_off, f"{promise}: {switched_off}"
    assert any(isinstance(node, ast.Assert | ast.With | ast.AsyncWith | ast.Call) for node in ast.walk(function))
