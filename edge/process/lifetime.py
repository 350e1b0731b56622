"""When the gateway ends: on a signal, or when the process that started it is gone."""

import asyncio
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
PARENT_LOOK_S = 0.5  # Real seconds. The kernel tells nobody that a parent is gone, so we look.


class StopRequested(Exception):
    """The operator, or the end of the parent process, asks the gateway to stop."""


def reason_to_stop(group: BaseExceptionGroup[BaseException]) -> str:
    """Return the first reason in a group, which task groups within task groups have wrapped again."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)


async def stop_on_signal() -> None:
    """Wait for SIGTERM or Ctrl-C.

    Raises:
        StopRequested: It came.
    """
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, asked.set)
    try:
        await asked.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
    raise StopRequested("signal")


async def stop_with(parent_pid: int) -> None:
    """Wait until a process is no longer our parent.

    Raises:
        StopRequested: It is gone.
    """
    while os.getppid() == parent_pid:  # noqa: ASYNC110 (no event exists to wait for)
        await asyncio.sleep(PARENT_LOOK_S)
    raise StopRequested("parent gone")


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process the moment its parent ends, however that ends.

    Source: prctl(2), PR_SET_PDEATHSIG. A parent that ended before the kernel knew is seen by its number. On macOS,
    whose kernel has no such word, ``stop_with`` alone ends an orphan.

    Raises:
        SystemExit: The parent is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise SystemExit(1)
