"""A device of the site: read at its pace, told what to do, in our names and our signs."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from contracts.clock import Clock
from contracts.units import Quality
from edge.control.lease import LEASE_S
from edge.control.model import Capability
from edge.devices.apply import Applied, Levers
from edge.devices.facts import Facts, NoMarker, Watch, conditions, learn_facts, telling
from edge.devices.health import Health
from edge.devices.map_faults import likely_slip
from edge.devices.options import (
    DeviceOptions,
    link_limits,
)
from edge.devices.profile import Profile
from edge.devices.quality import Quarantine, plausible_range
from edge.devices.recipes import Fallback, Lever
from edge.devices.resolve import Resolved, offered_levers
from edge.devices.view import View, build_view
from edge.devices.wear import WriteBudget, budget_of
from edge.errors import ConfigError, DeviceError, DeviceSilent, ValueRefused
from edge.modbus.bus import Bus
from edge.modbus.learned import Learned
from edge.modbus.point import PollClass, Reading, RegisterPoint
from edge.modbus.poller import Poller
from edge.modbus.proxy import Proxy
from edge.modbus.sunspec import header_points
from edge.modbus.url import Endpoint
from edge.state_store import StateStore, VolatileStateStore

__all__ = ["Applied", "Device", "DeviceOptions", "Health"]

log = logging.getLogger(__name__)

SEARCH_S_MIN = 0.5  # Real seconds between two attempts to find what a device is made of, doubling up to the next.
SEARCH_S_MAX = 5.0  # Good data within 10 s after a device answers.
SHARE_AGAIN_S = 10.0  # Real seconds until a port that was taken is tried again.

_OFFERED = {Lever(capability.value): capability for capability in Capability}


@dataclass(kw_only=True)
class _Running:
    """What exists once we know what the device is made of."""

    facts: Facts
    resolved: Resolved
    poller: Poller
    view: View
    levers: Levers


class Device:
    """One device. ``run`` reads it until cancelled; everything else may be called at any time.

    Args:
        id: Name within the site.
        memory: Where what was learned, touched and worn is kept over restarts.
        phase_s: It is read at whole periods from this instant of the clock; one phase for all devices of a site.
    """

    def __init__(
        self,
        *,
        id: str,
        profile: Profile,
        bus: Bus,
        unit: int,
        clock: Clock,
        options: DeviceOptions | None = None,
        memory: StateStore | None = None,
        phase_s: float = 0.0,
    ) -> None:
        self.id = id
        self.profile = profile
        self.unit = unit
        self._bus = bus
        self._clock = clock
        self._phase_s = phase_s
        self._options = options or DeviceOptions()
        self._memory = memory or VolatileStateStore()
        self._limits = link_limits(profile, bus.endpoint)
        self._learned = self._recalled()
        self._ledger = WriteBudget(id, self._memory, clock)
        self._running: _Running | None = None
        self._attended_s: float | None = None
        self._stage = "searching"
        self._last_error: str | None = None
        self._quarantine = Quarantine()
        self._implausible_said: set[str] = set()

    # What others ask.

    def snapshot(self) -> Mapping[str, Reading]:
        """Return the newest reading of every quantity by canonical name, in our sign, stale where it has aged."""
        running = self._running
        if running is None:
            return {}
        readings = running.view.snapshot(running.poller.latest, self._clock.monotonic())
        if self._stage == "relearning":
            readings = {name: replace(one, value=None, quality=Quality.INVALID) for name, one in readings.items()}
        self._say_implausible()
        return readings

    def _say_implausible(self) -> None:
        """Log the first reading of a quantity that cannot be; the count of all is in the status."""
        for canonical in self._quarantine.said.keys() - self._implausible_said:
            self._implausible_said.add(canonical)
            reading = self._quarantine.said[canonical]
            log.warning("reading cannot be", extra={"device": self.id, "reading": reading})

    @property
    def profile_id(self) -> str:
        """Return the id of its profile."""
        return self.profile.id

    @property
    def write_budgets(self) -> Mapping[str, int | None]:
        """Return the writes a day that each point bears which was written today; None where it is RAM."""
        return {name: budget_of(self.profile.writes.get(name)) for name in self._ledger.writes_today}

    @property
    def endpoint(self) -> Endpoint:
        """Return where the device answers."""
        return replace(self._bus.endpoint, unit=self.unit)

    @property
    def points(self) -> Mapping[str, Reading]:
        """Return the newest reading of every point as the device means it, by the profile's names."""
        return {} if self._running is None else self._running.poller.latest

    def likely_slip(self, canonical: str, *, bounds: tuple[float, float] | None = None) -> str | None:
        """Return which usual slip of the map would explain what a quantity reads; None where none would.

        Args:
            bounds: What the quantity can be in our sign, where its name alone does not say so.
        """
        bounds = bounds or plausible_range(canonical)
        if self._running is None or bounds is None:
            return None
        for source in self._running.view.sources.get(canonical, ()):
            reading = self._running.poller.latest.get(source.name)
            if source.point is not None and reading is not None and isinstance(reading.raw, int):
                return likely_slip(source.point, reading.raw, bounds=bounds)
        return None

    @property
    def health(self) -> Health:
        """Return how the device does now."""
        running = self._running
        if running is None:
            return Health(
                online=False,
                stage=self._stage,
                last_error=self._last_error,
                writes_today=self._ledger.writes_today,
            )
        wire = running.poller.health
        return Health(
            online=wire.online,
            since_at=wire.since_at,
            stage="misread" if running.view.is_misread else self._stage,
            doubt=self._doubt,
            last_error=wire.last_error,
            latency_s=wire.latency_s,
            error_rate=wire.error_rate,
            requests=wire.requests,
            cycles=wire.cycles,
            late_cycles=wire.late_cycles,
            quarantined=dict(self._quarantine.counts),
            implausible=dict(self._quarantine.said),
            foreign_writes={lever: state.foreign for lever, state in running.levers.states.items() if state.foreign},
            writes_today=self._ledger.writes_today,
            no_timer=tuple(lever for lever, fallback in self.fallbacks.items() if not fallback.has_timer),
        )

    @property
    def levers(self) -> frozenset[Lever]:
        """Return what can be asked of the device; empty for a monitor, and until it has shown what it is made of."""
        if self._running is None or self._bus.read_only:
            return frozenset()
        return offered_levers(self._running.resolved, self._options.levers)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return what the control cycle can ask of the device."""
        return frozenset(_OFFERED[lever] for lever in self.levers if lever in _OFFERED)

    @property
    def fallbacks(self) -> Mapping[Lever, Fallback]:
        """Return what the device does with each lever once we fall silent."""
        if self._running is None:
            return {}
        levers = self._running.levers
        return {lever: levers.recipe(lever).fallback for lever in sorted(self.levers)}

    @property
    def leftovers(self) -> frozenset[Lever]:
        """Return the levers that may still hold something of ours and that nobody may ask for any more.

        A monitor gives nothing back either: it writes nothing.
        """
        return frozenset() if self._bus.read_only else self._ledger.touched - self.levers

    @property
    def left_behind(self) -> frozenset[Lever]:
        """Return the levers that hold something of ours which a monitor does not take away."""
        return self._ledger.touched if self._bus.read_only else frozenset()

    @property
    def all_phases_from_w(self) -> float:
        """Return from which limit on it uses all its phases; what is less, it draws over its first alone."""
        switch = None if self._running is None else self._running.levers.phase_switch
        return 0.0 if switch is None else switch.all_from_w

    def drifted(self, capability: Capability) -> bool:
        """Return whether a capability that we had proven does not hold it any more."""
        return self._running is not None and self._running.levers.drifted(Lever(capability.value))

    def wear_period_s(self, capability: Capability) -> float:
        """Return how far apart writes to a capability must lie on average for its memory, 0 where it is RAM."""
        lever = Lever(capability.value)
        return 0.0 if self._running is None or lever not in self.levers else self._running.levers.wear_period_s(lever)

    async def apply(
        self,
        capability: Capability | Lever,
        value_w: float | None,
        *,
        revert_s: float,
        refresh: bool = True,
        urgent: bool = True,
    ) -> Applied:
        """Bring a capability to a value, or take every restriction of ours away where it is None, and prove it.

        Args:
            value_w: In the terms of the capability: generation limits are magnitudes, battery power charges positive.
            revert_s: For how long the device's own timer may be armed.
            refresh: Whether a completed control cycle on fresh inputs stands behind this.
            urgent: Whether it may use the whole of what the device's memory bears a day.

        Raises:
            ValueRefused: The value or the state of the device does not allow it; nothing was written.
            DeviceSilent: No answer; what the device holds is unknown.
            DeviceRefused: The device answered with an exception.
        """
        if self._running is None:
            raise DeviceSilent(f"{self.id} has not shown what it is made of: {self._last_error or 'not asked yet'}")
        if self._bus.read_only:
            raise ValueRefused(f"{self.id} is only read: a monitor writes nothing", code="read_only")
        if self._doubt is not None:
            raise ValueRefused(f"{self.id}: {self._doubt}; nothing was written", code="misread")
        lever = Lever(capability.value)
        return await self._running.levers.apply(lever, value_w, revert_s=revert_s, refresh=refresh, urgent=urgent)

    def attend(self) -> None:
        """Take note that a control cycle has just looked at the device."""
        self._attended_s = self._clock.monotonic()

    def _is_attended(self) -> bool:
        """Say whether control still looks at a device that takes any message for a sign of life.

        Read on by a gateway whose control hangs, it would hold its last limit for ever. Where control never looked,
        a tool reads it.
        """
        if self._attended_s is None or self._clock.monotonic() - self._attended_s < LEASE_S:
            return True
        return not any(fallback.any_message for fallback in self.fallbacks.values())

    async def share(self, *, host: str, port: int, writable: bool = False) -> None:
        """Let other programs ask this device through a port of ours, until cancelled.

        A port that is taken is tried again: what is shared for convenience must not end the control of a site.
        """
        proxy = Proxy(self._bus, units={self.unit}, writable=writable)
        while True:
            try:
                await proxy.run(host=host, port=port)
            except ConfigError as error:
                log.warning("device is not shared", extra={"device": self.id, "reason": str(error)})
                await asyncio.sleep(SHARE_AGAIN_S)

    # Its life.

    async def run(self) -> None:
        """Find out what the device is made of and read it, until cancelled."""
        try:
            while True:
                running = await self._search()
                self._running, self._stage = running, "reading"
                async with asyncio.TaskGroup() as tasks:
                    reading = tasks.create_task(running.poller.run(), name=f"read {self.id}")
                    tasks.create_task(self._watch_facts(running, reading), name=f"facts {self.id}")
        finally:
            self._keep_learned()

    async def _search(self) -> _Running:
        wait_s = SEARCH_S_MIN
        while True:
            try:
                return await self._compose()
            except DeviceError as error:
                if str(error) != self._last_error:
                    log.warning("device not found", extra={"device": self.id, "error": str(error)})
                self._last_error = str(error)
            await asyncio.sleep(max(wait_s, self._bus.retry_in_s(self.unit)))
            wait_s = min(2 * wait_s, SEARCH_S_MAX)

    async def _compose(self) -> _Running:
        self._bus.unit(self.unit, limits=self._limits, learned=self._learned)
        try:
            facts = await learn_facts(self.profile, self._bus, self.unit)
        except NoMarker:
            self._stage = "wrong_profile"
            raise
        self._say_unread(facts)
        resolved = facts.resolve(self.profile)
        view = build_view(
            resolved,
            kinds=self._options.kinds,
            use=self._options.use,
            turned=self._options.turned,
            rated_w=self._options.counted_w,
            power_w_max=self._options.power_w_max,
        )
        view.quarantine = self._quarantine
        polled = self._polled(resolved, view)
        control = (point for point in polled if point.poll_class is PollClass.CONTROL)
        headers = {} if facts.sunspec is None else header_points(facts.sunspec, control)
        view.headers = {name: model_id for name, (_, model_id) in headers.items()}
        poller = Poller(
            self._bus,
            self.unit,
            [*polled, *(point for point, _ in headers.values())],
            clock=self._clock,
            limits=self._limits,
            learned=self._learned,
            period_s={poll_class: self.profile.link.period_s(poll_class) for poll_class in PollClass},
            phase_s=self._phase_s,
            on_learned=self._keep_learned,
            is_attended=self._is_attended,
        )
        levers = Levers(
            device=self.id,
            resolved=resolved,
            bus=self._bus,
            unit=self.unit,
            poller=poller,
            clock=self._clock,
            ledger=self._ledger,
            rated_w=self._rated_w,
            phases=self._options.phases,
            generation_w=self._generation_w,
            switches_phases=self._options.switches_phases,
            power=lambda: self.snapshot().get("active_power_w"),
        )
        return _Running(facts=facts, resolved=resolved, poller=poller, view=view, levers=levers)

    def _say_unread(self, facts: Facts) -> None:
        """Log where the device's chain of models could not be followed to its end; it is looked at again."""
        sunspec = facts.sunspec
        if sunspec is not None and sunspec.unread is not None:
            told = sunspec.unread.told(sunspec.models)
            log.warning("device is read in part", extra={"device": self.id, "reason": told})

    def _polled(self, resolved: Resolved, view: View) -> list[RegisterPoint]:
        """Return the points to read: what the view shows, what levers compare, and nothing that only scales others."""
        wanted = {source.name for sources in view.sources.values() for source in sources}
        for sources in view.sources.values():
            for source in sources:
                wanted.update(getattr(source.spec, "plus", ()), getattr(source.spec, "minus", ()))
        if self._options.points is not None:
            wanted &= self._options.points
        wanted.update(view.null_frame)
        wanted |= telling(self.profile)
        for lever, number in resolved.levers.items():
            if self._options.levers is None or lever in self._options.levers:
                recipe = self.profile.capabilities[lever][number]
                wanted.update(recipe.points(), recipe.base_points)
        watched, asked = self._options.watched, conditions(self.profile)
        return [
            replace(point, poll_class=PollClass.CONTROL)
            if resolved.profile.points[name].canonical in watched
            else replace(point, poll_class=PollClass.COUNTER)
            if name in asked and point.poll_class is PollClass.NAMEPLATE
            else point
            for name, point in resolved.points.items()
            if name in wanted
        ]

    async def _watch_facts(self, running: _Running, reading: asyncio.Task[None]) -> None:
        """End the reading when the device is to be read another way than it is."""
        now_s = asyncio.get_running_loop().time
        watch = Watch(
            running.facts,
            self.profile,
            now_s=now_s(),
            experience=self._learned.version,
        )
        while not reading.done():
            await running.poller.next_cycle()
            running.view.snapshot(running.poller.latest, self._clock.monotonic())  # Judges what the cycle brought.
            if not watch.is_due(
                latest=running.poller.latest,
                online=running.poller.health.online,
                is_misread=running.view.is_misread,
                experience=self._learned.version,
                now_s=now_s(),
            ):
                continue
            try:
                facts = await learn_facts(self.profile, self._bus, self.unit)
            except DeviceError:
                continue  # What cannot be learned now is asked for again, and meanwhile is as doubtful as it was.
            watch.looked(now_s(), experience=self._learned.version)
            if not facts.reads_like(running.facts, self.profile):
                log.warning("device is to be read another way", extra={"device": self.id})
                self._stage = "relearning"
                self._learned.forget_addresses()
                reading.cancel()
                return

    @property
    def _doubt(self) -> str | None:
        """Return why nothing that the device reads is believed; None where it is."""
        if self._stage == "relearning":
            return "it tells that it is to be read another way, and how is being learned"
        if self._running is not None and self._running.view.is_misread:
            return "most of what it reads cannot be: its word order, its layout or the profile is another"
        return None

    def _generation_w(self) -> float:
        """Return what the device generates itself now, a magnitude; 0 while nobody knows."""
        reading = self.snapshot().get("pv_power_w")
        known = reading is not None and reading.quality is Quality.GOOD and isinstance(reading.value, int | float)
        return max(0.0, -float(reading.value)) if known else 0.0  # type: ignore[union-attr, arg-type]

    def _rated_w(self, lever: Lever) -> float:
        if lever in (Lever.BATTERY_POWER, Lever.GRID_SETPOINT):
            return self._options.battery_w
        if lever in (Lever.LIMIT_CONSUMPTION, Lever.SWITCH, Lever.SG_READY):
            return self._options.load_w
        return self._options.generation_w or self._options.battery_w

    # What experience taught.

    def _recalled(self) -> Learned:
        kept = self._memory.recall(f"device/{self.id}/learned")
        try:
            return Learned.from_dict(kept) if isinstance(kept, dict) else Learned()
        except (ValueError, KeyError, TypeError):
            return Learned()

    def _keep_learned(self) -> None:
        self._memory.remember(f"device/{self.id}/learned", self._learned.as_dict(), durable=False)
