"""Checks of charging stations that speak OCPP, before the first start: files, port, what travels in the clear.

Nobody is asked: a station calls the gateway, and one that called this check would leave its gateway.
"""

import importlib.util
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from contracts.reasons import reason_of
from edge.config import DeviceSection, SiteConfig
from edge.ocpp.settings import LEAST_A, OcppSettings
from edge.private_files import opened_file
from edge.setup.finding import Finding, failed, good, warning

# Source: OCPP 1.6 security whitepaper edition 3, 2.4.1: a password has at least 16 characters.
PASSWORD_CHARS_MIN = 16
PHASE_V = 230.0
_OTHERS = stat.S_IRWXO | stat.S_IRWXG


def check_stations(config: SiteConfig) -> list[Finding]:
    """Return what can be said of the stations that the site's file names."""
    settings = config.ocpp
    if settings is None:
        return []
    if not config.stations:
        do = "add a device with a section ocpp, or take ocpp out; docs/ocpp.md shows both"
        return [warning("ocpp", settings.listen, "no device is a station, so nobody may call", do=do)]
    return [
        *_library(),
        *_port(settings),
        *_tls(settings),
        *(finding for section in config.stations for finding in _station(section)),
    ]


def _library() -> Iterator[Finding]:
    missing = [name for name in ("ocpp", "websockets") if importlib.util.find_spec(name) is None]
    if missing:
        yield failed("ocpp", "library", f"{missing[0]} is not installed", do="install sitewatt[ocpp]")


def _port(settings: OcppSettings) -> Iterator[Finding]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        do = "stop who has it (a running gateway has it, and that is well), or set ocpp.listen to a free port"
        yield warning("ocpp", settings.listen, f"cannot be listened on: {error.strerror}", do=do)
    else:
        yield good("ocpp", settings.listen, "can be listened on")


def _tls(settings: OcppSettings) -> Iterator[Finding]:
    files = settings.tls
    if files is None:
        do = "name a certificate and its key in ocpp.tls, and have the stations call wss://"
        yield warning("ocpp", settings.listen, "the stations' passwords travel in the clear", do=do)
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    except OSError as error:
        do = "put both there as PEM, readable to the gateway's user"
        yield failed(
            "ocpp", "ocpp.tls", f"{files.certificate} and {files.key} cannot be used: {reason_of(error)}", do=do
        )
    else:
        yield good("ocpp", "ocpp.tls", f"{files.certificate} can be used")


def _station(section: DeviceSection) -> Iterator[Finding]:
    told = section.ocpp
    assert told is not None
    what = f"{section.id} ({told.station})"
    yield from _password(what, told.password_file)
    fallback_w = told.fallback_a * PHASE_V * len(section.phases)
    if told.fallback_a > LEAST_A:
        said = f"goes on with {told.fallback_a:g} A, {fallback_w:.0f} W, when the gateway is dead, whatever was ordered"
        do = f"set fallback_a to {LEAST_A:g} or 0 where an order must hold without a gateway"
        yield warning("safe current", section.id, said, do=do)
    yield good("device", section.id, f"connector {told.connector} of station {told.station}, OCPP {told.version.value}")


def _password(what: str, path: Path) -> Iterator[Finding]:
    try:
        with opened_file(path) as file:
            mode, content = Path(f"/proc/self/fd/{file.fileno()}").stat().st_mode, file.read(1024).strip()
    except OSError as error:
        yield failed("ocpp", what, f"{path} cannot be read: {error.strerror}", do="put the station's password there")
        return
    if mode & _OTHERS:
        said = f"{path} has mode {stat.S_IMODE(mode):04o}, others can use it"
        yield failed("ocpp", what, said, do=f"chmod 0600 {path}")
    elif len(content) < PASSWORD_CHARS_MIN:
        said = f"the password in {path} has {len(content)} characters, fewer than {PASSWORD_CHARS_MIN}"
        yield warning("ocpp", what, said, do="use a longer one, here and in the station")
    else:
        yield good("ocpp", what, f"{path} can be read, by us alone")
