"""All doors in one ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx
from a2a.server.agent_execution import AgentExecutor
from a2a.utils.push_url_validator import validate_push_notification_url
from mcp.server import Server
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cloud.agents.rights import Caller
from cloud.doors import rest
from cloud.doors.a2a_door import CARD_CACHE, PushCheck, a2a_door
from cloud.doors.card_key import KEYS_PATH, CardKey
from cloud.doors.card_trust import CardPins
from cloud.doors.courier import couriers
from cloud.doors.gate import Gate, caller_in
from cloud.doors.letters import Letters
from cloud.doors.live import live_routes
from cloud.doors.live_feed import LiveFeed
from cloud.doors.mcp_door import Context, mcp_server
from cloud.doors.offering import Offering
from cloud.doors.peers import Peer
from cloud.doors.problem import problem

MCP_PATH: Final = "/mcp"
PUSH_TIMEOUT_S: Final = 10.0


def build_app(
    offering: Offering,
    *,
    url: str,
    host: str = "127.0.0.1",
    authorization_servers: Sequence[str] = (),
    key: CardKey | None = None,
    peers: Sequence[Peer] = (),
    executor: AgentExecutor | None = None,
    extend_mcp: Callable[[Server[object]], None] = lambda server: None,
    push_allowed: PushCheck = validate_push_notification_url,
) -> Starlette:
    """Return the application of an offering.

    Args:
        offering: What it serves.
        url: How others reach it, without a slash at the end.
        host: Where it will listen; on a loopback address requests with another host name are refused.
        authorization_servers: Who issues tokens, for clients that look for it.
        key: Signs the agents' cards.
        peers: Other organisations' agents; letters to them are delivered while the application runs.
        executor: Takes the place of the skills behind A2A; everything else stays as it ships.
        extend_mcp: Adds tools to the MCP server beside the skills, behind the same gate.
        push_allowed: Which addresses A2A tasks may be told to; without it none on a private or local network.
    """
    server = mcp_server(offering, _caller_of)
    extend_mcp(server)
    mcp_routes = server.streamable_http_app(streamable_http_path=MCP_PATH, host=host).routes

    async def health(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    async def resource_metadata(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "resource": f"{base}{MCP_PATH}",
                "authorization_servers": list(authorization_servers),
                "bearer_methods_supported": ["header"],
                "resource_name": "sitewatt agents",
            }
        )

    async def card_keys(request: Request) -> Response:
        del request
        return JSONResponse({"keys": [key.jwk()] if key is not None else []}, headers={"Cache-Control": CARD_CACHE})

    feed = LiveFeed(offering.tables)
    push_client = httpx.AsyncClient(timeout=PUSH_TIMEOUT_S, follow_redirects=False)
    agents = a2a_door(
        offering,
        url=url,
        client=push_client,
        executor=executor,
        sign=key.signer(url=url) if key is not None else None,
        push_allowed=push_allowed,
    )
    routes: list[BaseRoute] = [
        Route("/healthz", health),
        Route("/.well-known/oauth-protected-resource/mcp", resource_metadata),
        Route(KEYS_PATH, card_keys),
        *mcp_routes,
        *rest.routes(offering),
        *live_routes(offering, feed),
        *agents.routes,
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(feed.running())
            await stack.enter_async_context(_running(offering.keep_new(), "keep the registry new"))
            await stack.enter_async_context(_running(offering.keep_calls(), "record calls"))
            await stack.enter_async_context(push_client)
            stack.push_async_callback(agents.aclose)
            await stack.enter_async_context(couriers(peers, Letters(offering.tables), CardPins(offering.tables)))
            await stack.enter_async_context(server.session_manager.run())
            yield

    return Starlette(
        routes=routes,
        middleware=[Middleware(Gate, callers=offering.callers)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


@asynccontextmanager
async def _running(work: Coroutine[object, object, None], name: str) -> AsyncIterator[None]:
    """Run work beside the block and end it with it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _caller_of(context: Context) -> Caller:
    assert context.request is not None, "a request over HTTP has one"
    return caller_in(context.request.scope)


async def _http_error(request: Request, error: Any) -> Response:
    del request
    return problem(error.status_code, error.detail.lower(), error.detail, headers=error.headers)
