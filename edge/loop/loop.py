"""The control cycle: read late, decide on a frozen picture, write early, prove, record.

A late cycle is skipped and counted, never queued; the next one is on the grid of periods again. Where the whole
gateway stood still for so long that its readings are too old to act on, devices are read before it acts. An order that
was just taken does not wait for it: one cycle more is run between two. Device revert timers are refreshed only with the
token of a cycle that finished on fresh inputs, so a hung loop lets go of every device. The one exception is a bound
that the device would lift: a blind cycle keeps it (docs/decisions/0011).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from contracts.clock import Clock
from edge.config import Idle, SiteConfig
from edge.control.bridge import BRIDGE_S, Bridge, bridged
from edge.control.cycle import decide
from edge.control.envelope import envelope
from edge.control.fallback import alone_s, holds_bound
from edge.control.lease import CycleToken, may_refresh, token_for
from edge.control.model import (
    Capability,
    ControlSettings,
    Decision,
    Memory,
    Setpoint,
    Snapshot,
)
from edge.devices.apply import Applied
from edge.devices.recipes import Direction
from edge.devices.recipes import Lever as DeviceLever
from edge.devices.site_device import SteeredDevice
from edge.errors import DeviceError, ValueRefused
from edge.loop.cycle import Cycle, Observer, Requester
from edge.loop.disputes import ALWAYS_HELD, Disputes
from edge.loop.lever_records import Lever, LeverRecords
from edge.loop.readings import Readings
from edge.loop.snapshot import SnapshotBuilder
from edge.loop.stats import LoopStats

log = logging.getLogger(__name__)


# A device that answers, and of which nothing was read for so long, is not silent: we do not read it.
UNREAD_S = 60.0
# How long after a start an alarm is not logged: devices answer within that, and nothing has been read of them before.
QUIET_S = 10.0
# How often in a period a loop that was late looks whether its devices have been read.
LOOKS = 20


class ControlLoop:
    """Runs the cycles of one site.

    Args:
        requesters: Asked once a cycle, in this order.
        observers: Told of each cycle after its decision was handed to the devices, in this order.
        locked: Says whether the site is locked for maintenance now.
        command_of: Says which command a requester's wish came with, for the log.
    """

    def __init__(
        self,
        *,
        config: SiteConfig,
        clock: Clock,
        devices: Mapping[str, SteeredDevice],
        requesters: Sequence[Requester],
        observers: Sequence[Observer],
        locked: Callable[[], bool],
        command_of: Callable[[str], str | None] = lambda _: None,
        stats: LoopStats | None = None,
    ) -> None:
        self.stats = stats or LoopStats()
        self._clock = clock
        self._devices = devices
        self._period_s = config.control.period_s
        self._snapshots = SnapshotBuilder(config.devices, meter=config.connection.meter)
        self._settings = _settings(config)
        self._requesters = tuple(requesters)
        self._observers = tuple(observers)
        self._locked = locked
        self._command_of = command_of
        self._logged: dict[Lever, str] = {}
        self._memory = Memory()
        self._bridge = Bridge()
        self._token: CycleToken | None = None
        self._blind_token: CycleToken | None = None
        self._levers = LeverRecords()
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._disputes = Disputes(config.control.foreign_writes)
        self._last: Cycle | None = None
        self._may_act_until_s = float("-inf")
        self._quiet_until_s = float("-inf")
        self._alarms_logged: tuple[str, ...] = ()

    async def run(self) -> None:
        """Run cycle after cycle until cancelled, then let the last writes end."""
        due_s = self._clock.monotonic()
        self._quiet_until_s = due_s + QUIET_S
        try:
            while True:
                self._cycle()
                due_s += self._period_s
                late_s = self._clock.monotonic() - due_s
                if late_s > 0:
                    missed = int(late_s // self._period_s) + 1
                    self.stats.late += missed
                    self.stats.late_in_a_row = max(self.stats.late_in_a_row, missed)
                    due_s += missed * self._period_s
                self._may_act_until_s = due_s
                await self._clock.sleep(due_s - self._clock.monotonic())
                if self._clock.monotonic() - due_s >= self._period_s:
                    await self._catch_up()
        finally:
            self._may_act_until_s = float("-inf")
            for task in self._writing.values():
                task.cancel()
            await asyncio.gather(*self._writing.values(), return_exceptions=True)

    async def _catch_up(self) -> None:
        """Let devices be read, for ``BRIDGE_S`` at most, where only our own stall has made their readings too old.

        What they say waits at our sockets or is asked for at once (ten on one line take a second or two); a cycle
        before that would let go of batteries.
        """
        until_s = self._clock.monotonic() + BRIDGE_S
        while self._was_fresh and not self._is_fresh() and self._clock.monotonic() < until_s:
            await self._clock.sleep(self._period_s / LOOKS)

    @property
    def _was_fresh(self) -> bool:
        return self._last is not None and self._last.decision.fresh

    def _is_fresh(self) -> bool:
        """Say whether a cycle now would decide on fresh inputs."""
        _, snapshot = self._look(self._clock.monotonic())
        return envelope(snapshot, self._settings).fresh

    def _look(self, now_s: float) -> tuple[Mapping[str, Readings], Snapshot]:
        """Return what the devices said last, and the picture that a cycle at that instant decides from."""
        for device in self._devices.values():
            device.attend()
        readings = {name: device.snapshot() for name, device in self._devices.items()}
        snapshot = self._snapshots.build(
            self._devices, readings, now_s=now_s, confirmed=self._levers.confirmed, held=self._levers.held
        )
        return readings, snapshot

    def act_now(self) -> None:
        """Run a cycle at once, for an order that was just taken: one between two of the grid, which stays as it is.

        A loop that is overdue does not run and must not look as if it did.
        """
        if self._clock.monotonic() < self._may_act_until_s:
            self._may_act_until_s = float("-inf")
            self._cycle()

    def adopt(self, config: SiteConfig) -> None:
        """Decide by a changed configuration from the next cycle on; its period is the one of the start."""
        self._settings = _settings(config)
        self._snapshots.adopt(config.devices)

    @property
    def last(self) -> Cycle | None:
        """Return the last finished cycle, ``None`` before the first."""
        return self._last

    @property
    def left(self) -> tuple[Lever, ...]:
        """Return the levers that are left to another master now."""
        return self._disputes.left

    def _settings_now(self) -> ControlSettings:
        """Return the settings in force, with the maintenance lock as it is now."""
        locked = self._locked()
        if locked != self._settings.maintenance_lock:
            self._settings = replace(self._settings, maintenance_lock=locked)
        return self._settings

    def _cycle(self) -> None:
        now_s = self._clock.monotonic()
        readings, snapshot = self._look(now_s)
        asked = [request for requester in self._requesters for request in requester.requests(now_s, readings)]
        settings = self._settings_now()
        picture, self._bridge = bridged(snapshot, self._bridge)
        decision, self._memory = decide(picture, asked, settings, self._memory)
        self.stats.cycles += 1
        self._write(decision, now_s)
        self._alarm(decision, now_s)
        number, finished_s = self.stats.cycles, self._clock.monotonic()
        in_time = token_for(decision, cycle=number, finished_s=finished_s, blind=True)
        self._token = token_for(decision, cycle=number, finished_s=finished_s) or self._token
        self._blind_token = in_time or self._blind_token
        self._last = Cycle(
            number=number,
            readings=readings,
            snapshot=snapshot,
            decision=decision,
            applied=self._levers.applied,
            settings=settings,
            sound=in_time is not None and (decision.fresh or not self._unread(readings, now_s)),
        )
        for observer in self._observers:
            observer.finished(self._last)
        self.stats.last_cycle_ms = (self._clock.monotonic() - now_s) / self._clock.speed * 1000
        self.stats.longest_cycle_ms = max(self.stats.longest_cycle_ms, self.stats.last_cycle_ms)

    def _unread(self, readings: Mapping[str, Readings], now_s: float) -> bool:
        """Say whether a device answers, and nothing was read of it for long."""
        for name, device in self._devices.items():
            newest_s = max((reading.monotonic_s for reading in readings[name].values()), default=now_s)
            if device.health.online and now_s - newest_s > UNREAD_S:
                return True
        return False

    def _alarm(self, decision: Decision, now_s: float) -> None:
        """Tell the alarms that there are now, and log them once for each change."""
        left = tuple(f"{device} {capability.value} is left to another master" for device, capability in self.left)
        refused = tuple(
            f"{device} {capability.value} cannot be written now: {_without_countdown(why)}"
            for (device, capability), why in sorted(self._levers.refused.items())
        )
        alarms = decision.alarms + left + refused
        self.stats.alarms = alarms
        if alarms != self._alarms_logged and (now_s >= self._quiet_until_s or not alarms):
            log.log(
                logging.WARNING if alarms else logging.INFO, "control alarms changed", extra={"alarms": list(alarms)}
            )
            self._alarms_logged = alarms

    def _write(self, decision: Decision, now_s: float) -> None:
        """Hand each device its setpoints; a device that is still busy with the last ones is left to finish."""
        by_device: dict[str, list[Setpoint]] = {}
        for setpoint in decision.setpoints:
            device = self._devices[setpoint.asset]
            drifted = device.drifted(setpoint.capability)
            lever = (setpoint.asset, setpoint.capability)
            if self._disputes.may_write(lever, drifted=drifted, reason=setpoint.reason, now_s=now_s):
                by_device.setdefault(setpoint.asset, []).append(setpoint)
        for name, device in self._devices.items():
            setpoints = by_device.get(name, [])
            leftovers = device.leftovers if device.health.online else frozenset()
            busy = self._writing.get(name)
            if not (setpoints or leftovers) or (busy is not None and not busy.done()):
                continue
            applying = self._apply(device, setpoints, leftovers, decided_s=now_s)
            self._writing[name] = asyncio.create_task(applying, name=f"write {name}")

    async def _apply(
        self, device: SteeredDevice, setpoints: list[Setpoint], leftovers: frozenset[DeviceLever], *, decided_s: float
    ) -> None:
        for leftover in sorted(leftovers):
            # What an earlier configuration moved and this one cannot: given back before anything else.
            with contextlib.suppress(DeviceError, ValueRefused):
                await device.apply(leftover, None, revert_s=0.0)
        for setpoint in setpoints:
            now_s = self._clock.monotonic()
            if setpoint.expires_s <= now_s:
                continue
            lever = (device.id, setpoint.capability)
            lifts = _lifts(device, setpoint.capability)
            token = self._blind_token if holds_bound(setpoint, lifts=lifts, now_s=now_s) else self._token
            try:
                applied = await device.apply(
                    setpoint.capability,
                    setpoint.value_w,
                    revert_s=alone_s(setpoint, lifts=lifts, now_s=now_s),
                    refresh=may_refresh(token, now_s=now_s),
                    urgent=setpoint.reason in ALWAYS_HELD or setpoint.bound_until_s > now_s,
                )
            except (DeviceError, ValueRefused) as error:
                self.stats.failed_writes += 1
                refused = None
                if isinstance(error, ValueRefused):
                    refused = str(error) if error.code == "refused" else error.code
                if self._levers.failed(lever, refused=refused):
                    fields = {"device": device.id, "lever": setpoint.capability.value, "reason": str(error)}
                    log.warning("setpoint not applied", extra=fields)
            else:
                self.stats.writes += 1
                self._levers.took(lever, applied, decided_s=decided_s, now_s=self._clock.monotonic())
                self._log_first(lever, setpoint, applied)

    def _log_first(self, lever: Lever, setpoint: Setpoint, applied: Applied) -> None:
        """Say once for each command and lever that it reached the device's registers, and what they hold."""
        command = self._command_of(setpoint.requester)
        if command is None or self._logged.get(lever) == command:
            return
        self._logged[lever] = command
        told = {"device": setpoint.asset, "lever": setpoint.capability.value, "power_w": setpoint.value_w}
        held = {"proven": applied.ok, "written": applied.wrote, "registers": applied.readback}
        log.info("command at the device", extra={"command": command, **told, **held})


def _without_countdown(why: str) -> str:
    """Return a reason that stays the same while it holds, so that its alarm is said once."""
    return why.partition("; tried ")[0]


def _lifts(device: SteeredDevice, capability: Capability) -> bool:
    """Say whether a device takes a restriction away by itself once we fall silent."""
    fallback = device.fallbacks.get(DeviceLever(capability.value))
    return fallback is not None and fallback.direction is Direction.RELEASED


def _settings(config: SiteConfig) -> ControlSettings:
    return ControlSettings(
        import_w_max=float(config.connection.import_limit_w),
        export_w_max=float(config.export_w_max),
        phase_w_max=None if config.connection.phase_limit_w is None else float(config.connection.phase_limit_w),
        dead_band_w=config.control.dead_band_w,
        reversals_per_min_max=config.control.reversals_per_min_max,
        self_consumption=config.control.idle is Idle.SELF_CONSUMPTION,
    )
