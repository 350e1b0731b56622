"""The site process: link, outbox, telemetry, trading and fleet of one site; control is another process.

Every part is supervised: its fault ends no other part. Whatever ends this process, control goes on by itself.
"""

import asyncio
import contextlib
import functools
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from contracts.clock import Clock
from contracts.forecast import ForecastBroadcast
from contracts.market import SiteAgent, TradesMessage
from contracts.receipt import Receipt
from contracts.telemetry import StatusMessage
from contracts.topics import Down, Up, parse, site_topic
from contracts.wire import SiteMessage, WireError
from edge.agent.trader import Trader
from edge.border.messages import Adopt, Arrived, Asked, Beat, Frame, NewStart
from edge.border.site_end import SiteEnd
from edge.border.takeover import Takeover
from edge.clock_trust import ClockWatch
from edge.config import SiteConfig
from edge.control.model import Request
from edge.fleet.settings import FleetSettings
from edge.links.link import Announcement, Inbound, Link, Presence
from edge.links.making import make_link
from edge.links.settings import Client
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.process.apart import apart
from edge.process.lifetime import StopRequested, reason_to_stop, stop_on_signal, stop_with
from edge.process.service_manager import ServiceManager
from edge.process.supervisor import Supervisor
from edge.process.turns import show_turns
from edge.site.recorder import Recorder
from edge.site.remote_settings import RemoteSettings, is_changeable
from edge.site.site_status import site_status
from edge.site.status import SITE_SOCKET, serve_status
from edge.telemetry.clock_sync_buffer import ClockSyncBuffer
from edge.telemetry.history import History
from edge.telemetry.meter_recorder import MeterRecorder
from edge.telemetry.sampler import Sampler
from edge.telemetry.uplink import Uplink

if TYPE_CHECKING:
    from edge.plain.publisher import Publisher
    from edge.site.fleet_part import SiteFleet
    from edge.site.page_orders import PageOrders

log = logging.getLogger(__name__)

STORE = "journal.db"
CONTROL_END_S = 1.0  # Real seconds at a stop for control to hand over what waits there.
CLOSE_TIMEOUT_S = 1.5  # Real seconds after that to hand over what is due; the outbox keeps the rest.
_HAND_OVER_LOOK_S = 0.05
NEW_START_S = 1.0  # Real seconds between the answer to who asked for a new start and the start.
# A time service needs the network and seconds; what it does not do in this time it may never do.
CLOCK_WAIT_S = 120.0


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
    house: "dict[str, Publisher]" = field(default_factory=dict)
    page_orders: "PageOrders | None" = None
    fleet: "SiteFleet | None" = None


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
        "control": lambda: site.end.run(_Sees(site)),
        "status": lambda: serve_status(site.config.state_dir, SITE_SOCKET, lambda: site_status(site).encode()),
    }
    if (link := site.link) is not None:
        parts |= {"link": lambda: _connect(site, link), "hear": lambda: _hear(site, link)}
    if site.uplink is not None:
        parts["uplink"] = site.uplink.run
    if site.trader is not None:
        parts["trade"] = site.trader.run
    if (page := site.config.page) is not None:
        # Only a gateway that shows one bears what it costs.
        from edge.site.page_part import serve_page

        parts["page"] = lambda: serve_page(site.config, page, steering=site.page_orders, now=site.clock.now)
    if site.page_orders is not None:
        parts["page orders"] = site.page_orders.run
    parts |= {name: publisher.run for name, publisher in site.house.items()}
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, start in parts.items():
                tasks.create_task(site.supervisor.run(name, start), name=name)
            tasks.create_task(show_turns(site.manager.cycle_done), name="turn")
            tasks.create_task(_stop(site, parent_pid), name="stop")
            _say_ready(site)
    except* StopRequested as reasons:
        log.info("stop requested", extra={"reason": reason_to_stop(reasons)})


@contextlib.asynccontextmanager
async def open_site(config: SiteConfig, *, clock: Clock) -> AsyncIterator[Site]:
    """Open the parts of a site process, last to first released."""
    if config.fleet is not None:
        # Only a gateway of a fleet bears what that costs: 7 MB of memory.
        from edge.site.fleet_part import check_identity

        check_identity(config.fleet, site=config.site.id)
    with contextlib.ExitStack() as stack:
        # A site that reports more often than the flush window commits as often as it reports.
        window_s = min(FLUSH_WINDOW_S, config.telemetry.period_s)
        outbox = Outbox.open(config.state_dir / STORE, site=config.site.id, clock=clock, flush_window_s=window_s)
        stack.callback(outbox.close)
        remote = RemoteSettings(config, memory=outbox) if is_changeable(config) else None
        site = _build(config if remote is None else remote.config, clock, outbox, remote)
        if config.fleet is not None and remote is not None and site.link is not None:
            site.fleet = _fleet_part(site, site.link, config.fleet, remote)
        if site.config.plain_mqtt is not None or site.config.home_assistant is not None:
            from edge.site.house_part import publishers

            site.house = publishers(site.config, clock)
        yield site


