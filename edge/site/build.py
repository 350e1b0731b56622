"""Builds every part of a site, owns the tasks, closes in reverse order."""

import asyncio
import contextlib
import functools
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from contracts.clock import Clock
from contracts.forecast import ForecastBroadcast
from contracts.market import SiteAgent, TradesMessage
from contracts.telemetry import StatusMessage
from contracts.topics import Down, Up, parse, site_topic
from contracts.wire import WireError
from edge.agent.trader import Trader
from edge.clock_trust import ClockWatch
from edge.commands.evidence_book import EvidenceBook
from edge.commands.executor import Executor, ExecutorPorts
from edge.commands.grid_limits import GridLimits
from edge.commands.trust import trusted_issuers
from edge.config import SiteConfig
from edge.devices.device import Device
from edge.devices.opening import open_devices
from edge.fleet.settings import FleetSettings
from edge.inputs.gpio import BoardContacts
from edge.inputs.lock import LocalLock
from edge.inputs.wired import WiredInputs, WiredRequester, check_contacts, check_loads, watched
from edge.links.link import Announcement, Inbound, Link, Presence
from edge.links.making import make_link
from edge.loop.cycle import LoopStats, Observer, Requester
from edge.loop.device_clocks import DeviceClocks
from edge.loop.guard import GuardedObserver, GuardedRequester
from edge.loop.loop import ControlLoop
from edge.loop.signs import FirstLook, SignOfLife
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.process.lifetime import StopRequested, stop_on_signal, stop_with
from edge.process.service_manager import ServiceManager
from edge.process.supervisor import Supervisor
from edge.setup.failsafe_check import FailsafeFinding, left_behind, refuse_unsafe, slow_levers
from edge.site.diagnostics import SiteDiagnostics
from edge.site.recorder import Recorder
from edge.site.remote_settings import RemoteSettings
from edge.site.status import (
    Status,
    command_status,
    cycle_status,
    device_status,
    limit_status,
    loop_status,
    part_status,
    serve_status,
)
from edge.telemetry.clock_sync_buffer import ClockSyncBuffer
from edge.telemetry.history import History
from edge.telemetry.meter_recorder import MeterRecorder
from edge.telemetry.sampler import Sampler
from edge.telemetry.uplink import Uplink

if TYPE_CHECKING:
    from edge.site.fleet_part import SiteFleet

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.5  # Real seconds to hand over what is due; the outbox keeps the rest.
_HAND_OVER_LOOK_S = 0.05
# A time service needs the network and seconds; what it does not do in this time it may never do.
CLOCK_WAIT_S = 120.0


@dataclass(kw_only=True)
class Site:
    """The parts of a running site."""

    config: SiteConfig
    clock: Clock
    watch: ClockWatch
    outbox: Outbox
    devices: dict[str, Device]
    link: Link
    uplink: Uplink
    sampler: Sampler
    recorder: Recorder
    history: History
    executor: Executor
    evidence: EvidenceBook
    grid_limits: GridLimits
    relays: WiredInputs
    board: BoardContacts
    clocks: DeviceClocks
    weaknesses: tuple[FailsafeFinding, ...]
    trader: Trader | None
    loop: ControlLoop
    manager: ServiceManager
    looked: FirstLook
    supervisor: Supervisor
    fleet: "SiteFleet | None" = None


async def run_site(config: SiteConfig, *, clock: Clock, parent_pid: int | None = None) -> None:
    """Run one site until the operator asks it to stop, its parent is gone, or control fails.

    Raises:
        ConfigError: A profile, a url or a key cannot be used, or a device is unsafe on this site.
        OutboxInUse: Another gateway runs on the same state.
    """
    async with open_site(config, clock=clock) as site:
        await run_opened(site, parent_pid=parent_pid)


