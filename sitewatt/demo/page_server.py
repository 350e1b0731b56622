"""Serves the demonstration's page to browsers of this machine: read-only, from a thread of its own."""

import threading
import time
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from importlib.resources import files
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import page_parts
from page_parts.handler import TEXT, PageHandler
from sitewatt.demo.page_state import Course, Stage

HOST: Final = "127.0.0.1"
# A page that looked so lately is still open, and gets as long to see how the demonstration ended.
VIEWED_S: Final = 3.0
_OWN: Final = {"/": "index.html", "/page.js": "page.js"}


class DemoPage:
    """The page and what it shows; the server runs between ``__enter__`` and ``__exit__``."""

    def __init__(self, port: int = 0) -> None:
        """Listen on the loopback address.

        Raises:
            OSError: The port is taken.
        """
        self.course = Course()
        self._state: dict[str, Any] = {"stage": Stage.STARTING.value, "said": ""}
        self._seen_end = threading.Event()
        self._looked_s = float("-inf")
        self._server = _Server((HOST, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo page", daemon=True)

    @property
    def url(self) -> str:
        """Return where a browser finds it."""
        return f"http://{HOST}:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def say(self, sentence: str) -> None:
        """Show what is done now."""
        self._state = {**self._state, "said": sentence}

    def show(self, state: dict[str, Any]) -> None:
        """Show an instant, as ``page_state.instant`` gives it."""
        self._state = {**self._state, **state}

    def end(self, report: dict[str, Any] | None) -> None:
        """Show how it ended; waits for an open page to see it, ``VIEWED_S`` at most."""
        self._state = {**self._state, "stage": Stage.ENDED.value, "report": report}
        if time.monotonic() - self._looked_s < VIEWED_S:
            self._seen_end.wait(VIEWED_S)

    def answer(self, since: int) -> dict[str, Any]:
        """Return the state and what the course holds from a position on, as JSON values."""
        state = self._state
        self._looked_s = time.monotonic()
        return {**state, "course": self.course.since(since)}

    def answered(self, state: dict[str, Any]) -> None:
        """Note that a browser has an answer."""
        if state["stage"] == Stage.ENDED.value:
            self._seen_end.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], page: DemoPage) -> None:
        super().__init__(address, _Handler)
        self.page = page


class _Handler(PageHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer with the page, a part of it, or ``/state.json?since=N``."""
        if not page_parts.known_host(self.headers.get("Host", "")):
            self.send(HTTPStatus.FORBIDDEN, TEXT, b"this server is not known by that name\n")
            return
        url = urlsplit(self.path)
        if url.path == "/state.json":
            state = self.server.page.answer(_since(url.query))
            self.send_json(state)
            self.server.page.answered(state)
        elif url.path in _OWN:
            body = files("sitewatt.demo").joinpath("page", _OWN[url.path]).read_bytes()
            self.send(HTTPStatus.OK, page_parts.content_type(_OWN[url.path]), body)
        elif not self.send_part(url.path.removeprefix("/parts/")):
            self.send(HTTPStatus.NOT_FOUND, TEXT, b"here are / and /state.json\n")


def _since(query: str) -> int:
    """Return the position that a browser has the course up to, 0 where it says none that can be read."""
    told = parse_qs(query).get("since", ["0"])[0]
    return int(told) if told.isdecimal() and len(told) <= 9 else 0
