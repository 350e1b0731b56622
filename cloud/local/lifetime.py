"""When a local process ends: on a signal, or when the process that started it is gone; and how it and its tasks do."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from cloud.errors import CloudError, StoreError

PARENT_CHECK_S: Final = 0.5  # Real seconds; a process must be gone within two of them.
ASK_AGAIN_S: Final = 1.0  # Real seconds after which a task that was cancelled and goes on is cancelled again.
_PR_SET_PDEATHSIG: Final = 1


class StopRequested(Exception):
    """The operator, or the death of the parent, asks the process to end."""


async def stop_on_signal() -> None:
    """Wait for SIGTERM or SIGINT.

    Raises:
        StopRequested: One came.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await stopped.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    raise StopRequested("signal")


async def stop_with_parent(parent_pid: int | None) -> None:
    """Wait until the process that started us is gone; for ever without one.

    Raises:
        StopRequested: It is gone.
    """
    # The kernel tells nobody that a parent has gone, so we look.
    while parent_pid is None or os.getppid() == parent_pid:  # noqa: ASYNC110
        await asyncio.sleep(PARENT_CHECK_S)
    raise StopRequested("parent gone")


async def end(process: asyncio.subprocess.Process, *, within_s: float) -> None:
    """Ask a process to end, kill it where it has not within so many real seconds, and return when it has."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def ended(*tasks: "asyncio.Task[object]") -> None:
    """Cancel tasks and return when they have ended.

    Before Python 3.12 ``asyncio.wait_for`` may swallow a cancellation that comes as it ends, so who goes on is asked
    again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=ASK_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


def cause(error: BaseException) -> BaseException:
    """Return the first error inside groups of errors, one that asks to stop last."""
    while isinstance(error, BaseExceptionGroup):
        failures = error.split(StopRequested)[1]
        error = (failures or error).exceptions[0]
    return error


def exit_code_of(raised: BaseException) -> int:
    """Return how a process ends that was ended by this: 0 told to stop, 1 a store failed, 2 it cannot be set up.

    What is said to the operator goes to standard error, in one sentence.

    Raises:
        BaseException: Nobody expected it; it is raised again.
    """
    error = cause(raised)
    if isinstance(error, StopRequested):
        return 0
    if not isinstance(error, CloudError | ValueError):
        raise raised
    sys.stderr.write(f"{error}\n")
    return 1 if isinstance(error, StoreError) else 2


def end_process(main: Callable[[], int], *, failed: str) -> NoReturn:
    """Run a process and end it at once, whatever still runs in its threads; ``failed`` is logged where it raises."""
    try:
        code = main()
    except Exception:
        logging.exception(failed)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends; for use between fork and exec, and only on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
