"""What processes hold, whoever else maps the same pages."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.memory_alone import memory_alone_mb

HELD_MB = 30


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Yield two processes with some memory of their own, which share the interpreter's pages with this one."""
    code = f"held = bytearray(b'x' * {HELD_MB * 1_000_000}); print('ready', flush=True); input()"
    with ExitStack() as stack:
        running = []
        for _ in range(2):
            each = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            stack.callback(each.kill)
            assert each.stdout is not None and each.stdout.readline() == b"ready\n"
            running.append(each.pid)
        yield running


def resident_mb(pid: int) -> float:
    """Return the resident MB of a process, as the kernel sums its mappings."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024 / 1e6


def test_a_process_alone_holds_all_that_is_resident(pids: list[int]) -> None:
    """That this test runs the same interpreter makes it no smaller."""
    for pid in pids:
        assert memory_alone_mb([pid])[pid] == pytest.approx(resident_mb(pid), abs=0.5)


def test_what_two_share_counts_once(pids: list[int]) -> None:
    """Their own memory twice, the interpreter's pages once, split evenly."""
    held = memory_alone_mb(pids)
    assert held[pids[0]] == pytest.approx(held[pids[1]], abs=0.5)
    assert 2 * HELD_MB < sum(held.values()) < 2 * resident_mb(pids[0]) - 1
