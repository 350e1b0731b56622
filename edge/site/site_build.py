"""Builds the parts of a site process from its configuration, and brings a changed one into force."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from contracts.clock import Clock
from contracts.market import SiteAgent
from contracts.telemetry import StatusMessage
from contracts.topics import Up, site_topic
from contracts.wire import SiteMessage
from edge.agent.trader import Trader
from edge.border.messages import Adopt
from edge.border.site_end import SiteEnd
from edge.border.takeover import Takeover
from edge.clock_trust import ClockWatch, watched_clock
from edge.config import SiteConfig
from edge.fleet.settings import FleetSettings
from edge.links.link import Announcement, Link, Presence
from edge.links.making import make_link
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.process.service_manager import ServiceManager
from edge.process.supervisor import Supervisor
from edge.site.parts import Site
from edge.site.recorder import Recorder
from edge.site.remote_settings import RemoteSettings, is_changeable
from edge.site.stopping import ask_new_start
from edge.telemetry.clock_sync_buffer import ClockSyncBuffer
from edge.telemetry.history import History
from edge.telemetry.meter_recorder import MeterRecorder
from edge.telemetry.sampler import Sampler
from edge.telemetry.spread import offset_s
from edge.telemetry.uplink import Uplink

if TYPE_CHECKING:
    from edge.site.fleet_part import SiteFleet

STORE = "journal.db"


@contextlib.asynccontextmanager
async def open_site(config: SiteConfig, *, clock: Clock) -> AsyncIterator[Site]:
    """Open the parts of a site process, last to first released."""
    if config.fleet is not None:
        # Only a gateway of a fleet bears what that costs: 7 MB of memory.
        from edge.site.fleet_part import check_identity

        check_identity(config.fleet, site=config.site.id)
    clock, watch = watched_clock(clock)
    with contextlib.ExitStack() as stack:
        # A site that reports more often than the flush window commits as often as it reports.
        window_s = min(FLUSH_WINDOW_S, config.telemetry.period_s)
        outbox = Outbox.open(config.state_dir / STORE, site=config.site.id, clock=clock, flush_window_s=window_s)
        stack.callback(outbox.close)
        watch.remember_in(outbox)
        remote = RemoteSettings(config, memory=outbox) if is_changeable(config) else None
        site = _build(config if remote is None else remote.config, clock, watch, outbox=outbox, remote=remote)
        if config.fleet is not None and remote is not None and site.link is not None:
            site.fleet = _fleet_part(site, site.link, config.fleet, remote)
        if any((site.config.plain_mqtt, site.config.home_assistant, site.config.influx)):
            from edge.site.house_part import house_parts, limit_ports

            numbers = {} if remote is None else limit_ports(remote, functools.partial(_adopt, site, remote))
            site.house = house_parts(site.config, clock, numbers=numbers)
        yield site


def _build(
    config: SiteConfig, clock: Clock, watch: ClockWatch, *, outbox: Outbox, remote: RemoteSettings | None
) -> Site:
    supervisor, name = Supervisor(clock), config.site.id
    link = uplink = sampler = meter_recorder = None
    sync_buffer = ClockSyncBuffer(clock=clock, clock_trust=watch.trust, outbox=outbox)
    if config.link is not None:
        link = make_link(config.link, client_id=name, presence=_presence(config, clock, outbox))
        uplink = Uplink(
            outbox=outbox,
            link=link,
            clock=clock,
            topic_of=lambda channel: site_topic(zone=config.site.zone, site=name, channel=channel),
            throttle=config.link.throttle,
            offsets_s={Up.METER: offset_s(name, spread_s=config.telemetry.reading_spread_s)},
        )
        sampler = Sampler(
            site=name, outbox=outbox, clock=clock, period_s=config.telemetry.period_s, clock_trust=sync_buffer.trust
        )
        meter_recorder = MeterRecorder(
            site=name,
            outbox=outbox,
            clock=clock,
            connection_w=max(config.connection.import_limit_w, config.connection.export_limit_w),
        )
    history = History(config.state_dir, clock=clock, clock_trust=watch.trust)
    recorder = Recorder(
        meter=config.connection.meter,
        clock=clock,
        sampler=sampler,
        sync_buffer=sync_buffer,
        meter_recorder=meter_recorder,
        history=history,
        clock_trust=watch.trust,
    )
    trader = None
    if config.plans and config.site.agent is not SiteAgent.MONITOR:
        # What an earlier version kept may be unreadable for this one; everything else runs without trading then.
        trader = supervisor.call(
            "trade",
            lambda: Trader(config=config, clock=clock, outbox=outbox, clock_trust=watch.trust),
            otherwise=None,
        )
    # What control hands over is told to the site, which is made of its parts.
    takeover = Takeover(outbox, heard=lambda message: _heard(site, message))
    end = SiteEnd(state_dir=config.state_dir, site=name, takeover=takeover, clock=clock)
    site = Site(
        config=config,
        clock=clock,
        watch=watch,
        outbox=outbox,
        link=link,
        uplink=uplink,
        sampler=sampler,
        recorder=recorder,
        history=history,
        trader=trader,
        supervisor=supervisor,
        manager=ServiceManager(),
        end=end,
        remote=remote,
        new_start=asyncio.get_running_loop().create_future(),
        opened_at=clock.now(),
    )
    if remote is not None and config.page is not None and config.page.tls_port is not None:
        from edge.site.page_part import page_orders
        from edge.site.page_settings import PageSettings

        settings = PageSettings(
            remote, adopt=functools.partial(_adopt, site, remote), start_anew=functools.partial(ask_new_start, site)
        )
        site.page_orders = page_orders(site, settings)
    return site


def _fleet_part(site: Site, link: Link, settings: FleetSettings, remote: RemoteSettings) -> "SiteFleet":
    from edge.site.fleet_part import Host, SiteFleet

    host = Host(
        link=link,
        clock=site.clock,
        outbox=site.outbox,
        last=lambda: site.last,
        adopt=functools.partial(_adopt, site, remote),
    )
    return SiteFleet(settings, remote, host)


def _adopt(site: Site, remote: RemoteSettings, config: SiteConfig) -> None:
    """Bring a changed configuration into force, here and in control, but for what is read at a start."""
    site.config = config
    site.end.post(Adopt(wanted=remote.wanted))
    if site.sampler is not None:
        site.sampler.report_every(config.telemetry.period_s)
    site.outbox.flush_within(min(FLUSH_WINDOW_S, config.telemetry.period_s))
    if site.trader is not None:
        site.trader.adopt(_planned(site))


def _planned(site: Site) -> SiteConfig:
    """Return what the plan is made by: the site's configuration, with what was asked at the page."""
    return site.config if site.page_orders is None else site.page_orders.planned(site.config)


def _heard(site: Site, message: SiteMessage) -> None:
    if site.page_orders is not None:
        site.page_orders.heard(message)


def _presence(config: SiteConfig, clock: Clock, outbox: Outbox) -> Presence:
    topic = site_topic(zone=config.site.zone, site=config.site.id, channel=Up.STATUS)

    def birth() -> Announcement:
        status = StatusMessage(
            site=config.site.id, online=True, at=clock.now(), software=version("sitewatt"), epoch=outbox.epoch
        )
        return Announcement(topic=topic, payload=status.encode())

    will = StatusMessage(site=config.site.id, online=False)
    return Presence(birth=birth, will=Announcement(topic=topic, payload=will.encode()))
