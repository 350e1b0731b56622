"""The supply of a real file system is cut: what a store called kept is there, what was never synced is not.

Where this user may mount no file system, what is left of each test runs: the processes die, and the kernel keeps.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cloud.infra.rules import CONSUMERS, Stream
from cloud.local.sqlite_streams import SHARDS, StreamLog
from cloud.stores.sqlite import SqliteTables
from contracts.topics import Up
from edge.private_files import write_whole
from sitewatt.swarm.disk import Disk
from sitewatt.swarm.plan import FaultKind
from tests.support.synced_writer import KEY, WRITERS, open_outbox

KEPT_MIN = 20  # Numbers that are called kept before the cut.


def _in_outbox(folder: Path) -> int:
    with closing(open_outbox(folder)) as outbox:
        return max(record.seq for record in outbox.read(Up.METER, limit=100_000))


def _in_state(folder: Path) -> int:
    with closing(open_outbox(folder)) as outbox:
        return int(outbox.recall("number"))


def _in_file(folder: Path) -> int:
    return int((folder / "state" / "number").read_bytes())


def _in_tables(folder: Path) -> int:
    with closing(SqliteTables.open(folder / "cloud" / "tables.db")) as tables:
        item = tables.get(KEY)
        return 0 if item is None else int(item.body["number"])


def _in_streams(folder: Path) -> int:
    consumer = next(consumer for consumer in CONSUMERS if consumer.stream is Stream.METER)
    with closing(StreamLog.open(folder / "cloud" / "streams.db")) as streams:
        found = 0
        for shard in range(SHARDS):
            while records := streams.read(consumer, shard):
                found = max(found, *(int(record.data) for record in records))
                streams.passed(consumer, shard, records[-1].seq)
        return found


_READERS: dict[str, Callable[[Path], int]] = {
    "outbox": _in_outbox, "state": _in_state, "file": _in_file, "tables": _in_tables, "streams": _in_streams
}  # fmt: skip


@pytest.mark.parametrize("store", WRITERS)
def test_what_a_store_called_kept_outlives_a_cut_of_the_supply(tmp_path: Path, store: str) -> None:
    """A message that is numbered, a command's memory, a table's row: somebody was told that they are safe."""
    with Disk.under(tmp_path) as disk:
        never = tmp_path / "state" / "never-synced"
        # What a process tells goes past the disk that is cut.
        command = [sys.executable, "-m", "tests.support.synced_writer", store, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(KEPT_MIN)]
            os.kill(writer.pid, signal.SIGSTOP)
            never.write_bytes(b"gone")
            if disk is not None:
                disk.cut()
            writer.kill()
            said += [int(line) for line in writer.stdout if line.endswith(b"\n")]
        if disk is not None:
            disk.come_back()
        assert said == list(range(1, len(said) + 1))
        assert _READERS[store](tmp_path) >= said[-1], f"{store} called {said[-1]} kept"
        # Its name may be kept: another file's sync, or the kernel's own, writes the folder too, but no content of it.
        is_kept = never.exists() and never.read_bytes() == b"gone"
        assert is_kept == (disk is None), "the cut took nothing, so it proves nothing of what was kept"


def test_a_run_that_ends_in_the_dark_keeps_what_was_synced(tmp_path: Path) -> None:
    """Its folder is looked at afterwards, and its disk is not left behind."""
    with Disk.under(tmp_path) as disk:
        write_whole(tmp_path / "state" / "kept", b"kept")
        if disk is not None:
            disk.cut()
    assert (tmp_path / "state" / "kept").read_bytes() == b"kept"
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_a_swarm_that_is_asked_to_end_leaves_no_disk_behind(tmp_path: Path) -> None:
    """What stays mounted holds its file, and nobody knows whose it was."""
    with Disk.under(tmp_path) as disk:
        may_mount = disk is not None
    others = ",".join(kind for kind in FaultKind if kind is not FaultKind.POWER_CUT)
    command = ["sim", "swarm", "--seed", "15000", "--sites", "2", "--speed", "20", "--shrink", "0", "--without", others]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "sitewatt", *command], stderr=subprocess.PIPE, text=True, env=environ
    ) as swarm:
        assert swarm.stderr is not None
        said = [swarm.stderr.readline()]
        while said[-1] and not said[-1].startswith("broker"):
            said.append(swarm.stderr.readline())
        assert "power_cut" in "".join(said), said
        assert (str(tmp_path) in Path("/proc/mounts").read_text()) == may_mount, said
        swarm.terminate()
        swarm.stderr.read()
    assert swarm.returncode == 143, said
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not list(tmp_path.glob("sitewatt-swarm-*"))
