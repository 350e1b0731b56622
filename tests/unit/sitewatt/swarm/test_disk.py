"""What is kept of a run's disk when it is taken off."""

import os
import socket
from pathlib import Path

from sitewatt.swarm.disk import copy_files


def test_the_socket_of_a_process_that_was_killed_is_passed_over(tmp_path: Path) -> None:
    """It once ended a whole run without a word, and left its disk mounted."""
    source, target = tmp_path / "from", tmp_path / "to"
    (source / "home-1").mkdir(parents=True)
    target.mkdir()
    (source / "home-1" / "control.db").write_bytes(b"kept")
    descriptor = os.open(source / "home-1", os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{descriptor}/status.sock")  # A path of a socket is short.
    finally:
        os.close(descriptor)
    assert (source / "home-1" / "status.sock").is_socket()
    copy_files(source, target)
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["control.db"]
