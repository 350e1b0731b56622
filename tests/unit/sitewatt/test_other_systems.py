"""On a system that is none of ours a command says so in one sentence, and what only computes goes on working."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from sitewatt.__main__ import refusal_of

# What Windows has not: an import of it raises as it does there.
_WITHOUT = "import sys; sys.modules.update(dict.fromkeys(['fcntl', 'grp', 'pwd', 'resource', 'termios'])); "
SAFETY_S = 120.0


def _run_without(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"{_WITHOUT} sys.argv = ['sitewatt', *{arguments!r}]; from sitewatt.__main__ import main; main()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SAFETY_S, check=False)


@pytest.mark.parametrize(
    ("system", "arguments", "refused"),
    [
        ("nt", ["edge", "run"], True),
        ("nt", ["--json", "demo"], True),
        ("nt", ["edge", "setup", "--help"], False),
        ("nt", ["tariff", "list"], False),
        ("nt", [], False),
        ("posix", ["edge", "run"], False),
    ],
)
def test_windows_is_told_to_use_wsl_where_a_command_needs_a_unix(
    system: str, arguments: Sequence[str], refused: bool
) -> None:
    """Half a start and a traceback would send people away for good."""
    sentence = refusal_of(system, arguments)
    assert (sentence is not None) == refused
    assert sentence is None or "WSL" in sentence


def test_a_missing_part_of_a_unix_is_a_sentence_and_no_traceback() -> None:
    """Whatever slips through the list says what it missed."""
    done = _run_without("edge", "check", "--config", "nowhere.yaml")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "which this system has not" in done.stderr or "nowhere.yaml" in done.stdout + done.stderr
    assert _run_without("tariff", "list").returncode == 0