async def run_opened(site: Site, *, parent_pid: int | None = None) -> None:
    """Run a site whose parts are open, until there is a reason to stop or control fails.

    Every part but control is supervised: its fault ends neither control nor another part.
    """
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "outbox": site.outbox.run,
        "link": lambda: _connect(site),
        "uplink": site.uplink.run,
        "history": site.history.run,
        "hear": lambda: _hear(site),
        "status": lambda: serve_status(site.config.state_dir, lambda: site_status(site)),
    }
    if site.trader is not None:
        parts["trade"] = site.trader.run
    if (page := site.config.page) is not None:
        # Only a gateway that shows one bears what it costs.
        from edge.site.page_part import serve_page

        parts["page"] = lambda: serve_page(site.config, page)
    for proxy in site.config.proxy:
        device = site.devices[proxy.device]
        parts[f"proxy {proxy.device}"] = functools.partial(
            device.share, host=proxy.host, port=proxy.port, writable=proxy.writable
        )
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, start in parts.items():
                tasks.create_task(site.supervisor.run(name, start), name=name)
            tasks.create_task(site.loop.run(), name="control")
            tasks.create_task(_stop(site, parent_pid), name="stop")
            _say_ready(site)
    except* StopRequested as reasons:
        log.info("stop requested", extra={"reason": str(reasons.exceptions[0])})


@contextlib.asynccontextmanager
async def open_site(config: SiteConfig, *, clock: Clock) -> AsyncIterator[Site]:
    """Open the parts of a site, last to first released."""
    check_contacts(config)
    check_loads(config)
    if config.fleet is not None:
        # Only a gateway of a fleet bears what that costs: 7 MB of memory.
        from edge.site.fleet_part import check_identity

        check_identity(config.fleet, site=config.site.id)
    weaknesses = refuse_unsafe(config) + slow_levers(config)
    for weakness in weaknesses:
        log.warning("device has a weakness", extra={"device": weakness.asset, "consequence": weakness.consequence})
    async with contextlib.AsyncExitStack() as stack:
        # A site that reports more often than the flush window commits as often as it reports.
        window_s = min(FLUSH_WINDOW_S, config.telemetry.period_s)
        path = config.state_dir / "journal.db"
        outbox = Outbox.open(path, site=config.site.id, clock=clock, flush_window_s=window_s)
        stack.callback(outbox.close)
        remote = None if config.fleet is None else RemoteSettings(config, memory=outbox)
        config = config if remote is None else remote.config
        devices = await stack.enter_async_context(
            open_devices(
                config.devices,
                clock=clock,
                outbox=outbox,
                profile_dir=config.profile_dir,
                connection_w=float(max(config.connection.import_limit_w, config.connection.export_limit_w)),
                watched=watched(config),
                read_only=config.site.agent is SiteAgent.MONITOR,
            )
        )
        weaknesses += left_behind(devices)
        site = _build(config, clock, outbox, devices, weaknesses)
        stack.callback(site.board.close)
        if config.fleet is not None and remote is not None:
            site.fleet = _fleet_part(site, config.fleet, remote)
        yield site


