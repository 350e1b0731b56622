"""The control process: devices, the control loop, commands and grid limits; the rest of the site is another process.

It opens what it needs and nothing of the link, the market or the fleet. Only control may end it: what else runs here
(the border, the status socket, shared devices) is supervised.
"""

import asyncio
import contextlib
import functools
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contracts.clock import Clock
from contracts.market import SiteAgent
from contracts.topics import Up
from edge.border.control_end import ControlEnd
from edge.border.messages import Adopt, Beat
from edge.border.schedule import SiteSchedule
from edge.clock_trust import ClockWatch, watched_clock
from edge.commands.evidence_book import EvidenceBook
from edge.commands.executor import Executor, ExecutorPorts
from edge.commands.grid_limits import GridLimits
from edge.commands.page_key import page_issuers
from edge.commands.trust import trusted_issuers
from edge.config import SiteConfig
from edge.control.keys import TrustedKey
from edge.control.limits import LimitState
from edge.devices.device import Device
from edge.devices.opening import open_devices
from edge.devices.site_device import SiteDevice
from edge.errors import ConfigError
from edge.inputs.gpio import BoardContacts
from edge.inputs.lock import LocalLock
from edge.inputs.wired import WiredInputs, WiredRequester, check_contacts, check_loads, watched
from edge.loop.cycle import Observer, Requester
from edge.loop.device_clocks import DeviceClocks
from edge.loop.guard import GuardedObserver, GuardedRequester
from edge.loop.loop import ControlLoop
from edge.loop.seen import Teller
from edge.loop.signs import FirstLook, SignOfLife
from edge.loop.stats import LoopStats
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.outbox.records import MEBIBYTE, Caps
from edge.process.apart import apart
from edge.process.lifetime import StopRequested, reason_to_stop, stop_on_signal, stop_with
from edge.process.service_manager import ServiceManager
from edge.process.supervisor import Supervisor
from edge.setup.failsafe_check import FailsafeFinding, left_behind, refuse_unsafe, slow_levers
from edge.site.control_status import control_status
from edge.site.diagnostics import ControlDiagnostics
from edge.site.remote_settings import RemoteSettings, is_changeable, read_at_start
from edge.site.status import CONTROL_SOCKET, serve_status
from edge.site.stored_state import adopt_state_of_before

if TYPE_CHECKING:
    from edge.ocpp.server import CentralSystem

log = logging.getLogger(__name__)

STORE = "control.db"
# What waits for the site to take it over: days of proof, and then the oldest answers go first.
CAPS = Caps(bytes_max=256 * MEBIBYTE, orders_bytes_max=16 * MEBIBYTE, events_bytes_max=8 * MEBIBYTE)
HAND_OVER_S = 1.0  # Real seconds at a stop for the site to take what waits; control's own store keeps the rest.
_HAND_OVER_LOOK_S = 0.05


@dataclass(kw_only=True)
class Control:
    """The parts of a running control process."""

    config: SiteConfig
    clock: Clock
    watch: ClockWatch
    outbox: Outbox
    devices: dict[str, SiteDevice]
    on_modbus: dict[str, Device]
    central: "CentralSystem | None"
    executor: Executor
    grid_limits: GridLimits
    relays: WiredInputs
    board: BoardContacts
    clocks: DeviceClocks
    failsafe_findings: tuple[FailsafeFinding, ...]
    loop: ControlLoop
    manager: ServiceManager
    looked: FirstLook
    supervisor: Supervisor
    schedule: SiteSchedule
    end: ControlEnd
    remote: RemoteSettings | None
    new_start: "asyncio.Future[str]"
    opened_at: datetime


async def run_control(config: SiteConfig, *, clock: Clock, parent_pid: int | None = None) -> None:
    """Run one site's control until the operator asks it to stop, its parent is gone, or control fails.

    Raises:
        ConfigError: A profile, a url or a key cannot be used, or a device is unsafe on this site.
        OutboxInUse: Another gateway runs on the same state.
    """
    async with open_control(config, clock=clock) as control:
        await run_opened_control(control, parent_pid=parent_pid)


async def run_opened_control(control: Control, *, parent_pid: int | None = None) -> None:
    """Run control whose parts are open, until there is a reason to stop or control fails."""
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "control store": control.outbox.run,
        "border": lambda: control.end.run(Hears(control)),
        "control status": lambda: serve_status(
            control.config.state_dir, CONTROL_SOCKET, lambda: control_status(control).encode()
        ),
    }
    if control.central is not None:
        parts["charging stations"] = control.central.run
    for proxy in control.config.proxy:
        device = control.on_modbus[proxy.device]
        parts[f"proxy {proxy.device}"] = functools.partial(
            device.share, host=proxy.host, port=proxy.port, writable=proxy.writable
        )
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, start in parts.items():
                tasks.create_task(control.supervisor.run(name, start), name=name)
            tasks.create_task(control.loop.run(), name="control")
            tasks.create_task(_stop(control, parent_pid), name="stop")
            _say_ready(control)
    except* StopRequested as reasons:
        log.info("stop requested", extra={"reason": reason_to_stop(reasons)})


