"""What each system lacks is told from a mistake of ours, and each command that lacks it names what to do instead."""

import os
import signal
from collections.abc import Sequence

import pytest

from sitewatt.systems import absence_of, refusal_of


@pytest.mark.parametrize(
    ("system", "arguments", "instead"),
    [
        ("win32", ["edge", "run"], "WSL"),
        ("win32", ["--json", "demo"], "WSL"),
        ("win32", ["edge", "setup", "--help"], None),
        ("win32", ["tariff", "list"], None),
        ("win32", [], None),
        ("darwin", ["edge", "run"], "virtual machine"),
        ("darwin", ["sim", "swarm", "--seed", "1"], "virtual machine"),
        ("darwin", ["sim", "device"], None),
        ("darwin", ["demo", "-h"], None),
        ("freebsd14", ["demo"], "run it on Linux"),
        ("linux", ["edge", "run"], None),
    ],
)
def test_a_command_that_needs_linux_says_where_to_run_it(
    system: str, arguments: Sequence[str], instead: str | None
) -> None:
    """Half a start and a traceback would send people away for good."""
    sentence = refusal_of(system, arguments)
    assert (sentence is None) == (instead is None)
    assert sentence is None or instead in sentence  # type: ignore[operator]  # Both are None or neither.


def _missing(name: str) -> AttributeError:
    return AttributeError(name=name, obj=os)


@pytest.mark.parametrize(
    ("system", "error", "part"),
    [
        ("win32", ModuleNotFoundError(name="fcntl"), "fcntl"),
        ("linux", ModuleNotFoundError(name="fcntl"), "fcntl"),
        ("darwin", _missing("O_PATH"), "os.O_PATH"),
        ("darwin", ExceptionGroup("tasks", [ValueError(), _missing("O_PATH")]), "os.O_PATH"),
        ("darwin", AttributeError(name="SIGPWR", obj=signal), "signal.SIGPWR"),
        ("darwin", FileNotFoundError(2, "No such file", "/proc/self/stat"), "/proc/self/stat"),
        ("win32", NotImplementedError(), "a part of Linux"),
        ("linux", _missing("O_PAHT"), None),
        ("darwin", AttributeError(name="power_w", obj=object()), None),
        ("darwin", FileNotFoundError(2, "No such file", "/home/site.yaml"), None),
        ("darwin", ModuleNotFoundError(name="edge.nothing"), None),
        ("darwin", ValueError("wrong"), None),
    ],
)
def test_only_what_a_system_lacks_becomes_a_sentence(system: str, error: Exception, part: str | None) -> None:
    """A mistake of ours keeps its traceback, on Linux and elsewhere."""
    sentence = absence_of(system, error)
    assert (sentence is None) == (part is None)
    assert sentence is None or f"needs {part}, which this system has not" in sentence
