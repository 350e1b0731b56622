"""A gateway that wakes in 1970: it controls at once, and connects when the clock is set or its patience ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.clock import SystemClock
from contracts.units import ClockTrust
from edge.config import SiteConfig
from edge.links.link import LinkState
from edge.site.build import CLOCK_WAIT_S, Site, open_site, run_opened
from tests.support.brokers.broker import Broker, broker
from tests.support.brokers.link_parts import until
from tests.support.rigs.edge_parts import config

__all__ = ["broker"]

SPEED = 60.0


class Board:
    """A machine's clock that runs fast and began in 1970."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._began_s = self._real.monotonic()

    @property
    def speed(self) -> float:
        """Return how fast it runs."""
        return SPEED

    def monotonic(self) -> float:
        """Return the seconds since it began."""
        return (self._real.monotonic() - self._began_s) * SPEED

    def now(self) -> datetime:
        """Return the wall clock's instant."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._real.sleep(seconds / SPEED)


@contextlib.asynccontextmanager
async def running(settings: SiteConfig) -> AsyncIterator[Site]:
    """Run a site for the block."""
    async with open_site(settings, clock=Board()) as site:
        task = asyncio.create_task(run_opened(site), name="site")
        try:
            yield site
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_control_does_not_wait_for_the_clock_and_the_link_does(tmp_path: Path, broker: Broker) -> None:
    """Certificates cannot be judged in 1970, limits can be held."""
    async with running(config(link={"url": broker.url}, state_dir=str(tmp_path))) as site:
        assert site.watch.trust() is ClockTrust.UNTRUSTED
        await until(lambda: site.loop.stats.cycles >= CLOCK_WAIT_S / 4)
        assert site.link.status().state is LinkState.DISCONNECTED
        assert site.link.status().last_error is None, "it was not tried"
        await until(lambda: site.link.status().state is LinkState.CONNECTED)
        assert site.clock.monotonic() >= CLOCK_WAIT_S
