"""What every page is made of, as data: the theme, the charts, and two libraries kept here with their hashes.

``vendor/vendored.json`` names each library file with its version, licence, source and SHA-256.
"""

import ipaddress
from collections.abc import Set
from importlib.resources import files
from typing import Final

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
NAMES: Final = ("base.css", "parts.js", "vendor/htm-preact.js", "vendor/uplot.js", "vendor/uplot.css")
# Pages take everything from where they come from, and nobody may frame them.
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def part(name: str) -> bytes:
    """Return the bytes of a part.

    Raises:
        KeyError: No part has that name.
    """
    if name not in NAMES:
        raise KeyError(f"no part of a page is called {name!r}, there are {', '.join(NAMES)}")
    return files(__name__).joinpath(name).read_bytes()


def content_type(name: str) -> str:
    """Return the media type of a file by how its name ends, ``application/octet-stream`` for one not served here."""
    return _TYPES.get(name[name.rfind(".") :] if "." in name else "", "application/octet-stream")


def known_host(host: str, names: Set[str] = frozenset()) -> bool:
    """Return whether a browser may call a server by what its ``Host`` header says.

    Addresses and ``localhost`` are known; a page of somebody else's that points its own name here is not (DNS
    rebinding).

    Args:
        host: The header, with or without a port.
        names: Further names, in lower case.
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in names
    return True
