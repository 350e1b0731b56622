"""By which names browsers may call the page."""

import ipaddress
import socket

from edge.config import PageSection


def page_names(page: PageSection) -> frozenset[str]:
    """Return the page's names, in lower case: this machine's, the file's, and the address where it has one."""
    machine = socket.gethostname().lower()
    names = {machine, f"{machine}.local", *page.names}
    with_address = names if _is_any(page.host) else names | {page.host.lower()}
    return frozenset(with_address)


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