def _build(config: SiteConfig, clock: Clock, outbox: Outbox, remote: RemoteSettings | None) -> Site:
    watch, supervisor, name = ClockWatch(clock), Supervisor(clock), config.site.id
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
            remote, adopt=functools.partial(_adopt, site, remote), start_anew=functools.partial(_ask_new_start, site)
        )
        site.page_orders = page_orders(site, settings)
    return site


def _planned(site: Site) -> SiteConfig:
    """Return what the plan is made by: the site's configuration, with what was asked at the page."""
    return site.config if site.page_orders is None else site.page_orders.planned(site.config)


def _follows_plan(site: Site, request: Request) -> bool:
    return site.page_orders is None or site.page_orders.follows_plan(request)


def _heard(site: Site, message: SiteMessage) -> None:
    if site.page_orders is not None:
        site.page_orders.heard(message)


class _Sees:
    """What the site does with what control tells."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def cycle(self, cycle: CycleSeen) -> Frame:
        """Record and trade by what a cycle saw, and answer with what is asked of the next."""
        site, call = self._site, self._site.supervisor.call
        site.last = cycle
        call("recorder", lambda: site.recorder.finished(cycle), otherwise=None)
        for publisher in site.house.values():
            call("house values", functools.partial(_tell_house, publisher, cycle), otherwise=None)
        if site.trader is not None:
            trader, now_s = site.trader, site.clock.monotonic()
            call("trader", lambda: trader.finished(cycle), otherwise=None)
            # A schedule that raises leaves what it asked last, which expires by its own stamp.
            asked = call("schedule", lambda: _asked(site, trader.requests(now_s)), otherwise=None)
            if asked is not None:
                site.asked, site.asked_s = asked, now_s
        uplink = None if site.uplink is None else site.uplink.stats()
        return Beat(
            asked_s=site.asked_s if site.asked else site.clock.monotonic(),
            requests=site.asked,
            published=0 if uplink is None else uplink.published,
            acknowledged=0 if uplink is None else uplink.acknowledged,
            failing=",".join(site.supervisor.failing())[:1000],
        )

    def live(self, *, period_s: float, for_s: float) -> None:
        """Report more often for a while."""
        if (sampler := self._site.sampler) is not None:
            self._site.supervisor.call("live", lambda: sampler.live(period_s=period_s, for_s=for_s), otherwise=None)

    def greeting(self) -> list[Frame]:
        """Return what is wanted from afar: control may have started without it."""
        remote = self._site.remote
        return [] if remote is None else [Adopt(wanted=remote.wanted)]

    def new_start(self, reason: str) -> None:
        """Stop in order."""
        _ask_new_start(self._site, reason)


def _tell_house(publisher: "Publisher", cycle: CycleSeen) -> None:
    publisher.take(cycle.readings, offline=cycle.offline, taken_s=cycle.taken_s)


def _asked(site: Site, requests: list[Request]) -> tuple[Asked, ...]:
    return tuple(Asked.of(request) for request in requests if _follows_plan(site, request))


async def _connect(site: Site, link: Link) -> None:
    """Keep the link, from when certificates can be judged and messages dated; without a clock at all, from a bound."""
    if not await site.watch.trusted(within_s=CLOCK_WAIT_S):
        log.warning("the clock was not set; connecting without", extra={"waited_s": CLOCK_WAIT_S})
    await link.run()


async def _hear(site: Site, link: Link) -> None:
    """Take what the broker brings, for ever; a message that is unreadable or makes its hearer fail is left out."""
    zone, name = site.config.site.zone, site.config.site.id
    # AWS IoT Core keeps what it has acknowledged, so there are no receipts.
    settings = site.config.link
    keeps = settings is not None and settings.client is Client.AWS
    channels = [channel for channel in Down if channel is not Down.RECEIPTS or not keeps]
    link.subscribe([site_topic(zone=zone, site=name, channel=channel) for channel in channels])
    async for message in link.messages():
        topic = parse(message.topic)
        if topic is not None and topic.channel is Down.COMMANDS:
            await _pass_on(site, message)
        else:
            site.supervisor.call("messages", functools.partial(_take, site, message), otherwise=None)
        await asyncio.sleep(0)


async def _pass_on(site: Site, message: Inbound) -> None:
    """Pass a command on to control, which judges it; where control is not there for long, it is left out."""
    try:
        if not await site.end.send(Arrived.of(message.payload, retained=message.retained)):
            log.warning("command not passed on", extra={"reason": "control is not there"})
    except WireError as error:
        log.warning("message refused", extra={"topic": message.topic, "reason": str(error)})


def _take(site: Site, message: Inbound) -> None:
    try:
        _deliver(site, message)
    except WireError as error:
        log.warning("message refused", extra={"topic": message.topic, "reason": str(error)})


def _deliver(site: Site, message: Inbound) -> None:
    topic = parse(message.topic)
    channel = topic.channel if topic is not None else None
    if topic is None and site.fleet is not None:
        site.fleet.arrived(message)
    elif channel is Down.RECEIPTS and site.uplink is not None:
        site.uplink.hear(Receipt.decode(message.payload))
    elif site.trader is None:
        return
    elif channel is Down.TRADES:
        site.trader.hear_trades(TradesMessage.decode(message.payload))
    elif channel is Down.OUTLOOK:
        site.trader.hear_forecast(ForecastBroadcast.decode(message.payload))


async def _stop(site: Site, parent_pid: int | None) -> None:
    """Wait for a reason to stop, then take what control hands over, and hand over what is due while the link runs.

    Raises:
        StopRequested: Always.
    """
    try:
        await apart(_wait_for_a_reason(site, parent_pid))
    except* StopRequested as reasons:
        site.manager.stopping()
        # Who stops us may lose patience: what is in memory goes first, and once more what control hands over at last.
        site.supervisor.call("recorder", site.recorder.close, otherwise=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONTROL_END_S):
                await site.end.ended()
        site.supervisor.call("recorder", site.recorder.close, otherwise=None)
        site.outbox.flush()
        if site.link is None:
            raise StopRequested(reason_to_stop(reasons)) from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while any(site.outbox.read(channel, limit=1) for channel in Up):  # noqa: ASYNC110
                    await asyncio.sleep(_HAND_OVER_LOOK_S)
        raise StopRequested(reason_to_stop(reasons)) from None


async def _wait_for_a_reason(site: Site, parent_pid: int | None) -> None:
    """Wait for the first of all that may stop us.

    Raises:
        StopRequested: In a group, always.
    """
    async with asyncio.TaskGroup() as waits:
        waits.create_task(stop_on_signal(), name="stop on signal")
        waits.create_task(_stop_for_new_start(site), name="stop for a new start")
        if parent_pid is not None:
            waits.create_task(stop_with(parent_pid), name="stop with parent")
        if site.fleet is not None:
            waits.create_task(_take_part(site, site.fleet), name="fleet")


async def _take_part(site: Site, fleet: "SiteFleet") -> None:
    """Take part in the fleet; a new start that it asks for is control's too.

    Raises:
        StopRequested: The whole gateway is to be started anew.
    """
    try:
        await site.supervisor.run("fleet", fleet.run)
    except StopRequested as reason:
        await _take_control_along(site, str(reason))
        raise


async def _stop_for_new_start(site: Site) -> None:
    reason = await site.new_start
    await asyncio.sleep(NEW_START_S)  # The page still has to say so.
    await _take_control_along(site, reason)
    raise StopRequested(reason)


async def _take_control_along(site: Site, reason: str) -> None:
    """Have control start anew too."""
    if site.remote is not None:
        await site.end.send(Adopt(wanted=site.remote.wanted))  # Control starts with it, before we are there.
    await site.end.send(NewStart(reason=reason[:200]))


def _ask_new_start(site: Site, reason: str) -> None:
    if not site.new_start.done():
        site.new_start.set_result(reason)


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


def _presence(config: SiteConfig, clock: Clock, outbox: Outbox) -> Presence:
    topic = site_topic(zone=config.site.zone, site=config.site.id, channel=Up.STATUS)

    def birth() -> Announcement:
        status = StatusMessage(
            site=config.site.id, online=True, at=clock.now(), software=version("sitewatt"), epoch=outbox.epoch
        )
        return Announcement(topic=topic, payload=status.encode())

    will = StatusMessage(site=config.site.id, online=False)
    return Presence(birth=birth, will=Announcement(topic=topic, payload=will.encode()))


def _say_ready(site: Site) -> None:
    """Tell who started us that the site runs; a missing broker and a missing control do not hold it up."""
    site.manager.ready()
    sys.stdout.write(json.dumps({"ready": True, "site": site.config.site.id}) + "\n")
    sys.stdout.flush()
