"""All doors in one ASGI application."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cloud.agents.rights import Caller
from cloud.doors import rest
from cloud.doors.gate import Gate, caller_in
from cloud.doors.mcp_door import Context, mcp_server
from cloud.doors.offering import Offering
from cloud.doors.problem import problem

MCP_PATH: Final = "/mcp"


def build_app(offering: Offering, *, host: str = "127.0.0.1", authorization_servers: Sequence[str] = ()) -> Starlette:
    """Return the application of a offering.

    Args:
        offering: What it serves.
        host: Where it will listen; on a loopback address requests with another host name are refused.
        authorization_servers: Who issues tokens, for clients that look for it.
    """
    server = mcp_server(offering, _caller_of)
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

    routes: list[BaseRoute] = [
        Route("/healthz", health),
        Route("/.well-known/oauth-protected-resource/mcp", resource_metadata),
        *mcp_routes,
        *rest.routes(offering),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(server.session_manager.run())
            yield

    return Starlette(
        routes=routes,
        middleware=[Middleware(Gate, callers=offering.callers)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


def _caller_of(context: Context) -> Caller:
    assert context.request is not None, "a request over HTTP has one"
    return caller_in(context.request.scope)


async def _http_error(request: Request, error: Any) -> Response:
    del request
    return problem(error.status_code, error.detail.lower(), error.detail, headers=error.headers)
