"""Tools of a test beside the product's own: the door's server answers for both, the product first."""

from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp.server import MCPServer, Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError

Handler = Callable[[ServerRequestContext[Any], Any], Awaitable[Any]]

_LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resource_templates",
    "prompts/list": "prompts",
}
_OURS = ("initialize", "ping", "server/discover")


def mount(server: Server[Any], guest: MCPServer[Any]) -> None:
    """Let a server answer for what a guest has, too: lists are joined, names that it does not know are the guest's."""
    beside = guest._lowlevel_server
    for method, entry in beside._request_handlers.items():
        own = server.get_request_handler(method)
        if method in _OURS:
            continue
        if own is None:
            handler = entry.handler
        elif method in _LISTS:
            handler = _joined(own.handler, entry.handler, _LISTS[method])
        elif method == "tools/call":
            handler = _tool_of(guest, own.handler, entry.handler)
        else:
            handler = _first_that_knows(own.handler, entry.handler)
        server.add_request_handler(method, entry.params_type, handler)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="test"))


def _joined(first: Handler, second: Handler, field: str) -> Handler:
    async def both(context: ServerRequestContext[Any], params: Any) -> Any:
        page = await first(context, params)
        more = await second(context, params) if page.next_cursor is None else None
        return page.model_copy(update={field: [*getattr(page, field), *(getattr(more, field) if more else [])]})

    return both


def _tool_of(guest: MCPServer[Any], ours: Handler, theirs: Handler) -> Handler:
    async def call(context: ServerRequestContext[Any], params: types.CallToolRequestParams) -> Any:
        names = {tool.name for tool in await guest.list_tools()}
        return await (theirs if params.name in names else ours)(context, params)

    return call


def _first_that_knows(first: Handler, second: Handler) -> Handler:
    async def either(context: ServerRequestContext[Any], params: Any) -> Any:
        try:
            return await first(context, params)
        except MCPError:
            return await second(context, params)

    return either
