"""What a person types where a number or a choice belongs is refused in plain words by every command."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewatt.__main__ import app, command_line, register

# Options that take a number or one of some words, by how help shows them; any other takes what it is given.
_BOUNDED = re.compile(r"<(int|float|[a-z0-9_.-]+\|)")
_LIBRARYS = ("Input ", "should ", "Value error", "unable to parse", "valid integer", "valid number", "pydantic")


def _options(command: Any, path: tuple[str, ...] = (), parent: Any = None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of every command and each of its options that some words do not fit."""
    context = command.make_context(path[-1] if path else "sitewatt", [], parent=parent, resilient_parsing=True)
    for parameter in command.params:
        names, _ = parameter.get_help_record(context) or ("", "")
        if parameter.opts[0].startswith("--") and _BOUNDED.search(names):
            yield path, parameter.opts[0]
    for name, below in getattr(command, "commands", {}).items():
        yield from _options(below, (*path, name), context)


def test_no_command_refuses_an_argument_in_a_librarys_words() -> None:
    """An installer learns what was typed and what would be right."""
    options = list(_options(command_line(100)))
    assert len(options) > 60, "the walk found what there is"
    for path, option in options:
        refused = CliRunner().invoke(app, [*path, option, "some words"])
        assert refused.exit_code == 2 and "some words" in refused.output, (path, option, refused.output)
        assert not any(word in refused.output for word in _LIBRARYS), refused.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--sites", "x"], "'--sites': 'x', must be a whole number"),
        (["demo", "--speed", "61"], "'--speed': '61', must be less than or equal to 60"),
        (["demo", "--page-port", "70000"], "'--page-port': '70000', must be less than or equal to 65535"),
        (["market", "clear", "a-file", "--self-trade", "x"], "'--self-trade': 'x' is not one of 'cancel-resting', "),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_would_be_right(arguments: list[str], words: str) -> None:
    """One line says all that is needed to type it again."""
    register()
    refused = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert refused.exit_code == 2 and words in refused.output
