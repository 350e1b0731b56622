"""What the machine says of a file, a port or a host reaches people in words: a handler of its errors tells a reason."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
FOLDERS = ("edge", "cloud", "firmware_sim", "sitewatt")
_OF_THE_MACHINE: Final = frozenset({"OSError", "ConnectionError", "FileNotFoundError", "PermissionError"})


def told_as_they_are(tree: ast.AST) -> Iterator[int]:
    """Yield the lines at which an error of the machine becomes text without a look at its reason."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None or handler.name is None:
            continue
        caught = {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}
        if not caught & _OF_THE_MACHINE:
            continue
        for node in (node for statement in handler.body for node in ast.walk(statement)):
            text = node.value if isinstance(node, ast.FormattedValue) else None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
                text = node.args[0]
            if isinstance(node, ast.expr) and isinstance(text, ast.Name) and text.id == handler.name:
                yield node.lineno


def test_no_sentence_has_an_error_of_the_machine_as_it_is() -> None:
    """It would have a number, and often the path once more."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in told_as_they_are(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_a_sentence_made_of_the_error_itself_is_seen() -> None:
    """The check can fail."""
    code = "try:\n    open('x')\nexcept (OSError, ValueError) as error:\n    raise ValueError(f'not read: {error}')\n"
    assert list(told_as_they_are(ast.parse(code))) == [4]
    assert not list(told_as_they_are(ast.parse(code.replace("{error}", "{reason_of(error)}"))))
