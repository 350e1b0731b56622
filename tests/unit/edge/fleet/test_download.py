"""A server that drips never holds an update for good."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edge.errors import UpdateInterrupted
from edge.fleet.update.download import fetch


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


def test_download_has_a_whole_deadline(tmp_path: Path) -> None:
    """At a byte a second each read came in time, and the download never ended."""
    seconds = itertools.count(0, 40)
    with _server() as url, pytest.raises(UpdateInterrupted, match="within 60 s"):
        fetch(url, tmp_path / "a.whl", size_bytes=100_000, sha256="0" * 64, monotonic=lambda: float(next(seconds)))
