"""The outbox's writer is killed at random moments, again and again, on one file."""

import contextlib
import multiprocessing
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from signal import SIGKILL

import pytest

from contracts.clock import SystemClock
from contracts.topics import Up
from edge.outbox.outbox import Outbox
from edge.outbox.records import OutboxState
from tests.support.brokers.link_parts import SITE
from tests.support.rigs.outbox_writer import write

SEED = 20250601


# A server that has imported the writer forks one after the other; each is a process of its own, killed for good.
_WRITERS = multiprocessing.get_context("forkserver")
_WRITERS.set_forkserver_preload(["tests.support.rigs.outbox_writer"])


def _run_until_killed(path: Path, *, lines_min: int) -> dict[Up, int]:
    """Let a writer say so many lines, kill it, and return the last number it promised in each channel."""
    promised: dict[Up, int] = {}
    heard, said = _WRITERS.Pipe(duplex=False)
    writer = _WRITERS.Process(target=write, args=(path, 3600.0, said))
    writer.start()
    said.close()
    with heard, contextlib.suppress(EOFError):
        for _ in range(lines_min + 1):
            _note(promised, heard.recv_bytes().decode())
        writer.kill()
        while True:
            _note(promised, heard.recv_bytes().decode())
    writer.join()
    assert writer.exitcode == -SIGKILL, "the writer ended by itself"
    writer.close()
    return promised


def _note(promised: dict[Up, int], line: str) -> None:
    channel, seq, committed = line.split()
    if committed == "1":
        promised[Up(channel)] = int(seq)


def _check(path: Path, promised: dict[Up, int]) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with closing(Outbox.open(path, site=SITE, clock=SystemClock())) as outbox:
        assert outbox.stats().state is OutboxState.DISK
        readings = [record.seq for record in outbox.read(Up.METER, limit=100_000)]
        assert readings == list(range(1, len(readings) + 1)), "a settlement record is missing"
        assert len(readings) >= promised.get(Up.METER, 0)
        last = max((record.seq for record in outbox.read(Up.TELEMETRY, limit=100_000)), default=0)
        assert last >= promised.get(Up.TELEMETRY, 0)
        epoch = outbox.epoch
    with closing(Outbox.open(path, site=SITE, clock=SystemClock())) as outbox:
        assert outbox.epoch == epoch


def _kill_often(path: Path, *, times: int) -> None:
    generator = random.Random(SEED)
    promised: dict[Up, int] = {}
    for _ in range(times):
        promised |= _run_until_killed(path, lines_min=generator.randrange(1, 60))
        _check(path, promised)


def test_a_killed_writer_loses_no_settlement_and_leaves_a_sound_file(tmp_path: Path) -> None:
    """Power goes when it wants to; what the outbox promised must be there afterwards, and numbers go on."""
    _kill_often(tmp_path / "journal.db", times=5)


@pytest.mark.slow
def test_a_hundred_kills_lose_no_settlement(tmp_path: Path) -> None:
    """The same, often enough to meet the rare moments."""
    _kill_often(tmp_path / "journal.db", times=100)