def _build(
    config: SiteConfig,
    clock: Clock,
    outbox: Outbox,
    devices: dict[str, Device],
    weaknesses: tuple[FailsafeFinding, ...],
) -> Site:
    watch = ClockWatch(clock)
    name = config.site.id
    link = make_link(config.link, client_id=name, presence=_presence(config, clock, outbox))
    sync_buffer = ClockSyncBuffer(clock=clock, clock_trust=watch.trust, outbox=outbox)
    sampler = Sampler(
        site=name, outbox=outbox, clock=clock, period_s=config.telemetry.period_s, clock_trust=sync_buffer.trust
    )
    history = History(config.state_dir, clock=clock, clock_trust=watch.trust)
    recorder = Recorder(
        meter=config.connection.meter,
        clock=clock,
        sampler=sampler,
        sync_buffer=sync_buffer,
        meter_recorder=MeterRecorder(
            site=name,
            outbox=outbox,
            clock=clock,
            connection_w=max(config.connection.import_limit_w, config.connection.export_limit_w),
        ),
        history=history,
        clock_trust=watch.trust,
    )
    evidence = EvidenceBook(site=name, clock=clock, outbox=outbox, clock_trust=watch.trust)
    grid_limits = GridLimits(config.grid_limits, memory=outbox, now_s=clock.monotonic())
    relays = WiredInputs(config.relays, memory=outbox)
    local_lock = LocalLock(config.state_dir, clock)
    supervisor, manager, stats = Supervisor(clock), ServiceManager(), LoopStats()
    uplink = Uplink(
        outbox=outbox,
        link=link,
        clock=clock,
        topic_of=lambda channel: site_topic(zone=config.site.zone, site=name, channel=channel),
        throttle=config.link.throttle,
    )
    diagnostics = SiteDiagnostics(
        loop=stats, uplink=uplink, devices=devices, clock_trust=watch.trust, supervisor=supervisor
    )
    executor = Executor(
        ExecutorPorts(
            site=name,
            clock=clock,
            outbox=outbox,
            telemetry=sampler,
            trusted=trusted_issuers(config.commands),
            capacity_wh={one.id: float(one.battery.capacity_wh) for one in config.devices if one.battery},
            clock_trust=watch.trust,
            local_lock=lambda: local_lock.locked() or relays.locked(),
            evidence=evidence,
            grid_limits=grid_limits,
            diagnostics=diagnostics.values,
        )
    )
    trader = None
    if config.trading.plans and config.site.agent is not SiteAgent.MONITOR:
        # What an earlier version kept may be unreadable for this one; the site is controlled without trading then.
        trader = supervisor.call(
            "trade",
            lambda: Trader(config=config, clock=clock, outbox=outbox, clock_trust=watch.trust),
            otherwise=None,
        )
    board, clocks = BoardContacts(config.relays, clock=clock), DeviceClocks(watch.trust)
    looked = FirstLook(clock.monotonic())
    requesters: dict[str, Requester] = {
        "command requests": executor,
        "wired requests": WiredRequester(relays, board=board.readings, supervisor=supervisor),
        **({} if trader is None else {"schedule": trader}),
    }
    observers: dict[str, Observer] = {
        "command executor": executor,
        "recorder": recorder,
        "device clocks": clocks,
        **({} if trader is None else {"trader": trader}),
    }
    return Site(
        config=config,
        clock=clock,
        watch=watch,
        outbox=outbox,
        devices=devices,
        link=link,
        uplink=uplink,
        sampler=sampler,
        recorder=recorder,
        history=history,
        executor=executor,
        evidence=evidence,
        grid_limits=grid_limits,
        relays=relays,
        board=board,
        clocks=clocks,
        weaknesses=weaknesses,
        trader=trader,
        manager=manager,
        looked=looked,
        supervisor=supervisor,
        loop=ControlLoop(
            config=config,
            clock=clock,
            devices=devices,
            requesters=[GuardedRequester(part, one, supervisor) for part, one in requesters.items()],
            observers=[
                SignOfLife(manager),
                looked,
                *(GuardedObserver(part, one, supervisor) for part, one in observers.items()),
            ],
            locked=executor.locked,
            stats=stats,
        ),
    )


async def _connect(site: Site) -> None:
    """Keep the link, from when certificates can be judged and messages dated; without a clock at all, from a bound."""
    if not await site.watch.trusted(within_s=CLOCK_WAIT_S):
        log.warning("the clock was not set; connecting without", extra={"waited_s": CLOCK_WAIT_S})
    await site.link.run()


async def _hear(site: Site) -> None:
    """Take what the broker brings, for ever; a message that is unreadable or makes its hearer fail is left out."""
    zone, name = site.config.site.zone, site.config.site.id
    site.link.subscribe([site_topic(zone=zone, site=name, channel=channel) for channel in Down])
    await site.looked.wait()
    async for message in site.link.messages():
        site.supervisor.call("messages", functools.partial(_take, site, message), otherwise=None)
        # Messages that wait are taken one between two looks of the loop: a flood must not hold a control cycle up.
        await asyncio.sleep(0)


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
    elif channel is Down.COMMANDS:
        if site.executor.take(message.payload, retained=message.retained):
            site.loop.act_now()
    elif site.trader is None:
        return
    elif channel is Down.TRADES:
        site.trader.hear_trades(TradesMessage.decode(message.payload))
    elif channel is Down.OUTLOOK:
        site.trader.hear_forecast(ForecastBroadcast.decode(message.payload))


