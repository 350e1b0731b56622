"""A server of a page: so many clients at once, over TLS where it has a certificate."""

import logging
import ssl
from http.server import ThreadingHTTPServer
from threading import BoundedSemaphore
from typing import Any, Final

from page_parts.handler import IDLE_S, PageHandler

log = logging.getLogger(__name__)

CLIENTS_MAX: Final = 16  # Served at once; more are turned away.


class BoundedServer(ThreadingHTTPServer):
    """Serves each client in a thread of its own."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], handler: type[PageHandler], *, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen.

        Args:
            address: Host and port; port 0 takes a free one.
            handler: Answers one client.
            tls: What the connections are secured with; without it they are plain.

        Raises:
            OSError: The port is taken, or the address is none of this machine's.
        """
        super().__init__(address, handler)
        self._tls = tls
        self._clients = BoundedSemaphore(CLIENTS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client in a thread; one too many is turned away at once, before it costs one."""
        if self._clients.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one client, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one client; it shakes hands in its own thread, where a slow one holds up nobody else."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(IDLE_S)
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what a request ended with; a browser that goes away is no fault of ours."""
        log.info("a page's request ended early", exc_info=True)
