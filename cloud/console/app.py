"""Serves the operator's page in front of the doors: what it shows and does is asked of them, with the caller's rights.

The page itself is open, for it holds nothing; each question carries the caller's token, and the doors judge it.
"""

from importlib.resources import files
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import page_parts

OWN: Final = (
    "index.html",
    "console.js",
    "asking.js",
    "gateways.js",
    "grid.js",
    "map.js",
    "operations.js",
    "tables.js",
    "words/en.json",
    "words/de.json",
)


class Console:
    """The page and its parts; whatever else is asked goes on to the doors."""

    def __init__(self, doors: ASGIApp, *, this_machine_alone: bool) -> None:
        """Stand before the doors.

        Args:
            doors: Answers what is no part of the page.
            this_machine_alone: Only addresses and ``localhost`` are known as host names then: where no token is asked
                for, a page of somebody else's must not reach the doors by a name of its own (DNS rebinding).
        """
        self._doors = doors
        self._this_machine_alone = this_machine_alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a part of the page, or hand the request on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._doors(scope, receive, send)
            return
        known = not self._this_machine_alone or page_parts.known_host(Headers(scope=scope).get("host", ""))
        body = _part(scope["path"]) if scope["type"] == "http" and scope.get("method") in {"GET", "HEAD"} else None
        if not known and scope["type"] == "http":
            refusal = Response("this server is not known by that name\n", status_code=403, media_type="text/plain")
            await refusal(scope, receive, send)
        elif not known:
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": "not known by that name"})
        elif body is None:
            await self._doors(scope, receive, send)
        else:
            headers = {**page_parts.SECURITY_HEADERS, "Cache-Control": "no-store"}
            answer = Response(body, headers=headers, media_type=page_parts.content_type(_name(scope["path"])))
            await answer(scope, receive, send)


def _name(path: str) -> str:
    return path.removeprefix("/") or "index.html"


def _part(path: str) -> bytes | None:
    """Return the bytes of a part of the page, ``None`` where there is none of that name."""
    name = _name(path)
    if name in OWN:
        return files("cloud.console").joinpath("static", *name.split("/")).read_bytes()
    if name.startswith("parts/") and name.removeprefix("parts/") in page_parts.NAMES:
        return page_parts.part(name.removeprefix("parts/"))
    return None
