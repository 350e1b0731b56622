"""The parts of a running site process, and what was last seen and asked."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from contracts.clock import Clock
from edge.agent.trader import Trader
from edge.border.messages import Asked
from edge.border.site_end import SiteEnd
from edge.clock_trust import ClockWatch
from edge.config import SiteConfig
from edge.links.link import Link
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox
from edge.plain.values import Readings
from edge.process.service_manager import ServiceManager
from edge.process.supervisor import Supervisor
from edge.site.recorder import Recorder
from edge.site.remote_settings import RemoteSettings
from edge.telemetry.history import History
from edge.telemetry.sampler import Sampler
from edge.telemetry.uplink import Uplink

if TYPE_CHECKING:
    from edge.site.fleet_part import SiteFleet
    from edge.site.page_orders import PageOrders


class HousePart(Protocol):
    """What tells the programs of the house."""

    def take(self, readings: Readings, *, offline: Collection[str], taken_s: float) -> None:
        """Take what the devices said in a cycle; ``taken_s`` is monotonic."""

    async def run(self) -> None:
        """Tell it until cancelled."""


@dataclass(kw_only=True)
class Site:
    """The parts of a running site process."""

    config: SiteConfig
    clock: Clock
    watch: ClockWatch
    outbox: Outbox
    link: Link | None
    uplink: Uplink | None
    sampler: Sampler | None
    recorder: Recorder
    history: History
    trader: Trader | None
    supervisor: Supervisor
    manager: ServiceManager
    end: SiteEnd
    remote: RemoteSettings | None
    new_start: "asyncio.Future[str]"
    opened_at: datetime
    last: CycleSeen | None = None
    asked: tuple[Asked, ...] = ()
    asked_s: float = float("-inf")
    house: dict[str, HousePart] = field(default_factory=dict)
    page_orders: "PageOrders | None" = None
    fleet: "SiteFleet | None" = None
