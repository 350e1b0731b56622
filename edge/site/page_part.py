"""The page as a part of the running site: it starts with it, and a taken port costs the page alone."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import Idle, PageSection, SiteConfig
from edge.site.page_names import page_names
from edge.site.page_orders import OrdersPorts, PageOrders
from edge.site.page_settings import PageSettings
from edge.site.status import ask_status
from edge.web.actions import Steering
from edge.web.certificate import PageCertificate, page_certificate
from edge.web.course import Unwritten, all_written
from edge.web.login import Login
from edge.web.server import PageServer

if TYPE_CHECKING:
    from edge.site.parts import Site

log = logging.getLogger(__name__)

# How often the certificate's end is looked at: a clock that was set meanwhile needs a new one soon.
_LOOK_S = 600.0


def page_orders(site: "Site", settings: PageSettings) -> PageOrders:
    """Return what carries out the page's actions, and have the plan made by the target that was asked there."""
    config, trader = site.config, site.trader
    orders = PageOrders(
        OrdersPorts(
            site=config.site.id,
            state_dir=config.state_dir,
            clock=site.clock,
            memory=site.outbox,
            send=site.end.send,
            connects=lambda: site.end.peer.connects,
            charge_w=sum(one.battery.charge_limit_w for one in config.devices if one.battery is not None),
            serves_house=lambda: site.config.control.idle is Idle.SELF_CONSUMPTION,
            settings=settings,
            retarget=None if trader is None else lambda: trader.adopt(orders.planned(site.config)),
        )
    )
    if trader is not None:
        trader.adopt(orders.planned(config))
    return orders


def page_server(config: SiteConfig, page: PageSection, unwritten: Unwritten = all_written) -> PageServer:
    """Return a server of the page that listens, known by this machine's names; it is plain, so nobody acts on it.

    Raises:
        OSError: The port is taken, or the address is none of this machine's.
    """
    return PageServer(
        (page.host, page.port),
        config,
        lambda: ask_status(config.state_dir),
        names=page_names(page),
        secure_port=page.tls_port,
        unwritten=unwritten,
    )


async def serve_page(
    config: SiteConfig,
    page: PageSection,
    *,
    steering: Steering | None,
    unwritten: Unwritten,
    now: Callable[[], datetime],
) -> None:
    """Serve the page until cancelled, from threads: plain for who looks, over TLS for who signs in and acts.

    Args:
        config: The site's.
        page: Where.
        steering: Carries out what is asked; ``None`` where nobody may ask.
        unwritten: What the history holds in memory, so that charts end at the last ten seconds.
        now: The wall clock, by which the certificate is judged.

    Raises:
        OSError: A port is taken, or the address is none of this machine's.
    """
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(page_server(config, page, unwritten))]
        secured: ssl.SSLContext | None = None
        if steering is not None and page.tls_port is not None:
            secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            secured.minimum_version = ssl.TLSVersion.TLSv1_2
            _load(secured, config.state_dir, page, now())
            servers.append(stack.enter_context(_secure_server(config, page, secured, steering, unwritten)))
        ports = [server.server_address[1] for server in servers]
        log.info("page", extra={"host": page.host, "ports": ports})
        await _serve(servers, lambda: None if secured is None else _load(secured, config.state_dir, page, now()))


def _secure_server(
    config: SiteConfig, page: PageSection, tls: ssl.SSLContext, steering: Steering, unwritten: Unwritten
) -> PageServer:
    assert page.tls_port is not None, "who serves it has looked"
    return PageServer(
        (page.host, page.tls_port),
        config,
        lambda: ask_status(config.state_dir),
        names=page_names(page),
        tls=tls,
        login=Login(config.state_dir, steering, monotonic=time.monotonic),
        secure_port=page.tls_port,
        unwritten=unwritten,
    )


def _load(secured: ssl.SSLContext, state_dir: Path, page: PageSection, now: datetime) -> None:
    """Have new connections secured with the certificate that is due now."""
    certificate = certificate_of(state_dir, page, now)
    secured.load_cert_chain(certificate.path)
    if certificate.is_new:
        log.info("page has a new certificate", extra={"fingerprint": certificate.fingerprint})


def certificate_of(state_dir: Path, page: PageSection, now: datetime) -> PageCertificate:
    """Return the page's certificate, for all that it is called by.

    Raises:
        OSError: It cannot be read or written.
    """
    own = {"localhost", "127.0.0.1", "::1", *page_names(page)}
    return page_certificate(state_dir, names=own, now=now)


async def _serve(servers: list[PageServer], renew: Callable[[], None]) -> None:
    serving = [asyncio.create_task(asyncio.to_thread(server.serve_forever)) for server in servers]
    try:
        while True:
            done, _ = await asyncio.wait(serving, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
            renew()
    finally:
        await asyncio.gather(*(asyncio.to_thread(server.shutdown) for server in servers))
        await asyncio.gather(*serving, return_exceptions=True)
