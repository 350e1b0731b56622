"""The page as a part of the running site: it starts with it, and a taken port costs the page alone."""

import asyncio
import logging
import socket

from edge.config import PageSection, SiteConfig
from edge.site.status import ask_status
from edge.web.server import PageServer

log = logging.getLogger(__name__)


def page_server(config: SiteConfig, page: PageSection) -> PageServer:
    """Return a server of the page that listens, known by this machine's names.

    Raises:
        OSError: The port is taken, or the address is none of this machine's.
    """
    name = socket.gethostname().lower()
    return PageServer(
        (page.host, page.port), config, lambda: ask_status(config.state_dir), names=frozenset({name, f"{name}.local"})
    )


async def serve_page(config: SiteConfig, page: PageSection) -> None:
    """Serve the page until cancelled, from threads.

    Raises:
        OSError: The port is taken, or the address is none of this machine's.
    """
    with page_server(config, page) as server:
        log.info("page", extra={"host": page.host, "port": server.server_address[1]})
        serving = asyncio.create_task(asyncio.to_thread(server.serve_forever))
        try:
            await asyncio.shield(serving)
        finally:
            await asyncio.to_thread(server.shutdown)
            await asyncio.gather(serving, return_exceptions=True)
