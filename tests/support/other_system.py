"""Command lines as macOS or Windows would run them: this process loses what Python has on Linux and not there.

``python -m tests.support.other_system darwin < lines.json`` reads a list of argument lists and writes one answer each:
exit code, standard output, standard error; with arguments behind the system it runs that one line as it is. It proves
that nobody there is left with a traceback, not that a command works there. Source: Python 3.11, "Availability" in the
documentation of ``os``, ``signal``, ``socket``, ``select`` and ``asyncio``.
"""

import asyncio
import concurrent.futures.process
import contextlib
import importlib
import io
import json
import os
import select
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final

LINUX_ALONE: Final = {
    os: """O_PATH O_TMPFILE O_DIRECT O_NOATIME O_RSYNC O_LARGEFILE memfd_create eventfd eventfd_read eventfd_write
        sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler splice
        getrandom posix_fadvise posix_fallocate fdatasync pipe2 getxattr setxattr listxattr removexattr setresuid
        setresgid getresuid getresgid pidfd_open copy_file_range""",
    signal: "SIGPWR SIGSTKFLT SIGPOLL SIGRTMIN SIGRTMAX sigtimedwait sigwaitinfo pidfd_send_signal",
    socket: """AF_NETLINK AF_PACKET AF_VSOCK AF_CAN SO_PEERCRED SO_PASSCRED SO_BINDTODEVICE SO_MARK SO_DOMAIN
        SO_PROTOCOL TCP_QUICKACK TCP_USER_TIMEOUT TCP_KEEPIDLE SOCK_CLOEXEC SOCK_NONBLOCK""",
    select: "epoll",
    time: "CLOCK_BOOTTIME CLOCK_TAI",
}
UNIX_ALONE: Final = {
    os: """fork forkpty getuid geteuid getgid getegid getpgid getpgrp getsid setsid setpgid setuid setgid killpg chown
        lchown fchmod fchown chroot mkfifo mknod uname getloadavg sysconf nice statvfs fstatvfs O_NOFOLLOW O_DIRECTORY
        O_CLOEXEC O_NONBLOCK O_SYNC O_DSYNC O_NOCTTY pread pwrite preadv pwritev sendfile sync wait wait3 wait4 waitid
        WIFEXITED WIFSIGNALED WEXITSTATUS WTERMSIG WNOHANG getpriority setpriority initgroups getgroups openpty ttyname
        tcgetpgrp lockf posix_spawn register_at_fork""",
    signal: """SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGSTOP SIGCONT SIGTSTP SIGPIPE SIGALRM SIGCHLD SIGWINCH SIGTTIN
        SIGTTOU pthread_sigmask pthread_kill setitimer alarm pause sigwait siginterrupt""",
    socket: "AF_UNIX SO_REUSEPORT sethostname if_nameindex CMSG_LEN CMSG_SPACE",
    select: "poll",
    time: "tzset clock_settime pthread_getcpuclockid",
    asyncio: "start_unix_server open_unix_connection",
}
UNIX_MODULES: Final = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
# Folders that Linux alone has.
KERNEL_FOLDERS: Final = ("/proc", "/sys", "/run")
# The library of Python chooses by the system as it is imported, and this is Linux still.
_BEFOREHAND: Final = (concurrent.futures.process, sqlite3, ssl, subprocess, tempfile)
_BY_NAME: Final = (
    "click",
    "typer",
    "rich.console",
    "multiprocessing.connection",
    "ctypes",
    "http.server",
    "urllib.request",
    "zoneinfo",
)


def become(system: str) -> None:
    """Take from this process what another system has not; for good.

    Args:
        system: As ``sys.platform`` has it: ``darwin`` or ``win32``.
    """
    for name in _BY_NAME:
        importlib.import_module(name)
    lost = [LINUX_ALONE] if system == "darwin" else [LINUX_ALONE, UNIX_ALONE]
    for module, names in [pair for each in lost for pair in each.items()]:
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    if system == "win32":
        sys.modules.update(dict.fromkeys(UNIX_MODULES))  # type: ignore[arg-type]  # None is how an import is refused.
        setattr(asyncio.SelectorEventLoop, "add_signal_handler", _as_on_windows)  # noqa: B010 (a method is replaced)
    sys.addaudithook(_no_kernel_folders)
    sys.platform = system


def _as_on_windows(*_: object) -> None:
    """Do as the event loops of Windows do, which have no handlers of signals. Source: asyncio, "Platform Support"."""
    raise NotImplementedError


def _no_kernel_folders(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir", "socket.connect", "socket.bind"):
        path = arguments[1] if event.startswith("socket") else arguments[0]
        if isinstance(path, str) and path.startswith(tuple(f"{folder}/" for folder in KERNEL_FOLDERS)):
            raise FileNotFoundError(2, "No such file or directory", path)


def answer(line: Sequence[str]) -> tuple[int, str, str]:
    """Run one command line; return its exit code, what it wrote, and its complaints, a traceback among them."""
    from sitewatt.__main__ import main

    told, complained = io.BytesIO(), io.BytesIO()
    sys.argv = ["sitewatt", *line]
    code: Any = 0
    with (
        contextlib.redirect_stdout(io.TextIOWrapper(told, "utf-8", write_through=True)),
        contextlib.redirect_stderr(io.TextIOWrapper(complained, "utf-8", write_through=True)),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            code = 1
            traceback.print_exc()
        text = told.getvalue().decode(), complained.getvalue().decode()
    return int(code), *text


def main(system: str, line: Sequence[str]) -> None:
    """Run one line, or those that standard input has."""
    become(system)
    if line:
        from sitewatt.__main__ import main as command

        sys.argv = ["sitewatt", *line]
        command()
    else:
        json.dump([answer(each) for each in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
