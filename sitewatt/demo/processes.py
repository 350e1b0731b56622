"""Starts the processes of a neighbourhood, watches them, measures them, and leaves none behind.

Every process of ours is told its parent and ends by itself when the parent is gone, so that even ``kill -9`` of the
demonstration leaves nothing running.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sitewatt.swarm.process_tree import tree, written_apart

READY_TIMEOUT_S = (
    180.0  # Interpreters that start at once on a busy machine need most of a minute; the demonstration tells it.
)
STOP_TIMEOUT_S = 3.5  # Graceful stop; what is still there then is killed, within the 5 s that Ctrl-C promises.
LOG_S_MAX = 5.0  # What outlives the one that started it holds its log open.
_LINE_BYTES_MAX = 1 << 20


class ProcessFailed(Exception):
    """A process of the neighbourhood did not start or ended by itself."""


@dataclass(kw_only=True)
class Child:
    """One running process and where it writes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    ready: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=lambda: {"rss_mb": 0.0, "cpu_s": 0.0})

    @property
    def running(self) -> bool:
        """Return whether the process has not ended."""
        return self.process.returncode is None

    @property
    def end(self) -> str:
        """Return how the process ended, and the last that it wrote; the log may be thrown away by the one who reads."""
        code = self.process.returncode or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{how}: {_last_line(self.log)}"


class Processes:
    """The processes of one neighbourhood, by name."""

    def __init__(
        self,
        log_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        interpreters: Mapping[str, Path] | None = None,
        logs_apart: bool = False,
    ) -> None:
        """Write logs to a folder.

        Args:
            logs_apart: Whether this process writes each log, so that one that can write no file can still say so.
            environment: What is added to what every process inherits.
            interpreters: What runs a module, by its name, in place of the Python that runs this.
        """
        self._log_dir = log_dir
        self._interpreters = dict(interpreters or {})
        self._environment = dict(environment or {})
        self._logs_apart = logs_apart
        self._writers: list[threading.Thread] = []
        self._children: dict[str, Child] = {}
        self.all_started = False  # Set by whoever starts them, once nothing more is waited for.

    def __getitem__(self, name: str) -> Child:
        return self._children[name]

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    async def start(self, name: str, module: str, *arguments: str) -> Child:
        """Start ``python -m module`` and wait until it prints its line of readiness, a JSON object with ``ready``.

        Raises:
            ProcessFailed: It ended, or said nothing in time; the message carries the last line of its log.
        """
        log = self._log_dir / f"{name}.log"
        with self._sink(log) as sink:
            process = await asyncio.create_subprocess_exec(
                str(self._interpreters.get(module, sys.executable)),
                "-m",
                module,
                *arguments,
                "--parent-pid",
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                limit=_LINE_BYTES_MAX,
                env={**os.environ, **self._environment},
                start_new_session=True,  # Ctrl-C reaches the demonstration alone, which then stops the rest in order.
            )
        child = Child(name=name, process=process, log=log)
        self._children[name] = child
        child.ready = await _read_readiness(child)
        return child

    async def stop(self, names: Sequence[str]) -> None:
        """Ask processes to end, and kill after ``STOP_TIMEOUT_S`` those that have not."""
        children = [self._children[name] for name in names if name in self._children]
        for child in children:
            self._measure(child)
            if child.running:
                with contextlib.suppress(ProcessLookupError):
                    child.process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.gather(*(child.process.wait() for child in children))
        except TimeoutError:
            for child in children:
                self.kill(child.name)
            await asyncio.gather(*(child.process.wait() for child in children))

    def kill(self, name: str) -> None:
        """End a process and those that it started at once, as a power cut would; it leads a group of its own."""
        child = self._children[name]
        if child.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)

    async def stop_all(self) -> None:
        """End everything that is still running; all logs are whole then."""
        await self.stop(list(self._children))
        for writer in self._writers:
            await asyncio.to_thread(writer.join, LOG_S_MAX)
        self._writers.clear()

    @contextlib.contextmanager
    def _sink(self, log: Path) -> Iterator[IO[bytes]]:
        if not self._logs_apart:
            with log.open("ab") as file:
                yield file
            return
        with written_apart(log) as (sink, writer):
            self._writers.append(writer)
            yield sink

    def ended(self) -> list[Child]:
        """Return the processes that are no longer running."""
        return [child for child in self._children.values() if not child.running]

    def starting(self) -> list[str]:
        """Return the names of the processes that run and have not yet said that they are ready."""
        return [child.name for child in self._children.values() if child.running and not child.ready]

    def ready(self) -> list[str]:
        """Return the names of the processes that run and have said that they are ready."""
        return [child.name for child in self._children.values() if child.running and child.ready]

    def usage(self) -> dict[str, dict[str, float]]:
        """Return memory and processor time of each process, the last known where it has ended."""
        for child in self._children.values():
            self._measure(child)
        return {name: dict(child.usage) for name, child in self._children.items()}

    @staticmethod
    def _measure(child: Child) -> None:
        if child.running and (usage := usage_of_all(child.process.pid)) is not None:
            child.usage = usage


def usage_of_all(pid: int) -> dict[str, float] | None:
    """Return what a process and those that it started use together, ``None`` where none is left."""
    found = [usage for one in tree(pid) if (usage := usage_of(one)) is not None]
    if not found:
        return None
    return {name: round(sum(usage[name] for usage in found), 2) for name in found[0]}


def usage_of(pid: int) -> dict[str, float] | None:
    """Return resident memory (MB) and processor time (s) of a process, ``None`` where the system does not tell.

    Source: proc(5), ``/proc/<pid>/stat`` fields 14 and 15, ``/proc/<pid>/statm`` field 2.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    ticks = int(fields[11]) + int(fields[12])
    return {
        "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        "cpu_s": round(ticks / os.sysconf("SC_CLK_TCK"), 2),
    }


async def _read_readiness(child: Child) -> dict[str, Any]:
    assert child.process.stdout is not None
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while line := await child.process.stdout.readline():
                with contextlib.suppress(ValueError):
                    answer = json.loads(line)
                    if isinstance(answer, dict) and answer.get("ready"):
                        return answer
    except TimeoutError as error:
        raise ProcessFailed(
            f"{child.name} was not ready within {READY_TIMEOUT_S:.0f} s: {_last_line(child.log)}"
        ) from error
    await child.process.wait()
    raise ProcessFailed(f"{child.name}, not yet ready, {child.end}")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it wrote nothing"
