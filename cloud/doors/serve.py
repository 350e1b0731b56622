"""One server process for all doors, or one model client on standard input and output."""

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import anyio
import uvicorn
from mcp.server.stdio import stdio_server
from starlette.types import ASGIApp

from cloud.agents.rights import Caller
from cloud.doors.client_certificate import CertifiedHttp, CertifiedSocket
from cloud.doors.mcp_door import mcp_server
from cloud.doors.offering import Offering
from cloud.errors import SetupError

GRACE_S = 5
# Longer than clients and what stands between keep a connection that rests, so that none is closed as it is used again.
KEEP_ALIVE_S = 75


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free.

    Raises:
        SetupError: The address cannot be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SetupError(f"no server on {host} port {port}: {error.strerror or error}") from error


def config_of(
    app: ASGIApp, *, cert: Path | None = None, key: Path | None = None, client_ca: Path | None = None
) -> uvicorn.Config:
    """Return how an application is served, over TLS with a certificate; open streams get a few seconds at the end.

    With ``client_ca`` a client may show a certificate of it, which then says who he is; one of another is refused.
    """
    return uvicorn.Config(
        app,
        http="auto" if client_ca is None else CertifiedHttp,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
        ws="websockets-sansio" if client_ca is None else CertifiedSocket,
        ssl_certfile=cert,
        ssl_keyfile=key,
        ssl_ca_certs=client_ca,
        ssl_cert_reqs=ssl.CERT_NONE if client_ca is None else ssl.CERT_OPTIONAL,
    )


def serve_http(
    app: ASGIApp,
    listener: socket.socket,
    *,
    cert: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
) -> None:
    """Serve until told to stop.

    Raises:
        SetupError: The certificate, its key or the clients' authority cannot be used.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = config_of(app, cert=cert, key=key, client_ca=client_ca)
    try:
        config.load()
    except OSError as error:
        files = " and ".join(str(each) for each in (cert, key, client_ca) if each is not None)
        raise SetupError(f"{files} cannot be used: {error.strerror or error}") from error
    uvicorn.Server(config).run(sockets=[listener])


def serve_stdio(offering: Offering, caller: Caller) -> None:
    """Serve one client that started this process, in a caller's role, until it closes its end."""
    server = mcp_server(offering, lambda _context: caller)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(offering.keep_new)
            tasks.start_soon(offering.keep_calls)
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())
            tasks.cancel_scope.cancel()

    asyncio.run(run())
