"""Help is as wide as the terminal, and no sentence of it is cut."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from sitewatt.__main__ import app, command_line


def _help(*words: str, columns: int) -> str:
    command = [sys.executable, "-m", "sitewatt", *words, "--help"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env={"COLUMNS": str(columns)}
    )
    return ended.stdout


def test_help_fills_a_wide_terminal_and_cuts_nothing_on_a_narrow_one() -> None:
    """Somebody who looks for a command reads what it does, not its first half."""
    narrow = " ".join(_help("edge", columns=80).split())
    assert "Take the local maintenance lock away; one that came as a command, or by a wired switch, stays." in narrow
    assert "..." not in narrow.replace("[ARGS]...", "")
    assert max(len(line) for line in _help("edge", columns=150).splitlines()) > 100


def _pages(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """Yield every command's path and its help."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield context.command_path, command.get_help(context)
    for below, one in getattr(command, "commands", {}).items():
        yield from _pages(one, below, context)


@pytest.mark.parametrize("columns", [40, 79, 80, 100])
def test_every_commands_help_fits_into_its_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone's terminal breaks longer lines in the middle of words."""
    shared = typer.main.get_command(app).context_class
    monkeypatch.setattr(shared, "formatter_class", shared.formatter_class)
    monkeypatch.setenv("COLUMNS", str(columns))
    pages = dict(_pages(command_line(columns), "sitewatt"))
    assert len(pages) > 100
    wide = [(path, line) for path, page in pages.items() for line in page.splitlines() if len(line.rstrip()) > columns]
    assert not wide


def test_a_narrow_terminal_shows_an_options_values_and_text_whole() -> None:
    """What stands side by side on a wide terminal stands one under the other here, and nothing is left out."""
    narrow, wide = ("".join(_help("market", "clear", columns=columns).split()) for columns in (40, 100))
    assert narrow == wide
    assert "--self-trade<cancel-resting|cancel-incoming|cancel-both|decrement>" in narrow