@contextlib.asynccontextmanager
async def open_control(config: SiteConfig, *, clock: Clock) -> AsyncIterator[Control]:
    """Open the parts of control, last to first released."""
    check_contacts(config)
    check_loads(config)
    failsafe_findings = refuse_unsafe(config) + slow_levers(config)
    for finding in failsafe_findings:
        log.warning("device has a weakness", extra={"device": finding.asset, "consequence": finding.consequence})
    clock, watch = watched_clock(clock)
    async with contextlib.AsyncExitStack() as stack:
        outbox = Outbox.open(
            config.state_dir / STORE, site=config.site.id, clock=clock, caps=CAPS, flush_window_s=FLUSH_WINDOW_S
        )
        stack.callback(outbox.close)
        watch.remember_in(outbox)
        adopt_state_of_before(outbox, config.state_dir / "journal.db")
        remote = RemoteSettings(config, memory=outbox) if is_changeable(config) else None
        config = config if remote is None else remote.config
        on_modbus = await stack.enter_async_context(
            open_devices(
                config.on_modbus,
                clock=clock,
                outbox=outbox,
                profile_dir=config.profile_dir,
                connection_w=float(max(config.connection.import_limit_w, config.connection.export_limit_w)),
                watched=watched(config),
                read_only=config.site.agent is SiteAgent.MONITOR,
            )
        )
        control = _build(
            config,
            clock=clock,
            watch=watch,
            outbox=outbox,
            on_modbus=on_modbus,
            failsafe_findings=failsafe_findings + left_behind(on_modbus),
            remote=remote,
        )
        stack.callback(control.board.close)
        yield control


def _build(
    config: SiteConfig,
    *,
    clock: Clock,
    watch: ClockWatch,
    outbox: Outbox,
    on_modbus: dict[str, Device],
    failsafe_findings: tuple[FailsafeFinding, ...],
    remote: RemoteSettings | None,
) -> Control:
    central, stations = _stations(config, clock=clock, outbox=outbox)
    devices: dict[str, SiteDevice] = {each.id: (stations | on_modbus)[each.id] for each in config.devices}
    supervisor, manager, stats = Supervisor(clock), ServiceManager(), LoopStats()
    name = config.site.id
    end = ControlEnd(state_dir=config.state_dir, site=name, outbox=outbox, clock=clock)
    schedule = SiteSchedule(clock.monotonic)
    grid_limits = GridLimits(config.grid_limits, memory=outbox, now_s=clock.monotonic())
    relays = WiredInputs(config.relays, memory=outbox)
    local_lock = LocalLock(config.state_dir, clock)
    diagnostics = ControlDiagnostics(
        loop=stats, schedule=schedule, devices=devices, clock_trust=watch.trust, supervisor=supervisor
    )
    executor = Executor(
        ExecutorPorts(
            site=name,
            clock=clock,
            outbox=outbox,
            telemetry=end,
            trusted={**trusted_issuers(config.commands), **_page_issuers(config)},
            capacity_wh={one.id: float(one.battery.capacity_wh) for one in config.devices if one.battery},
            clock_trust=watch.trust,
            local_lock=lambda: local_lock.locked() or relays.locked(),
            evidence=EvidenceBook(site=name, clock=clock, outbox=outbox, clock_trust=watch.trust),
            grid_limits=grid_limits,
            diagnostics=diagnostics.values,
        )
    )
    board, clocks = BoardContacts(config.relays, clock=clock), DeviceClocks(watch.trust)
    looked = FirstLook(clock.monotonic())
    requesters: dict[str, Requester] = {
        "command requests": executor,
        "wired requests": WiredRequester(relays, board=board.readings, supervisor=supervisor),
        "site requests": schedule,
    }
    observers: dict[str, Observer] = {
        "command executor": executor,
        "device clocks": clocks,
        "teller": Teller(
            tell=end.tell,
            offline=lambda: _offline(devices),
            in_event=lambda: _in_event(executor, grid_limits, now_s=clock.monotonic()),
        ),
    }
    return Control(
        config=config,
        clock=clock,
        watch=watch,
        outbox=outbox,
        devices=devices,
        on_modbus=on_modbus,
        central=central,
        executor=executor,
        grid_limits=grid_limits,
        relays=relays,
        board=board,
        clocks=clocks,
        failsafe_findings=failsafe_findings,
        manager=manager,
        looked=looked,
        supervisor=supervisor,
        schedule=schedule,
        end=end,
        remote=remote,
        new_start=asyncio.get_running_loop().create_future(),
        opened_at=clock.now(),
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
            command_of=executor.command_of,
            stats=stats,
        ),
    )


