"""One server process for all doors, or one model client on standard input and output."""

import asyncio
import logging
import socket

import uvicorn
from mcp.server.stdio import stdio_server
from starlette.applications import Starlette

from cloud.agents.rights import Caller
from cloud.doors.mcp_door import mcp_server
from cloud.doors.offering import Offering
from cloud.errors import SetupError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
GRACE_S = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free.

    Raises:
        SetupError: The address cannot be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SetupError(f"no server on {host} port {port}: {error.strerror or error}") from error


def config_of(app: Starlette) -> uvicorn.Config:
    """Return how an application is served; streams that are open at the end get a few seconds."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        ws="websockets-sansio",
    )


def serve_http(app: Starlette, listener: socket.socket) -> None:
    """Serve until told to stop."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    uvicorn.Server(config_of(app)).run(sockets=[listener])


def serve_stdio(offering: Offering, caller: Caller) -> None:
    """Serve one client that started this process, in a caller's role, until it closes its end."""
    server = mcp_server(offering, lambda _context: caller)

    async def run() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(run())
