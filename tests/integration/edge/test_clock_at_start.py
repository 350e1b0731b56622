"""A gateway that wakes in 1970: it controls at once, and connects when the clock is set or its patience ends."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.clock import SystemClock
from contracts.units import ClockTrust
from edge.links.link import LinkState
from edge.site.hearing import CLOCK_WAIT_S
from tests.support.brokers.broker import Broker, broker
from tests.support.brokers.link_parts import until
from tests.support.rigs.both_processes import opened, running
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


async def test_control_does_not_wait_for_the_clock_and_the_link_does(tmp_path: Path, broker: Broker) -> None:
    """Certificates cannot be judged in 1970, limits can be held."""
    settings = config(link={"url": broker.url}, state_dir=str(tmp_path))
    async with opened(settings, clock=Board()) as gateway, running(gateway):
        control, site, link = gateway.control, gateway.site, gateway.site.link
        assert link is not None
        assert control.watch.trust() is ClockTrust.UNTRUSTED
        await until(lambda: control.loop.stats.cycles >= CLOCK_WAIT_S / 4)
        assert link.status().state is LinkState.DISCONNECTED
        assert link.status().last_error is None, "it was not tried"
        await until(lambda: link.status().state is LinkState.CONNECTED)
        assert site.clock.monotonic() >= CLOCK_WAIT_S
