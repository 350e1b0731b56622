"""The least that the same libraries can serve, for comparison: python -m benchmarks.doors_hello bare|mcp|a2a."""

import json
import sys
from typing import Any

import uvicorn
from a2a.helpers import new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import a2a_pb2
from a2a.utils.errors import UnsupportedOperationError
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud.doors.serve import config_of, listen


class _Hello(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        await event_queue.enqueue_event(new_text_message("hello"))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise UnsupportedOperationError


def app_of(kind: str, url: str) -> Starlette:
    """Return the application of a kind."""
    if kind == "mcp":
        server: MCPServer[Any] = MCPServer("hello", log_level="CRITICAL")
        server.tool(name="market_status")(lambda zone: zone)
        return server.streamable_http_app()
    if kind == "a2a":
        card = a2a_pb2.AgentCard(
            name="hello",
            description="Says hello.",
            version="1",
            supported_interfaces=[a2a_pb2.AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
            capabilities=a2a_pb2.AgentCapabilities(streaming=False),
            skills=[a2a_pb2.AgentSkill(id="hello", name="hello", description="Says hello.", tags=["hello"])],
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
        )
        handler = DefaultRequestHandlerV2(_Hello(), InMemoryTaskStore(), card)
        return Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/")])

    async def bare(request: Request) -> Response:
        return JSONResponse({"zone": request.query_params.get("zone")})

    return Starlette(routes=[Route("/v1/skills/market_status", bare)])


def main() -> None:
    """Serve until the end, and say where."""
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = app_of(sys.argv[1], url)
        print(json.dumps({"url": url}), flush=True)
        uvicorn.Server(config_of(app)).run(sockets=[listener])


if __name__ == "__main__":
    main()
