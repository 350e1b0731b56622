"""Where a device answers, written as a URL.

- ``tcp://host:502?unit=1`` and ``tls://host:802?unit=1&ca=FILE&cert=FILE&key=FILE``
- ``rtu:///dev/ttyUSB0?baud=9600&parity=N&unit=1`` and ``ascii:///dev/ttyUSB0?baud=38400&parity=E&unit=1``
- ``rtuovertcp://host:port?unit=1``
- ``host:port`` or ``host`` alone: the first, unit 1; an address of IPv6 stands in brackets, ``[fd00::7]:502``

``line_baud=9600`` says that a gateway behind a network address drives a serial line of that speed, so that reads are
planned for the line.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from edge.errors import ConfigError

_TCP_PORT = 502  # Source: IANA, mbap.
_TLS_PORT = 802  # Source: IANA, mbap-s.
_UNIT_MAX = 255
_BAUD_MIN, _BAUD_MAX = 300, 4_000_000
PORT_MAX = 65_535
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_HOST_AND_PORT = re.compile(r"([^:/?\s]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


class Scheme(StrEnum):
    """How frames travel."""

    TCP = "tcp"
    TLS = "tls"
    RTU = "rtu"
    RTU_OVER_TCP = "rtuovertcp"
    ASCII = "ascii"

    @property
    def is_serial(self) -> bool:
        """Return whether a serial port of this machine is opened."""
        return self in (Scheme.RTU, Scheme.ASCII)

    @property
    def has_transaction_ids(self) -> bool:
        """Return whether a reply names the request that it answers."""
        return self in (Scheme.TCP, Scheme.TLS)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A connection to open, and the unit behind it that a device is.

    Args:
        host: Name or address; resolved anew at each connect. Empty on a serial line.
        path: Serial port; empty on a network.
        line_baud: Speed of the serial line that the bytes really travel, None on a plain network.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    line_baud: int | None = None
    unit: int = 1
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def bus(self) -> str:
        """Return what all units on the same connection or line have in common."""
        return f"{self.scheme}://{self.path}" if self.scheme.is_serial else f"{in_url(self.host.lower())}:{self.port}"

    @property
    def wire_baud(self) -> int | None:
        """Return the speed of the slowest line on the way, None where there is none."""
        return self.baud if self.scheme.is_serial else self.line_baud

    @property
    def char_bits(self) -> int:
        """Return the bits of one character: start, 8 data, parity if any, stop.

        Source: Modbus over serial line 1.02, 2.5.1.
        """
        return 9 + self.stop_bits + (self.parity != "N")


def host_and_port(text: str) -> tuple[str, int] | None:
    """Return the two that ``HOST:PORT`` names, ``None`` where a text is no such."""
    named = _HOST_AND_PORT.fullmatch(text)
    return (without_brackets(named[1]), int(named[2])) if named and 0 < int(named[2]) <= PORT_MAX else None


def without_brackets(host: str) -> str:
    """Return a host as sockets take it: an address of IPv6 without the brackets that URLs put around it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def in_url(host: str) -> str:
    """Return a host as it stands in a URL: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_url(url: str) -> Endpoint:
    """Return the endpoint that a URL names; ``HOST:PORT`` or ``HOST`` alone is one on Modbus TCP.

    Raises:
        ConfigError: Says in one sentence which part cannot be used.
    """
    if host_and_port(url) is not None or _HOST.fullmatch(url):
        return parse_url(f"{Scheme.TCP}://{url}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"device url {url!r} has a bracket without its other") from None
    try:
        scheme = Scheme(parts.scheme)
    except ValueError:
        known = ", ".join(f"{known}://" for known in Scheme)
        raise ConfigError(f"device url {url!r} starts with none of {known}") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    common = {"unit": _whole(url, options, "unit", default=1, low=0, high=_UNIT_MAX)}
    if scheme.is_serial:
        endpoint = _serial(url, scheme, parts.path, options, unit=common["unit"])
    else:
        endpoint = _network(url, scheme, options, unit=common["unit"])
    if options:
        raise ConfigError(f"device url {url!r} has the unknown option {min(options)!r}")
    return endpoint


def _serial(url: str, scheme: Scheme, path: str, options: dict[str, str], *, unit: int) -> Endpoint:
    if not path or path == "/":
        raise ConfigError(f"device url {url!r} names no serial port; write {scheme}:///dev/ttyUSB0?baud=9600")
    if urlsplit(url).netloc:
        raise ConfigError(f"device url {url!r} needs three slashes before the serial port")
    parity = options.pop("parity", "N").upper()
    if parity not in ("N", "E", "O"):
        raise ConfigError(f"device url {url!r} has parity {parity!r}, not N, E or O")
    return Endpoint(
        scheme=scheme,
        path=path,
        baud=_whole(url, options, "baud", default=9600, low=_BAUD_MIN, high=_BAUD_MAX),
        parity=parity,
        stop_bits=_whole(url, options, "stop", default=1, low=1, high=2),
        unit=unit,
    )


def _network(url: str, scheme: Scheme, options: dict[str, str], *, unit: int) -> Endpoint:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ConfigError(f"device url {url!r} has a port outside 1 to 65535") from None
    if not parts.hostname:
        raise ConfigError(f"device url {url!r} names no host")
    if parts.path not in ("", "/"):
        raise ConfigError(f"device url {url!r} has the path {parts.path!r}; a host needs none")
    if port == 0:
        raise ConfigError(f"device url {url!r} has port 0, outside 1 to 65535")
    tls = scheme is Scheme.TLS
    return Endpoint(
        scheme=scheme,
        host=parts.hostname,
        port=port or (_TLS_PORT if tls else _TCP_PORT),
        line_baud=_whole(url, options, "line_baud", default=0, low=_BAUD_MIN, high=_BAUD_MAX) or None,
        parity="N",
        unit=unit,
        ca=options.pop("ca", None) if tls else None,
        cert=options.pop("cert", None) if tls else None,
        key=options.pop("key", None) if tls else None,
    )


def _whole(url: str, options: dict[str, str], name: str, *, default: int, low: int, high: int) -> int:
    text = options.pop(name, None)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ConfigError(f"device url {url!r} has {name}={text!r}, not a whole number from {low} to {high}")
    return int(text)
