"""A server that drips never holds an update for good."""

import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edge.errors import UpdateInterrupted
from edge.fleet.update.download import fetch
from tests.support.brokers.link_parts import SAFETY_TIMEOUT_S


class _Drip(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Send one byte at a time, as long as anybody takes them."""
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Drip)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _raw_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Answer one connection byte by byte."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                answer(connection)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(SAFETY_TIMEOUT_S)
        assert not thread.is_alive()


def _drip_a_header(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def _say_nonsense(connection: socket.socket) -> None:
    connection.sendall(b"no HTTP at all\r\n\r\n")


@pytest.mark.parametrize("answer", [_drip_a_header, _say_nonsense])
def test_an_answer_that_never_begins_is_cut_off(tmp_path: Path, answer: Callable[[socket.socket], None]) -> None:
    """A header that drips, or what is none, ends the attempt and not the updates of the gateway."""
    with _raw_server(answer) as url, pytest.raises(UpdateInterrupted, match=r"tried again"):
        fetch(url, tmp_path / "a.whl", size_bytes=100, sha256="0" * 64, begin_within_s=0.3)


def test_a_large_download_that_drips_ends_as_soon_as_a_small_one(tmp_path: Path) -> None:
    """A hundred megabytes announced must not buy a server thirteen hours."""
    seconds = itertools.count(0, 40)
    with _server() as url, pytest.raises(UpdateInterrupted, match="within 60 s, fewer than 2048 a second"):
        fetch(url, tmp_path / "a.whl", size_bytes=10**8, sha256="0" * 64, monotonic=lambda: float(next(seconds)))


def test_download_has_a_whole_deadline(tmp_path: Path) -> None:
    """At a byte a second each read came in time, and the download never ended."""
    seconds = itertools.count(0, 40)
    with _server() as url, pytest.raises(UpdateInterrupted, match="within 60 s"):
        fetch(url, tmp_path / "a.whl", size_bytes=100_000, sha256="0" * 64, monotonic=lambda: float(next(seconds)))
