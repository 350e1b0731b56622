"""Serves the gateway's page to a browser: read-only, in a process of its own, which controls nothing.

It asks the gateway as ``sitewatt edge status`` does. A page that hangs, or is flooded, takes nothing from a control
cycle.
"""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import page_parts
from edge.errors import StatusUnavailable
from edge.web.page import Plain, page, silent_page

log = logging.getLogger(__name__)

IDLE_S = 5.0  # Real seconds that a client may take to ask.


class PageServer(ThreadingHTTPServer):
    """An HTTP server of one page, ``/``, and of what it is made of, ``/status.json``."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], ask: Callable[[], Plain], *, names: frozenset[str] = frozenset()
    ) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes a free one.
            ask: Returns the gateway's status.
            names: Host names that browsers may call it by, beside addresses and ``localhost``. A page of somebody
                else's that points its own name here is refused (DNS rebinding).

        Raises:
            OSError: The port is taken, or the address is none of this machine's.
        """
        super().__init__(address, _Handler)
        self.ask = ask
        self.names = names

    def knows(self, host: str) -> bool:
        """Say whether a browser may call this server by what its ``Host`` header says."""
        return page_parts.known_host(host, self.names)


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_S
    server: PageServer
    server_version = "sitewatt"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page or its JSON."""
        if not self.server.knows(self.headers.get("Host", "")):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", "this server is not known by that name\n")
            return
        path = self.path.partition("?")[0]
        if path not in ("/", "/status.json"):
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "here are / and /status.json\n")
            return
        as_json = path == "/status.json"
        kind = "application/json" if as_json else "text/html"
        try:
            found = self.server.ask()
        except StatusUnavailable as error:
            said: Any = {"error": {"code": "not_running", "message": str(error)}}
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, kind, json.dumps(said) if as_json else silent_page(str(error)))
            return
        self._send(HTTPStatus.OK, kind, json.dumps(found) if as_json else page(found))

    do_HEAD = do_GET

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write requests to the log, not to standard error."""
        log.debug(format, *args)
