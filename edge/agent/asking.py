"""One question to a provider on the internet, or a file of the owner: bounded in time and size. It blocks a thread."""

import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from contracts.reasons import reason_of
from domain.question import Question
from edge.errors import ProviderUnavailable

TIMEOUT_S: Final = 10.0  # Of each read; the whole answer may take three times as long.
WHOLE_S: Final = 30.0
BODY_BYTES_MAX: Final = 4_000_000  # Four months of quarters are half a megabyte.
RETRY_AFTER_S_MAX: Final = 86_400.0
AGENT: Final = "sitewatt (an energy site)"
_CHUNK: Final = 1 << 16


def ask(asked: Question, *, monotonic: Callable[[], float] = time.monotonic) -> bytes:
    """Return the body of a successful answer; asking again is left to a later look.

    Raises:
        ProviderUnavailable: None came, it was too long or too slow, or the provider refused.
    """
    host = urlsplit(asked.url).hostname
    url = f"{asked.url}?{urlencode(asked.params)}" if asked.params else asked.url
    data = None if asked.json is None else json.dumps(asked.json).encode()
    headers = {"User-Agent": AGENT} | ({"Content-Type": "application/json"} if data is not None else {})
    request = urllib.request.Request(url, data=data, headers=headers)
    for name, value in (asked.headers or {}).items():
        request.add_unredirected_header(name, value)  # A token is for the host that was named, and for no other.
    tls = ssl.create_default_context() if url.startswith("https:") else None
    begun_s, body = monotonic(), bytearray()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=tls) as answer:
            while data := answer.read1(_CHUNK):
                body += data
                if len(body) > BODY_BYTES_MAX:
                    raise ProviderUnavailable(f"{host} sends more than {BODY_BYTES_MAX} bytes; not read further")
                if monotonic() - begun_s > WHOLE_S:
                    raise ProviderUnavailable(f"{host} has not sent all within {WHOLE_S:.0f} s; asked again later")
            if answer.length:
                raise ProviderUnavailable(f"{host} sent {len(body)} bytes and {answer.length} fewer than it announced")
    except HTTPError as error:
        with error:
            busy = error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= 500
            wait_s = _seconds(error.headers.get("Retry-After")) if busy else 0.0
        raise ProviderUnavailable(f"{host} answers {error.code}", retry_after_s=wait_s) from None
    except (OSError, HTTPException, ValueError) as error:
        wrapped = getattr(error, "reason", None)
        text = f"{host}: {reason_of(wrapped if isinstance(wrapped, OSError) else error)}"
        raise ProviderUnavailable(text.replace(asked.secret, "***") if asked.secret else text) from None
    return bytes(body)


def text_of(path: Path) -> str:
    """Return what a file holds.

    Raises:
        ProviderUnavailable: It cannot be read, or is too long.
    """
    try:
        return bytes_of(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProviderUnavailable(f"{path} cannot be read: {reason_of(error)}") from error


def bytes_of(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        ProviderUnavailable: It cannot be read, or is too long.
    """
    try:
        if path.stat().st_size > BODY_BYTES_MAX:
            raise ProviderUnavailable(f"{path} is larger than {BODY_BYTES_MAX} bytes; not read")
        return path.read_bytes()
    except OSError as error:
        raise ProviderUnavailable(f"{path} cannot be read: {reason_of(error)}") from error


def _seconds(text: str | None) -> float:
    """Return what ``Retry-After`` asks for in seconds; a date, or nothing, asks for no certain time."""
    try:
        return min(RETRY_AFTER_S_MAX, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0
