"""What a page's server takes from a request that does something: a small JSON object from a page of its own."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from edge.web.actions import ActionRefused
from edge.web.login import NotSignedIn

BODY_BYTES_MAX: Final = 4096
TOKEN_HEADER: Final = "X-Sitewatt-Token"
_DIGITS_MAX: Final = 12


def body_of(request: BaseHTTPRequestHandler) -> bytes | None:
    """Return the body of a request, ``None`` where its length is not told or too much."""
    told = request.headers.get("Content-Length", "")
    length = int(told) if told.isascii() and told.isdecimal() and len(told) < _DIGITS_MAX else None
    return None if length is None or length > BODY_BYTES_MAX else request.rfile.read(length)


def content_of(request: BaseHTTPRequestHandler, body: bytes | None) -> dict[str, Any]:
    """Return the JSON object that a page of this server sent.

    Raises:
        NotSignedIn: Another page sent it.
        ActionRefused: It is none.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"https://{request.headers.get('Host', '')}":
        raise NotSignedIn("the request comes from another page; nothing was done", code="forged")
    if body is None or request.headers.get_content_type() != "application/json":
        raise ActionRefused(f"a JSON object of at most {BODY_BYTES_MAX} bytes is expected", code="bad_body")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ActionRefused("the body is no JSON; nothing was done", code="bad_body") from error
    if not isinstance(content, dict):
        raise ActionRefused("the body is no JSON object; nothing was done", code="bad_body")
    return content
