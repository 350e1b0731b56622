"""The service manager hears of readiness and of cycles, and of nothing else."""

import socket
from pathlib import Path

from edge.process.service_manager import SIGNS, ServiceManager


def _manager(folder: Path) -> tuple[socket.socket, str]:
    path = str(folder / "notify")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(path)
    listening.setblocking(False)
    return listening, path


def _heard(listening: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(listening.recv(100))
        except BlockingIOError:
            return found


def test_readiness_and_the_end_are_said(tmp_path: Path) -> None:
    """Type=notify holds the start up until it hears of it."""
    listening, path = _manager(tmp_path)
    with listening:
        manager = ServiceManager({"NOTIFY_SOCKET": path})
        manager.ready()
        manager.stopping()
        assert _heard(listening) == [b"READY=1", b"STOPPING=1"]


def test_many_cycles_are_few_signs_of_life(tmp_path: Path) -> None:
    """A cycle a second must not be a datagram a second; the first one is said at once."""
    listening, path = _manager(tmp_path)
    with listening:
        manager = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(SIGNS * 3_600_000_000)})
        for _ in range(100):
            manager.cycle_done()
        assert _heard(listening) == [b"WATCHDOG=1"]


def test_without_a_watchdog_cycles_are_not_said(tmp_path: Path) -> None:
    """The manager did not ask."""
    listening, path = _manager(tmp_path)
    with listening:
        ServiceManager({"NOTIFY_SOCKET": path}).cycle_done()
        assert _heard(listening) == []


def test_no_manager_and_a_deaf_one_cost_nothing(tmp_path: Path) -> None:
    """A site is controlled whoever listens."""
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        manager = ServiceManager(environ)
        manager.ready()
        manager.cycle_done()
