"""A client of the gateway's page over TLS, that trusts the gateway's own certificate and nothing else."""

import asyncio
import contextlib
import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.web.certificate import FILE
from edge.web.posting import TOKEN_HEADER
from tests.support.rigs.fault_rig import SAFETY_S

Answer = tuple[int, dict[str, Any]]


async def until_listens(port: int) -> None:
    """Wait until somebody listens on a port of this machine: a page begins to after control does.

    Raises:
        AssertionError: Nobody did within the safety bound.
    """
    try:
        async with asyncio.timeout(SAFETY_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(f"nobody listens on port {port} within {SAFETY_S:.0f} s") from error


class PageClient:
    """One browser's cookie and token, without a browser."""

    def __init__(self, state_dir: Path, port: int) -> None:
        self._state_dir = state_dir
        self.port = port
        self.cookie = ""
        self.token = ""
        self.set_cookie = ""

    async def sign_in(self, role: str, password: str) -> Answer:
        """Sign in, and keep what the page gave."""
        status, answer = await self.post("/login", {"role": role, "password": password})
        if status == 200:
            self.cookie, self.token = self.set_cookie.partition(";")[0], answer["token"]
        return status, answer

    async def act(self, **action: Any) -> Answer:
        """Ask for an action, as the page does."""
        return await self.post("/action", action)

    async def session(self) -> dict[str, Any]:
        """Return what the page says of this browser's session."""
        return (await asyncio.to_thread(self._ask, "GET", "/session.json", None, {}))[1]

    async def post(self, path: str, content: Any, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Post JSON with cookie and token; ``headers`` take the place of one's own."""
        return await asyncio.to_thread(self._ask, "POST", path, json.dumps(content), headers or {})

    def _ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
        trusted = ssl.create_default_context(cafile=self._state_dir / FILE)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=SAFETY_S, context=trusted)
        own = {"Content-Type": "application/json", "Cookie": self.cookie, TOKEN_HEADER: self.token}
        try:
            connection.request(method, path, body=body, headers={**own, **headers})
            answer = connection.getresponse()
            self.set_cookie = answer.headers.get("Set-Cookie", "")
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
