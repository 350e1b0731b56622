"""Hinders a gateway from outside, so that nothing of it need stand in the product.

Python imports a module of this name at start. In a gateway's process, and only while ``SITEWATT_HINDER`` names a
folder, the site's clock is replaced by one that obeys two files there: ``hang`` lets the control task wait for ever
while everything else of the process runs on, ``step`` holds seconds by which the wall clock is off. In the site process
alone, a file ``site-<fault>`` (any gateway's) or ``<gateway>-site-<fault>`` is taken away and its fault done where the
process next looks at the clock, in the middle of what it does: ``raise``, ``block`` (without awaiting), ``eat`` (memory
to a limit), ``crash`` (as a native library).
"""

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

BLOCK_S = 10.0
EATEN_MAX = 64 * 1024 * 1024


def _raise() -> None:
    raise RuntimeError("a mistake in a part")


def _eat() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + EATEN_MAX, resource.RLIM_INFINITY))
    try:
        bytearray(2 * EATEN_MAX)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


FAULTS: dict[str, Callable[[], None]] = {
    "raise": _raise,
    "block": lambda: time.sleep(BLOCK_S),
    "eat": _eat,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
}


def _gateway() -> str:
    """Return the name of this process's gateway: that of its configuration file."""
    arguments = sys.orig_argv
    return Path(arguments[arguments.index("--config") + 1]).stem if "--config" in arguments else ""


def _fault(folder: Path) -> None:
    """Do the fault that is asked for, once."""
    for name, fault in FAULTS.items():
        for asked in (f"site-{name}", f"{_gateway()}-site-{name}"):
            try:
                (folder / asked).unlink()
            except FileNotFoundError:
                continue
            fault()


def _hinder(folder: Path) -> None:
    import contracts.clock

    plain = contracts.clock.parse_clock
    hang, step = folder / "hang", folder / "step"
    is_site = "site" in sys.orig_argv

    class HinderedClock:
        """A clock whose wall time is not derived from the monotonic clock, and so may step."""

        def __init__(self, inner: contracts.clock.Clock) -> None:
            self._inner = inner
            self.speed = inner.speed

        def now(self) -> datetime:
            if is_site:
                _fault(folder)
            try:
                off_s = float(step.read_text())
            except FileNotFoundError:
                off_s = 0.0
            return self._inner.now() + timedelta(seconds=off_s)

        def monotonic(self) -> float:
            return self._inner.monotonic()

        async def sleep(self, seconds: float) -> None:
            task = asyncio.current_task()
            if task is not None and task.get_name() == "control" and hang.exists():
                await asyncio.Event().wait()
            await self._inner.sleep(seconds)

    contracts.clock.parse_clock = lambda text: HinderedClock(plain(text))  # type: ignore[assignment]


if "SITEWATT_HINDER" in os.environ and "edge" in sys.orig_argv:
    _hinder(Path(os.environ["SITEWATT_HINDER"]))
