"""One question to a provider on the internet: bounded in time and size, asked again where waiting helps."""

import random
import time
from collections.abc import Callable
from typing import Final

import httpx

from cloud.errors import ProviderError
from domain.question import Question

ATTEMPTS_MAX: Final = 3
TIMEOUT_S: Final = 10.0
BODY_BYTES_MAX: Final = 8_000_000
BACKOFF_S: Final = 1.0  # Before the second attempt; doubled before each further one, with full jitter.
# A provider that asks us to wait for longer is asked again by a later tick.
WAIT_S_MAX: Final = 5.0
AGENT: Final = "sitewatt (energy sites; one request a zone)"


def ask(
    question: Question,
    *,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    timeout_s: float = TIMEOUT_S,
) -> bytes:
    """Return the body of a successful answer.

    Raises:
        ProviderError: None came: refused at once (4xx), or failing in every attempt (429, 5xx, silence, cut short).
    """
    host = httpx.URL(question.url).host
    fault = ProviderError(f"{host} was not asked")
    with httpx.Client(timeout=timeout_s, follow_redirects=True, headers={"User-Agent": AGENT}) as client:
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                sleep(max(fault.retry_after_s, BACKOFF_S * 2 ** (attempt - 1) * jitter()))
            try:
                return _once(client, question)
            except httpx.HTTPError as error:
                text = f"{host}: {type(error).__name__} {error}"
                fault = ProviderError(text.replace(question.secret, "***") if question.secret else text)
            except _Busy as busy:
                fault = ProviderError(f"{host} answers {busy.status}", retry_after_s=busy.retry_after_s)
                if fault.retry_after_s > WAIT_S_MAX:
                    raise fault from None
    raise ProviderError(f"{fault}; {ATTEMPTS_MAX} attempts", retry_after_s=fault.retry_after_s)


class _Busy(Exception):
    def __init__(self, status: int, retry_after_s: float) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after_s = retry_after_s


def _once(client: httpx.Client, question: Question) -> bytes:
    method = "GET" if question.json is None else "POST"
    with client.stream(
        method, question.url, params=question.params, headers=question.headers, json=question.json
    ) as answer:
        if answer.status_code == 429 or answer.status_code >= 500:
            raise _Busy(answer.status_code, _seconds(answer.headers.get("Retry-After")))
        if answer.status_code != 200:
            raise ProviderError(
                f"{answer.url.host} refuses with {answer.status_code}; asking again will not help",
                absent=answer.status_code == 404,
            )
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > BODY_BYTES_MAX:
                raise ProviderError(f"{answer.url.host} sends more than {BODY_BYTES_MAX} bytes; not read further")
        return bytes(body)


def _seconds(text: str | None) -> float:
    """Return what ``Retry-After`` asks for in seconds; a date, or nothing, asks for no certain time."""
    try:
        return min(86_400.0, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0
