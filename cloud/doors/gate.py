"""What stands before every door: who is it, not too often, not too large; nothing below runs otherwise."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.agents.rights import Caller
from cloud.doors.callers import Callers
from cloud.doors.client_certificate import SCOPE_KEY
from cloud.doors.problem import problem

OPEN_PATHS: Final = ("/.well-known/", "/healthz", "/openapi.json")
BODY_BYTES_MAX: Final = 1024 * 1024
RATE_PER_S: Final = 50.0
BURST: Final = 200.0
_BUCKETS_MAX: Final = 10_000


class Gate:
    """Names the caller in ``scope["caller"]``, or answers 401, 413 or 429."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        callers: Callers,
        rate_per_s: float = RATE_PER_S,
        burst: float = BURST,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._callers = callers
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"]
        caller = self._callers.of(headers, certificate=scope.get(SCOPE_KEY))
        if caller is None and not _is_open(path):
            await self._refuse(scope, receive, send)
            return
        scope["caller"] = caller
        who = caller.name if caller is not None else str((scope.get("client") or ("?",))[0])
        wait_s = self._taken(who)
        if wait_s > 0:
            answer = problem(
                429, "too many requests", f"wait {wait_s:.1f} s", headers={"Retry-After": str(int(wait_s) + 1)}
            )
            await answer(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > BODY_BYTES_MAX:
            await problem(413, "too large", f"{length} bytes, above {BODY_BYTES_MAX}")(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4401, "reason": "a token is needed"})
            return
        base = f"{scope.get('scheme', 'http')}://{Headers(scope=scope).get('host', 'localhost')}"
        challenge = f'Bearer resource_metadata="{base}/.well-known/oauth-protected-resource/mcp"'
        answer = problem(401, "who are you", "a bearer token is needed", headers={"WWW-Authenticate": challenge})
        await answer(scope, receive, send)

    def _taken(self, who: str) -> float:
        """Take one request out of a caller's bucket; return how long to wait where it is empty."""
        now = self._monotonic()
        left, at = self._buckets.pop(who, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate_per_s)
        taken = left >= 1
        self._buckets[who] = (left - 1 if taken else left, now)
        if len(self._buckets) > _BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._rate_per_s


def caller_in(scope: Scope) -> Caller:
    """Return who was let in."""
    caller = scope.get("caller")
    assert isinstance(caller, Caller), "the gate names the caller before a door is reached"
    return caller


def _is_open(path: str) -> bool:
    return path.startswith(OPEN_PATHS) or "/.well-known/" in path


def _bounded(receive: Receive) -> Receive:
    """Cut a body off that is longer than allowed and did not say so."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b"")) if message["type"] == "http.request" else 0
        if seen > BODY_BYTES_MAX:
            return {"type": "http.disconnect"}
        return message

    return bounded