def _stations(
    config: SiteConfig, *, clock: Clock, outbox: Outbox
) -> "tuple[CentralSystem | None, dict[str, SiteDevice]]":
    """Return where charging stations call, and the devices that they are; a site without any loads nothing of it.

    Raises:
        ConfigError: The library is not installed.
    """
    if config.ocpp is None or not config.stations:
        return None, {}
    try:
        from edge.devices.station_opening import open_stations
    except ModuleNotFoundError as error:
        raise ConfigError(f"a device has a section ocpp, and {error.name} is not installed: sitewatt[ocpp]") from error
    central, stations = open_stations(config.stations, config.ocpp, clock=clock, memory=outbox)
    return central, dict(stations)


def _page_issuers(config: SiteConfig) -> dict[str, TrustedKey]:
    """Return the issuers of the gateway's own page, none where it takes no actions.

    Raises:
        ConfigError: Their key cannot be read or made.
    """
    if config.page is None or config.page.tls_port is None:
        return {}
    return page_issuers(config.state_dir)


class Hears:
    """What control does with what the site process sends."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def command(self, payload: bytes, *, retained: bool) -> None:
        """Judge a command, from when the devices have been looked at; act on it at once."""
        control = self._control
        await control.looked.wait()
        take = functools.partial(control.executor.take, payload, retained=retained)
        if control.supervisor.call("messages", take, otherwise=False):
            control.loop.act_now()

    def beat(self, beat: Beat) -> None:
        """Take what is asked now."""
        self._control.schedule.take(beat)

    def adopt(self, adopt: Adopt) -> None:
        """Lay what is wanted from afar over the site's file; what the file does not allow changes nothing."""
        control = self._control
        if control.remote is None:
            return
        try:
            proposal = control.remote.propose_all(adopt.wanted)
            refuse_unsafe(proposal.config)
        except ConfigError as error:
            log.error("settings from afar refused", extra={"reason": str(error)})  # noqa: TRY400
            return
        before = control.config
        control.remote.keep(proposal)
        if keys := read_at_start(before, proposal.config):
            # All of it comes with the new start: half of a wish is not what was wished.
            self.new_start(f"{', '.join(keys)} changed from afar")
        elif proposal.config != before:
            control.config = proposal.config
            control.loop.adopt(proposal.config)

    def new_start(self, reason: str) -> None:
        """Stop in order."""
        if not self._control.new_start.done():
            self._control.new_start.set_result(reason)


async def _stop(control: Control, parent_pid: int | None) -> None:
    """Wait for a reason to stop, then leave the site a moment to take over what waits.

    Raises:
        StopRequested: Always.
    """
    try:
        await apart(_wait_for_a_reason(control, parent_pid))
    except* StopRequested as reasons:
        control.manager.stopping()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                await control.outbox.on_disk()
                while control.end.peer.connected and _waits(control.outbox):  # noqa: ASYNC110
                    await asyncio.sleep(_HAND_OVER_LOOK_S)
        raise StopRequested(reason_to_stop(reasons)) from None


async def _wait_for_a_reason(control: Control, parent_pid: int | None) -> None:
    """Wait for the first of all that may stop us.

    Raises:
        StopRequested: In a group, always.
    """
    async with asyncio.TaskGroup() as waits:
        waits.create_task(stop_on_signal(), name="stop on signal")
        waits.create_task(_stop_for_new_start(control), name="stop for a new start")
        if parent_pid is not None:
            waits.create_task(stop_with(parent_pid), name="stop with parent")


async def _stop_for_new_start(control: Control) -> None:
    raise StopRequested(await control.new_start)


def _waits(outbox: Outbox) -> bool:
    return any(outbox.read(channel, limit=1) for channel in (Up.ACKS, Up.EVENTS))


def _offline(devices: dict[str, SiteDevice]) -> tuple[str, ...]:
    return tuple(sorted(name for name, device in devices.items() if not device.health.online))


def _in_event(executor: Executor, grid_limits: GridLimits, *, now_s: float) -> bool:
    limited = any(one.state is LimitState.LIMITED for one in grid_limits.status(now_s).values())
    return limited or bool(executor.running())


def _say_ready(control: Control) -> None:
    """Tell who started us that control runs, and which devices have not answered yet."""
    control.manager.ready()
    offline = list(_offline(control.devices))
    sys.stdout.write(json.dumps({"ready": True, "site": control.config.site.id, "offline": offline}) + "\n")
    sys.stdout.flush()
