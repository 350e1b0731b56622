"""Asks who publishes a price, or reads the owner's file of them; bounded in time and size. Blocks: for a thread."""

import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from contracts.reasons import reason_of
from domain.prices.price_file import price_file
from domain.prices.questions import answered, question, within
from domain.prices.source import Provider
from domain.prices.steps import PriceFault, Prices
from domain.question import Question
from edge.config import PricesSection
from edge.errors import PricesUnavailable

TIMEOUT_S: Final = 10.0  # Of each read; the whole answer may take three times as long.
WHOLE_S: Final = 30.0
BODY_BYTES_MAX: Final = 4_000_000  # Four months of quarters are half a megabyte.
RETRY_AFTER_S_MAX: Final = 86_400.0
AGENT: Final = "sitewatt (an energy site)"
_CHUNK: Final = 1 << 16


def fetch_prices(section: PricesSection, *, first: datetime, last: datetime) -> Prices:
    """Return the price of each delivery interval that is published between two instants.

    Raises:
        PricesUnavailable: There is no usable answer; the sentence says why and holds no token.
    """
    try:
        if section.provider is Provider.FILE:
            assert section.file is not None, "checked with the configuration"
            return within(price_file(_text(section.file)), first=first, last=last)
        token = "" if section.token_file is None else _text(section.token_file).strip()
        body = ask(question(section.source, token, first=first, last=last))
        return answered(section.source, body, first=first, last=last)
    except PriceFault as error:
        raise PricesUnavailable(str(error)) from error


def ask(asked: Question, *, monotonic: Callable[[], float] = time.monotonic) -> bytes:
    """Return the body of a successful answer; asking again is left to a later look.

    Raises:
        PricesUnavailable: None came, it was too long or too slow, or the provider refused.
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
                    raise PricesUnavailable(f"{host} sends more than {BODY_BYTES_MAX} bytes; not read further")
                if monotonic() - begun_s > WHOLE_S:
                    raise PricesUnavailable(f"{host} has not sent all within {WHOLE_S:.0f} s; asked again later")
            if answer.length:
                raise PricesUnavailable(f"{host} sent {len(body)} bytes and {answer.length} fewer than it announced")
    except HTTPError as error:
        with error:
            busy = error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= 500
            wait_s = _seconds(error.headers.get("Retry-After")) if busy else 0.0
        raise PricesUnavailable(f"{host} answers {error.code}", retry_after_s=wait_s) from None
    except (OSError, HTTPException, ValueError) as error:
        wrapped = getattr(error, "reason", None)
        text = f"{host}: {reason_of(wrapped if isinstance(wrapped, OSError) else error)}"
        raise PricesUnavailable(text.replace(asked.secret, "***") if asked.secret else text) from None
    return bytes(body)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > BODY_BYTES_MAX:
            raise PricesUnavailable(f"{path} is larger than {BODY_BYTES_MAX} bytes; not read")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PricesUnavailable(f"{path} cannot be read: {reason_of(error)}") from error


def _seconds(text: str | None) -> float:
    """Return what ``Retry-After`` asks for in seconds; a date, or nothing, asks for no certain time."""
    try:
        return min(RETRY_AFTER_S_MAX, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0
