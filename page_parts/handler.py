"""How every page's server answers: one way to send, with the headers that keep a page to itself."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

import page_parts

log = logging.getLogger(__name__)

IDLE_S: Final = 5.0  # Real seconds that a client may take to ask.
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"


class PageHandler(BaseHTTPRequestHandler):
    """Answers a browser; who serves a page says in ``do_GET`` with what."""

    timeout = IDLE_S
    server_version = "sitewatt"
    sys_version = ""

    def send(self, status: HTTPStatus, kind: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a body, which no browser keeps."""
        self.begin(status, kind, headers={"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: HTTPStatus, kind: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Begin an answer: its status and headers."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        for name, value in {**page_parts.SECURITY_HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_json(self, content: Any, *, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        self.send(HTTPStatus.OK, JSON, json.dumps(content).encode(), headers=headers)

    def refuse(self, status: HTTPStatus, code: str, sentence: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a fault: one word for programs, a sentence for people."""
        body = {"error": {"code": code, "message": sentence}}
        self.send(status, JSON, json.dumps(body).encode(), headers=headers)

    def send_part(self, name: str) -> bool:
        """Answer with a part that all pages share, and say whether there is one of that name."""
        try:
            body = page_parts.part(name)
        except KeyError:
            return False
        self.send(HTTPStatus.OK, page_parts.content_type(name), body)
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Note a request where somebody looks for it."""
        log.debug(format, *args)
