"""The site process: link, outbox, telemetry, trading and fleet of one site; control is another process.

Every part is supervised: its fault ends no other part. Whatever ends this process, control goes on by itself.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from contracts.clock import Clock
from edge.config import SiteConfig
from edge.links.certificates import fault_of
from edge.process.lifetime import StopRequested, reason_to_stop
from edge.process.turns import show_turns
from edge.site.alarm_report import report_alarms
from edge.site.control_told import ControlTold
from edge.site.hearing import connect, hear
from edge.site.parts import Site
from edge.site.site_build import open_site
from edge.site.site_status import site_status
from edge.site.status import SITE_SOCKET, serve_status
from edge.site.stopping import stop

log = logging.getLogger(__name__)


async def run_site(config: SiteConfig, *, clock: Clock, parent_pid: int | None = None) -> None:
    """Run one site's business until the operator asks it to stop or its parent is gone.

    Raises:
        ConfigError: A key cannot be used, or the identity is not this site's.
        OutboxInUse: Another gateway runs on the same state.
    """
    async with open_site(config, clock=clock) as site:
        await run_opened(site, parent_pid=parent_pid)


async def run_opened(site: Site, *, parent_pid: int | None = None) -> None:
    """Run a site whose parts are open, until there is a reason to stop."""
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "outbox": site.outbox.run,
        "history": site.history.run,
        "control": lambda: site.end.run(ControlTold(site)),
        "status": lambda: serve_status(site.config.state_dir, SITE_SOCKET, lambda: site_status(site).encode()),
    }
    if (link := site.link) is not None:
        if (fault := fault_of(site.config.link.cert_file if site.config.link else None)) is not None:
            log.warning("certificate of the link", extra={"reason": fault})
        parts |= {
            "link": lambda: connect(site, link),
            "hear": lambda: hear(site, link),
            "alarms": lambda: report_alarms(site),
        }
    if site.uplink is not None:
        parts["uplink"] = site.uplink.run
    if site.trader is not None:
        parts["trade"] = site.trader.run
        if site.trader.own_prices is not None:
            parts["prices"] = site.trader.own_prices.run
        if site.trader.own_weather is not None:
            parts["weather"] = site.trader.own_weather.run
    if (page := site.config.page) is not None:
        # Only a gateway that shows one bears what it costs.
        from edge.site.page_part import serve_page

        parts["page"] = lambda: serve_page(
            site.config, page, steering=site.page_orders, unwritten=site.history.unwritten, now=site.clock.now
        )
    if site.page_orders is not None:
        parts["page orders"] = site.page_orders.run
    parts |= {name: publisher.run for name, publisher in site.house.items()}
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, start in parts.items():
                tasks.create_task(site.supervisor.run(name, start), name=name)
            tasks.create_task(show_turns(site.manager.cycle_done), name="turn")
            tasks.create_task(stop(site, parent_pid), name="stop")
            _say_ready(site)
    except* StopRequested as reasons:
        log.info("stop requested", extra={"reason": reason_to_stop(reasons)})


def _say_ready(site: Site) -> None:
    """Tell who started us that the site runs; a missing broker and a missing control do not hold it up."""
    site.manager.ready()
    sys.stdout.write(json.dumps({"ready": True, "site": site.config.site.id}) + "\n")
    sys.stdout.flush()
