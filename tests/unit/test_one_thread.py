"""Each process that may load numpy tells OpenBLAS first that one thread is enough."""

import os
import subprocess
import sys

import pytest

from domain.one_thread import ONE_THREAD

MULTIPLY = """
import contextlib, os, sys
sys.argv = ["it", "--help"]
{code}
import numpy
numpy.ones((600, 600)) @ numpy.ones((600, 600))
print(len(os.listdir("/proc/self/task")))
"""
ENTRIES = {
    "sitewatt": "sitewatt.__main__",
    "cloud": "cloud.local.__main__",
    "benchmarks": "benchmarks.__main__",
}


def threads_after(code: str) -> int:
    """Return how many threads a process has that ran some code and then multiplied matrices."""
    environ = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    command = [sys.executable, "-c", MULTIPLY.format(code=code)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    return int(told.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", ENTRIES.values(), ids=ENTRIES)
def test_a_process_multiplies_in_one_thread(module: str) -> None:
    """Several wait for each other by spinning, five times the work on a machine that has other work."""
    assert threads_after(f"from {module} import main\nwith contextlib.suppress(SystemExit): main()") == 1


def test_what_says_nothing_multiplies_in_as_many_as_there_are_cores() -> None:
    """Else the test above could not fail."""
    assert (threads_after("") > 1) == (len(os.sched_getaffinity(0)) > 1)
