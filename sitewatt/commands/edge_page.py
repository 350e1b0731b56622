"""``sitewatt edge page``: the gateway's page, who may act on it, and its certificate."""

import contextlib
import signal
import socket
import sys
from typing import Annotated

import typer

from contracts.clock import SystemClock
from sitewatt.commands.edge_config import ConfigOption, load_site
from sitewatt.commands.edge_setup import DEFAULT_CONFIG
from sitewatt.output import BAD_INPUT, fail, print_json, tell
from sitewatt.prompts import ask_secret

PORT_MAX = 65_535

app = typer.Typer(invoke_without_command=True)
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]


@app.callback(invoke_without_command=True)
def page(
    context: typer.Context,
    config: ConfigOption = DEFAULT_CONFIG,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where browsers find it; 0.0.0.0:8080 is the whole network.")
    ] = "127.0.0.1:8080",
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs: the URL, once it listens.")] = False,
) -> None:
    """Show the running gateway as a page: power, energy, plan, what needs attention, who asked for what. Until Ctrl-C.

    A gateway whose site file has page: {} shows it by itself. Read-only, without a password: whoever reaches the
    address sees it. It is a process of its own and controls nothing. To act on a site (mode, charge now, target, lock)
    its file says page: {tls_port: 8443}, and `edge page password` sets who may sign in there.
    Exit 1 the address is taken or none of this machine's, 2 it is none at all or the configuration cannot be used.
    """
    if context.invoked_subcommand is not None:
        return
    from edge.config import PageSection
    from edge.site.page_part import page_server

    settings = load_site(config, as_json=as_json)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        told = f"--listen is {listen!r}, must be HOST:PORT, as 127.0.0.1:8080"
        fail(told, code="bad_address", as_json=as_json, exit_code=BAD_INPUT)
    try:
        server = page_server(settings, PageSection(host=host, port=int(port)))
    except OSError as error:
        fail(f"{listen}: {error.strerror}; nothing is shown", code="address", as_json=as_json)
    url = f"http://{socket.gethostname() if host == '0.0.0.0' else host}:{server.server_address[1]}/"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server, contextlib.suppress(KeyboardInterrupt):
        if as_json:
            print_json({"url": url})
        else:
            tell(f"{settings.site.id} is on {url}, Ctrl-C ends it")
        server.serve_forever()


@app.command()
def password(
    config: ConfigOption = DEFAULT_CONFIG,
    role: Annotated[str, typer.Option(help="owner (how batteries run) or installer (the lock too).")] = "owner",
    clear: Annotated[bool, typer.Option("--clear", help="Take it away: nobody signs in as that role.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set the password with which somebody signs in at the page; there is none before, and a new one ends sessions.

    It is asked twice on a terminal, and read as one line from a pipe. Whoever may run this stands at the gateway or is
    its administrator: there is no other way to set or reset it.
    Exit 1 it cannot be kept, 2 it is none, or the configuration cannot be used.
    """
    from edge.control.keys import Role
    from edge.web.passwords import ROLES, PasswordRefused, clear_password, set_password

    settings = load_site(config, as_json=as_json)
    if role not in {one.value for one in ROLES}:
        told = f"{role!r} does not sign in; {' and '.join(one.value for one in ROLES)} do"
        fail(told, code="bad_role", as_json=as_json, exit_code=BAD_INPUT)
    try:
        if clear:
            had = clear_password(settings.state_dir, Role(role))
            said = f"{role} cannot sign in any more" if had else f"{role} had no password"
        else:
            set_password(settings.state_dir, Role(role), _asked(role))
            said = f"{role} signs in with it from now on"
    except PasswordRefused as error:
        fail(f"{error}; nothing was changed", code="bad_password", as_json=as_json, exit_code=BAD_INPUT)
    except FileNotFoundError:
        told = f"{settings.state_dir} is not there yet: start the gateway once, then set the password"
        fail(told, code="not_kept", as_json=as_json)
    except OSError as error:
        fail(f"{settings.state_dir}: {error.strerror}; nothing was changed", code="not_kept", as_json=as_json)
    page_section = settings.page
    where = None if page_section is None else page_section.tls_port
    if as_json:
        print_json({"site": settings.site.id, "role": role, "set": not clear, "tls_port": where})
        return
    tell(said)
    if where is None and not clear:
        tell(f"but the page takes no sign-in: {config} needs page: {{tls_port: 8443}}, then restart the gateway")


@app.command()
def certificate(config: ConfigOption = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Tell the fingerprint of the page's certificate, to compare with what the browser shows when it first warns.

    Each gateway makes its own; nobody else has its key. It is made anew two months before its end, and when the page
    gets another name. Exit 1 the page has none, 2 the configuration cannot be used.
    """
    from edge.site.page_part import certificate_of

    settings = load_site(config, as_json=as_json)
    if settings.page is None or settings.page.tls_port is None:
        fail(f"{config} has no page.tls_port, so the page has no certificate", code="no_tls", as_json=as_json)
    try:
        found = certificate_of(settings.state_dir, settings.page, SystemClock().now())
    except OSError as error:
        fail(f"{settings.state_dir}: {error.strerror}", code="no_certificate", as_json=as_json)
    until = found.until_at.isoformat(timespec="seconds")
    if as_json:
        print_json({"site": settings.site.id, "sha256": found.fingerprint, "until": until, "file": str(found.path)})
    else:
        tell(f"SHA-256 {found.fingerprint}\nuntil {until}, {found.path}")


def _asked(role: str) -> str:
    """Return the password that somebody types, twice on a terminal, or the line that a pipe holds."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return ask_secret(f"Password of the {role}", left="no password was set")
