"""The journal's writer is killed at random moments, again and again, on one file."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from contracts.clock import SystemClock
from contracts.topics import Up
from edge.telemetry.journal import Journal
from edge.telemetry.records import JournalState
from tests.support.link_parts import SITE

SEED = 20250601


def _run_until_killed(path: Path, *, lines_min: int) -> dict[Up, int]:
    """Let a writer say so many lines, kill it, and return the last number it promised in each channel."""
    command = [sys.executable, "-m", "tests.support.journal_writer", str(path), "3600"]
    promised: dict[Up, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout):
            _note(promised, line)
            if count >= lines_min:
                writer.kill()
                break
        for line in writer.stdout:
            if line.endswith("\n"):
                _note(promised, line)
    return promised


def _note(promised: dict[Up, int], line: str) -> None:
    channel, seq, committed = line.split()
    if committed == "1":
        promised[Up(channel)] = int(seq)


def _check(path: Path, promised: dict[Up, int]) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with closing(Journal.open(path, site=SITE, clock=SystemClock())) as journal:
        assert journal.stats().state is JournalState.DISK
        readings = [record.seq for record in journal.read(Up.METER, limit=100_000)]
        assert readings == list(range(1, len(readings) + 1)), "a settlement record is missing"
        assert len(readings) >= promised.get(Up.METER, 0)
        last = max((record.seq for record in journal.read(Up.TELEMETRY, limit=100_000)), default=0)
        assert last >= promised.get(Up.TELEMETRY, 0)
        epoch = journal.epoch
    with closing(Journal.open(path, site=SITE, clock=SystemClock())) as journal:
        assert journal.epoch == epoch


def _kill_often(path: Path, *, times: int) -> None:
    generator = random.Random(SEED)
    promised: dict[Up, int] = {}
    for _ in range(times):
        promised |= _run_until_killed(path, lines_min=generator.randrange(1, 60))
        _check(path, promised)


def test_a_killed_writer_loses_no_settlement_and_leaves_a_sound_file(tmp_path: Path) -> None:
    """Power goes when it wants to; what the journal promised must be there afterwards, and numbers go on."""
    _kill_often(tmp_path / "journal.db", times=5)


@pytest.mark.slow
def test_a_hundred_kills_lose_no_settlement(tmp_path: Path) -> None:
    """The same, often enough to meet the rare moments."""
    _kill_often(tmp_path / "journal.db", times=100)