async def _stop(site: Site, parent_pid: int | None) -> None:
    """Wait for a reason to stop, then hand over what is due while the link still runs.

    Raises:
        StopRequested: Always.
    """
    try:
        async with asyncio.TaskGroup() as waits:
            waits.create_task(stop_on_signal(), name="stop on signal")
            if parent_pid is not None:
                waits.create_task(stop_with(parent_pid), name="stop with parent")
            if site.fleet is not None:
                waits.create_task(site.supervisor.run("fleet", site.fleet.run), name="fleet")
    except* StopRequested as reasons:
        site.manager.stopping()
        site.supervisor.call("recorder", site.recorder.close, otherwise=None)
        site.outbox.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while any(site.outbox.read(channel, limit=1) for channel in Up):  # noqa: ASYNC110
                    await asyncio.sleep(_HAND_OVER_LOOK_S)
        raise StopRequested(str(reasons.exceptions[0])) from None


def _fleet_part(site: Site, settings: FleetSettings, remote: RemoteSettings) -> "SiteFleet":
    from edge.site.fleet_part import Host, SiteFleet

    host = Host(
        link=site.link,
        clock=site.clock,
        outbox=site.outbox,
        devices=site.devices,
        loop=site.loop,
        executor=site.executor,
        grid_limits=site.grid_limits,
        adopt=lambda config: _adopt(site, config),
    )
    return SiteFleet(settings, remote, host)


def _adopt(site: Site, config: SiteConfig) -> None:
    """Bring a changed configuration into force, but for what is read at a start."""
    site.config = config
    site.loop.adopt(config)
    site.sampler.report_every(config.telemetry.period_s)
    site.outbox.flush_within(min(FLUSH_WINDOW_S, config.telemetry.period_s))
    if site.trader is not None:
        site.trader.adopt(config)


def _presence(config: SiteConfig, clock: Clock, outbox: Outbox) -> Presence:
    topic = site_topic(zone=config.site.zone, site=config.site.id, channel=Up.STATUS)

    def birth() -> Announcement:
        status = StatusMessage(
            site=config.site.id, online=True, at=clock.now(), software=version("sitewatt"), epoch=outbox.epoch
        )
        return Announcement(topic=topic, payload=status.encode())

    will = StatusMessage(site=config.site.id, online=False)
    return Presence(birth=birth, will=Announcement(topic=topic, payload=will.encode()))


def site_status(site: Site) -> Status:
    """Return what an operator on site asks: devices, the last cycle and its reasons, commands, limits, stores."""
    cycle, now_s = site.loop.last, site.clock.monotonic()
    link, outbox = site.link.status(), site.outbox.stats()
    return Status(
        site=site.config.site.id,
        at=site.clock.now(),
        clock=site.watch.trust(),
        locked=site.executor.locked(),
        devices=tuple(device_status(device) for device in site.devices.values()),
        cycle=None if cycle is None else cycle_status(cycle),
        loop=loop_status(site.loop.stats, period_s=site.config.control.period_s),
        commands=tuple(command_status(life, now_s=now_s) for life in site.executor.running()),
        answers={**site.executor.stats, **site.executor.refusals},
        grid_limits={one.value: limit_status(found) for one, found in site.grid_limits.status(now_s).items()},
        relays=dict(site.relays.contacts),
        relays_unread=tuple(sorted(site.relays.unread)),
        weaknesses=tuple(weakness.consequence for weakness in site.weaknesses),
        device_clocks=site.clocks.wrong,
        trading=None
        if site.trader is None
        else {**site.trader.stats, "waits": site.trader.waits, "plan": site.trader.told_plan()},
        parts=tuple(part_status(part) for part in site.supervisor.parts),
        outbox={
            "state": outbox.state.value,
            "waiting": sum(outbox.depth.values()),
            "bytes": sum(outbox.bytes.values()),
            "dropped": outbox.dropped,
            "error": outbox.last_error,
        },
        link={"state": link.state.value, "connects": link.connects, "error": link.last_error},
    )


def _say_ready(site: Site) -> None:
    """Tell who started us that the site runs, and which devices have not answered yet."""
    offline = sorted(name for name, device in site.devices.items() if not device.health.online)
    site.manager.ready()
    sys.stdout.write(json.dumps({"ready": True, "site": site.config.site.id, "offline": offline}) + "\n")
    sys.stdout.flush()
