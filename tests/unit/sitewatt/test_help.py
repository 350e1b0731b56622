"""Help is as wide as the terminal, and no sentence of it is cut."""

import subprocess
import sys


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


def test_help_fits_into_a_terminal_of_forty_columns() -> None:
    """A phone's terminal breaks longer lines in the middle of words."""
    for words in ((), ("edge", "setup"), ("fleet", "update")):
        assert max(len(line) for line in _help(*words, columns=40).splitlines()) <= 40, words
