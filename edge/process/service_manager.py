"""Tells the service manager that the gateway is ready, and that its control cycles go on.

Source: sd_notify(3): datagrams ``READY=1``, ``WATCHDOG=1``, ``STOPPING=1`` to the socket that ``NOTIFY_SOCKET`` names;
an address that begins with ``@`` is abstract. ``WATCHDOG_USEC`` is how long the manager waits for a sign of life. Real
time: the manager's clock does not run faster in time-lapse.

A cycle that came to its end in time is a sign of life, also while a device is silent: device timers are not refreshed
then, but to start the gateway again because of a silent meter would end every order that it still holds. It is none
where a device answers and the gateway does not read it (docs/decisions/0011).
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

# So many signs of life within the manager's patience.
SIGNS = 4


class ServiceManager:
    """The way to the service manager; silent where there is none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        patience_s = int(environ.get("WATCHDOG_USEC", "0") or 0) / 1e6
        self._every_s = patience_s / SIGNS if patience_s > 0 else None
        self._next_s = 0.0

    def ready(self) -> None:
        """Say that the site runs."""
        self._say(b"READY=1")

    def stopping(self) -> None:
        """Say that the site is being closed."""
        self._say(b"STOPPING=1")

    def cycle_done(self) -> None:
        """Say, now and then, that a control cycle has come to its end. A hung loop is silent by doing nothing."""
        now_s = time.monotonic()
        if self._every_s is not None and now_s >= self._next_s:
            self._next_s = now_s + self._every_s
            self._say(b"WATCHDOG=1")

    def _say(self, state: bytes) -> None:
        if not self._address:
            return
        # A manager that does not listen must not stop a site from being controlled.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.settimeout(0.1)
            way.sendto(state, self._address)
