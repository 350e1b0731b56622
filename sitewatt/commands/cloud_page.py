"""``sitewatt cloud page``: the operator's console in a browser."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from sitewatt.commands.agent_tables import offering_of, opened_tables
from sitewatt.output import BAD_INPUT, fail, print_json, tell

PORT_MAX = 65_535


def register(app: typer.Typer) -> None:
    """Add the command to ``sitewatt cloud``."""
    app.command()(page)


def page(
    tables: Annotated[Path, typer.Option(metavar="DIR", help="A run's folder, or the folder of a cloud's tables.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where browsers find it; beyond this machine needs the next three.")
    ] = "127.0.0.1:8081",
    callers: Annotated[Path | None, typer.Option(metavar="FILE", help="Who may come in, by token.")] = None,
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="The server's certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs: the URL, once it listens.")] = False,
) -> None:
    """Show a market and its fleet in a browser: sites, book and prices, feeders, events with proof, claims, statements.

    Everything there is a skill of `sitewatt agent`, asked with the rights of the token (made by `sitewatt agent
    token`); every table comes as CSV. With a token that acts, trading is halted and resumed with a reason, and claims
    are decided. Without --callers it is for this machine alone, and nothing acts. Until Ctrl-C. The doors of
    `sitewatt agent serve` (REST at /v1, MCP at /mcp) are open at the same address.
    Exit 1 the tables cannot be read, 2 the address, a file or the callers cannot be used.
    """
    host, port = _address(listen, as_json=as_json)
    _refuse_open_door(host, tokens=callers is not None, cert=cert, key=key, as_json=as_json)
    from cloud.console.app import Console
    from cloud.doors.app import build_app
    from cloud.doors.serve import listen as listening
    from cloud.doors.serve import serve_http
    from cloud.errors import CloudError

    store, registry = opened_tables(tables, as_json)
    with contextlib.closing(store):
        try:
            offering = offering_of(store, registry, folder=tables, callers=callers)
            with listening(host, port) as listener:
                scheme = "http" if cert is None else "https"
                address = f"{scheme}://{host}:{listener.getsockname()[1]}"
                if as_json:
                    print_json({"url": address})
                else:
                    tell(f"the console is on {address}/, Ctrl-C ends it")
                doors = build_app(offering, url=address, host=host)
                console = Console(doors, this_machine_alone=not offering.callers.needs_token)
                serve_http(console, listener, cert=cert, key=key)
        except CloudError as error:
            fail(str(error), code="setup", as_json=as_json, exit_code=BAD_INPUT)


def _address(listen: str, *, as_json: bool) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        told = f"--listen is {listen!r}, must be HOST:PORT, as 127.0.0.1:8081"
        fail(told, code="bad_address", as_json=as_json, exit_code=BAD_INPUT)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _refuse_open_door(host: str, *, tokens: bool, cert: Path | None, key: Path | None, as_json: bool) -> None:
    from cloud.doors.callers import LOOPBACK

    if (cert is None) != (key is None):
        fail("--cert and --key belong together", code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
    if host not in LOOPBACK and (not tokens or cert is None):
        told = f"{host} can be reached by others: it needs --callers, for tokens, and --cert and --key, to carry them"
        fail(told, code="bad_input", as_json=as_json, exit_code=BAD_INPUT)
