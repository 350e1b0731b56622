"""Fetches an artefact: never more than it should be, never one that differs by a bit."""

import contextlib
import functools
import hashlib
import http.client
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from contracts.reasons import reason_of
from edge.errors import UpdateFailed, UpdateInterrupted

SOCKET_TIMEOUT_S = 30.0
# Until the answer begins; then, from this long on, no slower than the slowest line that is worth waiting for.
WHOLE_S_MIN = 60.0
BYTES_PER_S_MIN = 2048.0
_CHUNK = 1 << 16


def fetch(
    url: str,
    path: Path,
    *,
    size_bytes: int,
    sha256: str,
    monotonic: Callable[[], float] = time.monotonic,
    begin_within_s: float = WHOLE_S_MIN,
) -> None:
    """Fetch a file to ``path``; what is there already and right is kept. Blocks.

    Raises:
        UpdateInterrupted: The server or the way to it failed; try again later.
        UpdateFailed: What it sent is not what was announced; nothing is kept.
    """
    if path.exists() and _digest(path) == sha256:
        return
    partial = path.with_name(path.name + ".part")
    digest, received = hashlib.sha256(), 0
    begun_s = monotonic()
    try:
        with _answer(url, within_s=begin_within_s) as response, partial.open("wb") as file:
            while received <= size_bytes and (data := response.read1(_CHUNK)):
                # Each byte may come in time and the whole never: a server that drips must not hold the thread for good.
                bound_s = max(WHOLE_S_MIN, received / BYTES_PER_S_MIN)
                if monotonic() - begun_s > bound_s:
                    raise UpdateInterrupted(
                        f"{url} not fetched: {received} bytes within {bound_s:.0f} s, fewer than "
                        f"{BYTES_PER_S_MIN:.0f} a second; tried again"
                    )
                received += len(data)
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise UpdateInterrupted(f"{url} was not fetched: {reason_of(error)}; tried again later") from error
    if received != size_bytes or digest.hexdigest() != sha256:
        partial.unlink()
        raise UpdateFailed(
            f"{url} is {received} bytes (at least) with SHA-256 {digest.hexdigest()[:12]}…, "
            f"announced were {size_bytes} and {sha256[:12]}…; discarded"
        )
    partial.replace(path)


@contextlib.contextmanager
def _answer(url: str, *, within_s: float) -> Iterator[http.client.HTTPResponse]:
    """Open a URL for the block. A server whose answer has not begun in time is cut off, as its lines may drip too."""
    sockets: list[socket.socket] = []
    late = threading.Event()
    opener = urllib.request.build_opener(_Plain(sockets), _Secure(sockets))
    cut = threading.Timer(within_s, _cut, [sockets, late])
    cut.start()
    try:
        response = opener.open(url, timeout=SOCKET_TIMEOUT_S)
    finally:
        cut.cancel()
    with response:
        if late.is_set():  # The library takes the end of the connection for the end of the header.
            raise UpdateInterrupted(f"{url} did not answer within {within_s:g} s; tried again later")
        yield response


def _cut(sockets: list[socket.socket], late: threading.Event) -> None:
    late.set()
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class _Plain(urllib.request.HTTPHandler):
    """Opens connections that ``sockets`` tells of."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See ``HTTPHandler``."""
        return self.do_open(functools.partial(_noted, http.client.HTTPConnection, self._sockets), req)


class _Secure(urllib.request.HTTPSHandler):
    """The same over TLS."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets
        self._tls = ssl.create_default_context()

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See ``HTTPSHandler``."""
        return self.do_open(
            functools.partial(_noted, http.client.HTTPSConnection, self._sockets), req, context=self._tls
        )


def _noted(kind: Any, sockets: list[socket.socket], host: str, **options: Any) -> http.client.HTTPConnection:
    """Return a connection that tells its socket as soon as it has one."""
    connection: http.client.HTTPConnection = kind(host, **options)
    connect = connection.connect

    def connected() -> None:
        connect()
        sockets.append(connection.sock)

    connection.connect = connected  # type: ignore[method-assign]
    return connection


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
