"""The local cloud and its broker as real processes, and a client that publishes like a gateway."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiomqtt

from sitewatt.swarm.process_tree import signal_all, tree, written_apart

SAFETY_S = 120.0
CHECK_S = 0.02
LOG_S_MAX = 30.0  # A child that outlives its parent holds its log open.

T = TypeVar("T")


class Process:
    """One ``python -m`` process that says when it is ready; ``inside`` stands before the command."""

    def __init__(self, *arguments: str, folder: Path, inside: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self._inside = inside
        self._writer: threading.Thread | None = None
        self._log = folder / f"{arguments[0]}.log"
        self.process: asyncio.subprocess.Process | None = None
        self.ready: dict[str, Any] = {}

    @property
    def log(self) -> str:
        """Return what it has written to standard error; once it has ended, all of it."""
        if self._writer is not None and self.process is not None and self.process.returncode is not None:
            self._writer.join(LOG_S_MAX)
        return self._log.read_text()

    async def start(self, *, wait: bool = True) -> None:
        """Start it, and return when it says that it is ready."""
        with written_apart(self._log) as (log, self._writer):
            self.process = await asyncio.create_subprocess_exec(
                *self._inside, sys.executable, "-m", *self._arguments, "--parent-pid", str(os.getpid()),
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        if wait:
            await self.until_ready()

    async def until_ready(self) -> None:
        """Wait for the line that says so."""
        assert self.process is not None and self.process.stdout is not None
        async with asyncio.timeout(SAFETY_S):
            line = await self.process.stdout.readline()
        assert line, f"{self._arguments[0]} ended: {self.log}"
        self.ready = json.loads(line)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(SAFETY_S):
            code = await self.process.wait()
            if self._writer is not None:
                await asyncio.to_thread(self._writer.join, LOG_S_MAX)
        return code

    async def kill(self) -> None:
        """Kill it with all that it started, so that nothing is saved."""
        assert self.process is not None
        signal_all(tree(self.process.pid)[::-1], signal.SIGKILL)
        await self.stop(signal.SIGKILL)


@asynccontextmanager
async def started(process: Process) -> AsyncIterator[Process]:
    """Run a process for the block."""
    await process.start()
    try:
        yield process
    finally:
        await process.stop(signal.SIGKILL if process.process and process.process.returncode is None else 0)


@asynccontextmanager
async def gateway(port: int, host: str = "127.0.0.1", **arguments: Any) -> AsyncIterator[aiomqtt.Client]:
    """Connect like a gateway."""
    async with aiomqtt.Client(host, port, timeout=SAFETY_S, **arguments) as client:
        yield client


async def eventually(found: Callable[[], T | None]) -> T:
    """Wait until something is found and return it."""
    async with asyncio.timeout(SAFETY_S):
        while True:
            value = found()
            if value:
                return value
            await asyncio.sleep(CHECK_S)
