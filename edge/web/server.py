"""Serves the gateway's page to browsers, its figures to Prometheus, its health to who watches it: all read-only.

It asks the gateway as ``sitewatt edge status`` does, and reads the history beside it. A page that hangs, or is flooded,
takes nothing from a control cycle.
"""

import json
import logging
import sqlite3
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import BoundedSemaphore
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import page_parts
from edge.agent.site_tariff import SiteTariff
from edge.config import SiteConfig
from edge.errors import StatusUnavailable
from edge.web.course import names_of, read_course
from edge.web.tables import Plain, notes, tables

log = logging.getLogger(__name__)

IDLE_S: Final = 5.0  # Real seconds that a client may take to ask.
CLIENTS_MAX: Final = 16  # Served at once; more are turned away.
OWN: Final = ("index.html", "page.js", "words/en.json", "words/de.json", "manifest.json", "icon.svg")
_EPOCH_DIGITS: Final = 12
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"


class PageServer(ThreadingHTTPServer):
    """An HTTP server of the gateway's page and what it is made of."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        config: SiteConfig,
        ask: Callable[[], Plain],
        *,
        names: frozenset[str] = frozenset(),
    ) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes a free one.
            config: Of the site that is shown.
            ask: Returns the gateway's status.
            names: Host names that browsers may call it by, beside addresses and ``localhost``.

        Raises:
            OSError: The port is taken, or the address is none of this machine's.
        """
        super().__init__(address, _Handler)
        self.ask = ask
        self.names = names
        self._clients = BoundedSemaphore(CLIENTS_MAX)
        self._state_dir = config.state_dir
        self._history_names = names_of(config)
        tariff = SiteTariff(config.trading)
        self._rates = None if tariff.follows_market else lambda at: tariff.at(at, None)

    def course(self, first_s: int, last_s: int) -> dict[str, Any]:
        """Return what the history holds of a span.

        Raises:
            ValueError: The span cannot be used.
            sqlite3.Error: There is no history yet, or it cannot be read.
        """
        return read_course(self._state_dir, self._history_names, first_s=first_s, last_s=last_s, rates=self._rates)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread; one too many is turned away at once, before it costs one."""
        if self._clients.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one client, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what a request ended with; a browser that goes away is no fault of ours."""
        log.info("a page's request ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_S
    server: PageServer
    server_version = "sitewatt"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page, a part of it, or what it shows."""
        if not page_parts.known_host(self.headers.get("Host", ""), self.server.names):
            self._send(HTTPStatus.FORBIDDEN, _TEXT, b"this server is not known by that name\n")
            return
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/") or "index.html"
        match path:
            case "state.json":
                self._with_status(lambda status: {"status": status, "notes": notes(status)})
            case "status.json":
                self._with_status(lambda status: status)
            case "tables.html":
                self._tables()
            case "history.json":
                self._history(url.query)
            case "metrics":
                self._metrics()
            case "health":
                self._send(HTTPStatus.OK, _TEXT, b"ok\n")
            case "ready":
                self._ready()
            case _:
                self._file(path)

    def _file(self, path: str) -> None:
        if path in OWN:
            self._send(HTTPStatus.OK, page_parts.content_type(path), _static(path))
            return
        try:
            body = page_parts.part(path.removeprefix("parts/"))
        except KeyError:
            self._send(
                HTTPStatus.NOT_FOUND, _TEXT, b"here are /, /status.json, /history.json, /metrics, /health, /ready\n"
            )
            return
        self._send(HTTPStatus.OK, page_parts.content_type(path), body)

    def _with_status(self, made: Callable[[Plain], Any]) -> None:
        try:
            status = self.server.ask()
        except StatusUnavailable as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_running", str(error))
            return
        self._send(HTTPStatus.OK, _JSON, json.dumps(made(status)).encode())

    def _tables(self) -> None:
        try:
            body = tables(self.server.ask())
        except StatusUnavailable as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not_running", str(error))
            return
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", body.encode())

    def _history(self, query: str) -> None:
        asked = parse_qs(query)
        try:
            first_s, last_s = _epoch_s(asked, "from"), _epoch_s(asked, "to")
            course = self.server.course(first_s, last_s)
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_span", str(error))
        except sqlite3.Error as error:
            self._refuse(HTTPStatus.NOT_FOUND, "no_history", f"nothing is kept yet: {error}")
        else:
            self._send(HTTPStatus.OK, _JSON, json.dumps(course).encode())

    def _metrics(self) -> None:
        from edge.web.metrics import CONTENT_TYPE, exposition  # Only a gateway that is asked bears its memory.

        try:
            status: Plain | None = self.server.ask()
        except StatusUnavailable:
            status = None
        self._send(HTTPStatus.OK, CONTENT_TYPE, exposition(status))

    def _ready(self) -> None:
        try:
            controls = self.server.ask()["cycle"] is not None
        except StatusUnavailable:
            controls = False
        if controls:
            self._send(HTTPStatus.OK, _TEXT, b"ready\n")
        else:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"not ready: no control cycle was seen\n")

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        self._send(status, _JSON, json.dumps({"error": {"code": code, "message": message}}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in page_parts.SECURITY_HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _static(path: str) -> bytes:
    return files("edge.web").joinpath("static", *path.split("/")).read_bytes()


def _epoch_s(asked: dict[str, list[str]], name: str) -> int:
    """Return an epoch second of a query.

    Raises:
        ValueError: It is missing or none.
    """
    told = asked.get(name, [""])[0]
    if not told.isascii() or not told.isdecimal() or len(told) > _EPOCH_DIGITS:
        raise ValueError(f"{name}={told!r} must be an epoch second; /history.json?from=1773746400&to=1773832800")
    return int(told)
