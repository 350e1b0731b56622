"""Unix sockets in a gateway's state folder: its user's own, reached through the folder, however deep that lies.

The name of a socket may have no more than 108 bytes, so its path leads over the folder's descriptor. Source: unix(7).
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path


def listening(folder: Path, name: str) -> socket.socket:
    """Return a listening socket of mode 0600; a leftover of that name is replaced.

    Whoever calls this holds the lock of a store in the folder, so no other process listens there.

    Raises:
        OSError: It cannot be made.
    """
    with contextlib.suppress(FileNotFoundError):
        (folder / name).unlink()
    way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reach(folder, name) as path:
            before = os.umask(0o177)
            try:
                way.bind(path)
            finally:
                os.umask(before)
        way.setblocking(False)
    except OSError:
        way.close()
        raise
    return way


@contextlib.contextmanager
def reach(folder: Path, name: str) -> Iterator[str]:
    """Give a short name of a socket, however deep its folder lies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def peer(way: socket.socket) -> tuple[int, int]:
    """Return process and user of the other side of a connected unix socket. Source: unix(7), SO_PEERCRED."""
    credentials = struct.Struct("3i")
    pid, uid, _ = credentials.unpack(way.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return pid, uid
