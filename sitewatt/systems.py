"""What a command needs of the system that it runs on, and the one sentence where the system has it not."""

import asyncio
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Final

# A gateway asks the kernel who speaks to it and holds files open without reading them; these commands start one, ask
# one, or keep a fleet's keys as it does. Source: unix(7), SO_PEERCRED; open(2), O_PATH; prctl(2), PR_SET_PDEATHSIG.
_LINUX: Final = frozenset({("edge",), ("demo",), ("sim", "swarm"), ("cloud", "local"), ("fleet", "provision")})
# Signals, serial lines and sockets as Linux and macOS have them. The other groups only compute.
_UNIX: Final = frozenset({("device",), ("sim",), ("fleet",), ("command",), ("cloud",), ("agent",)})
_UNIX_MODULES: Final = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"})
_SYSTEM_MODULES: Final[tuple[ModuleType, ...]] = (asyncio, os, select, signal, socket, time)
_KERNEL_FOLDERS: Final = ("/proc/", "/sys/")
_INSTEAD: Final = {
    "darwin": "on a Mac run it in a virtual machine with Linux",
    "win32": "on Windows run it in WSL (`wsl --install`), where everything is as on Linux",
}


def refusal_of(system: str, arguments: Sequence[str]) -> str | None:
    """Return why a command cannot run on a system, ``None`` where it can try.

    Args:
        system: As ``sys.platform`` has it.
        arguments: Of the command line.
    """
    if system == "linux" or {"-h", "--help"} & set(arguments):
        return None
    words = tuple(word for word in arguments if not word.startswith("-"))
    refused = _LINUX | _UNIX if system == "win32" else _LINUX
    command = next((words[:length] for length in (1, 2) if words[:length] in refused), None)
    return None if command is None else f"`sitewatt {' '.join(command)}` needs Linux; {_instead(system)}"


def absence_of(system: str, error: BaseException) -> str | None:
    """Return the sentence about a part of Linux that a command met and this system has not, ``None`` for other errors.

    Args:
        system: As ``sys.platform`` has it.
        error: What ended the command; of a group, the first that tells of such a part.
    """
    part = next((part for one in _each(error) if (part := _part_of(system, one)) is not None), None)
    return None if part is None else f"this command needs {part}, which this system has not; {_instead(system)}"


def _each(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _each(one)
    else:
        yield error


def _part_of(system: str, error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name in _UNIX_MODULES:
        return error.name
    if system == "linux":  # Where everything is, such an error is a mistake of ours.
        return None
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType) and error.obj in _SYSTEM_MODULES:
        return f"{error.obj.__name__}.{error.name}"
    if isinstance(error, FileNotFoundError) and str(error.filename).startswith(_KERNEL_FOLDERS):
        return str(error.filename)
    # How asyncio says that an event loop of this system has no signal handlers or child processes.
    return "a part of Linux" if isinstance(error, NotImplementedError) else None


def _instead(system: str) -> str:
    return _INSTEAD.get(system, "run it on Linux")
