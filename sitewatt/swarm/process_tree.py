"""The processes of a part: the one that was started and all that it started in turn."""

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO


def tree(pid: int) -> list[int]:
    """Return a process and everything below it, parents first; empty where it is gone.

    Source: proc(5), ``/proc/<pid>/task/<tid>/children``.
    """
    if not Path(f"/proc/{pid}").exists():
        return []
    found = [pid]
    for parent in found:
        # A process that ends while it is looked at has no children left; its threads come and go as well.
        for children in _children_of(parent):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split() if int(child) not in found]
    return found


def _children_of(pid: int) -> list[Path]:
    try:
        return [Path(thread.path) / "children" for thread in os.scandir(f"/proc/{pid}/task")]
    except OSError:
        return []


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes; who is gone already is passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def limit_files(pids: Iterable[int], *, bytes_max: int | None) -> None:
    """Let processes write no file beyond a size, ``None`` for any; who is gone already is passed over.

    A write beyond it fails with EFBIG, as one to a full disk does with ENOSPC. Source: setrlimit(2), RLIMIT_FSIZE.
    """
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if bytes_max is None else bytes_max, hard))


def descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open, zero where it is gone."""
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return 0


def waited_s(pids: Iterable[int]) -> dict[int, float]:
    """Return how long each thread of processes was ready to run in all and had no processor, in seconds by thread.

    A thread that sleeps, computes or holds a lock waits for nothing here, so this tells a machine that is too small
    from a program that is slow. Source: Linux, Documentation/scheduler/sched-stats.rst, ``/proc/<pid>/schedstat``
    field 2, in ns.
    """
    waited: dict[int, float] = {}
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, IndexError, ValueError):
                waited[int(stat.parent.name)] = int(stat.read_text().split()[1]) / 1e9
    return waited


@contextlib.contextmanager
def written_apart(log: Path) -> Iterator[tuple[IO[bytes], threading.Thread]]:
    """Give what a thread of ours appends to a log, and that thread, which ends when nobody holds the first any more.

    So a host's journal is written: a process that can write no file any more can still say so.
    """
    reading, writing = os.pipe()

    def copy() -> None:
        with os.fdopen(reading, "rb", buffering=0) as source, log.open("ab", buffering=0) as file:
            while said := source.read(1 << 16):
                file.write(said)

    writer = threading.Thread(target=copy, name=f"write {log.name}", daemon=True)
    writer.start()
    with os.fdopen(writing, "wb") as sink:
        yield sink, writer
