"""What the two processes of a gateway run, in one event loop, with the real socket between them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from contracts.clock import Clock
from edge.config import SiteConfig
from edge.site.control_process import Control, open_control, run_opened_control
from edge.site.control_status import control_status
from edge.site.parts import Site
from edge.site.site_build import open_site
from edge.site.site_process import run_opened
from edge.site.site_status import site_status
from edge.site.status import merged


@dataclass(kw_only=True)
class Gateway:
    """The parts of both processes."""

    control: Control
    site: Site

    def status(self) -> dict[str, Any]:
        """Return what who stands beside it is told."""
        return merged(json.loads(control_status(self.control).encode()), json.loads(site_status(self.site).encode()))


@contextlib.asynccontextmanager
async def opened(config: SiteConfig, *, clock: Clock) -> AsyncIterator[Gateway]:
    """Open a gateway for the block."""
    async with open_control(config, clock=clock) as control, open_site(config, clock=clock) as site:
        yield Gateway(control=control, site=site)


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[None]:
    """Run an open gateway for the block; fail where one of its processes would have ended."""
    tasks = [
        asyncio.create_task(run_opened_control(gateway.control), name="control process"),
        asyncio.create_task(run_opened(gateway.site), name="site process"),
    ]
    try:
        yield
        assert not any(task.done() for task in tasks), "a process ended"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
