"""Moves the levers of one device: compare, write, read back, prove.

Nothing is written that the device already holds. What was written is believed only once it was read back. A device's
own timer is armed with every command and refreshed at a third of its time, and only when the caller says that a control
cycle on fresh inputs stands behind it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from contracts.clock import Clock
from contracts.units import Quality
from edge.control.lease import refresh_due
from edge.devices.held import is_equal, is_near, joined, number_held
from edge.devices.moves import Move, Target, configured_base, move, without
from edge.devices.offline import encode_point
from edge.devices.phases import PhaseStep, PhaseSwitch
from edge.devices.profile import Profile
from edge.devices.recipes import CONFIGURED, Direction, Lever, Recipe
from edge.devices.refusals import Refusals
from edge.devices.resolve import Resolved
from edge.devices.wear import WriteBudget, wear_period_s
from edge.errors import DeviceRefused, DeviceSilent, ValueRefused
from edge.modbus.bus import Bus
from edge.modbus.encode import Write
from edge.modbus.point import Access, Priority, Reading
from edge.modbus.poller import Poller

log = logging.getLogger(__name__)

READ_BACK_TRIES = 3
READ_BACK_WAIT_S = 0.1
GRID_CHARGING = "grid_charge_enable"  # Points that let a battery charge from the grid.
TIMER_S = 1.0  # Devices count whole seconds.
FRESH_S = 5.0  # A polled value older than this is read again before it is compared.


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What came of moving a lever.

    Args:
        ok: Every register that can be read back holds what was written.
        value_w: What was asked for; ``held_w`` what the device was told, less where its rating is less.
        readback: What the device holds, in its own sign, by ``<device>/<point>``.
        wrote: Whether anything was sent, or everything was in place already.
    """

    ok: bool
    value_w: float | None
    readback: dict[str, float | None]
    detail: str = ""
    held_w: float | None = None
    wrote: bool = False


@dataclass(kw_only=True)
class LeverState:
    """What a lever was last told, and proven to hold."""

    value_w: float | None = None
    held: Move | None = None
    proven: bool = False
    readback: dict[str, float | None] = field(default_factory=dict)
    written_s: float = -inf
    armed_s: float = -inf
    armed_for_s: float = 0.0
    deadline_s: float = inf
    foreign: int = 0
    step: PhaseStep | None = None


class Levers:
    """Moves what a device can be told, one thing at a time.

    Args:
        rated_w: The rating that the installer gave, for a device that has no register for it; 0 where not given.
        phases: Those that the device is wired to: over so many a power spreads as current, where its recipe says no
            less.
        generation_w: What the device generates itself now, a magnitude: so much it can charge without the grid.
        switches_phases: Whether a charger may be told to use one phase instead of all.
        power: What the device draws, where it measures it.
    """

    def __init__(
        self,
        *,
        device: str,
        resolved: Resolved,
        bus: Bus,
        unit: int,
        poller: Poller,
        clock: Clock,
        ledger: WriteBudget,
        rated_w: Callable[[Lever], float],
        phases: int = 3,
        generation_w: Callable[[], float] = lambda: 0.0,
        switches_phases: bool = False,
        power: Callable[[], Reading | None] = lambda: None,
    ) -> None:
        self.states: dict[Lever, LeverState] = {lever: LeverState() for lever in resolved.levers}
        self._device = device
        self._resolved = resolved
        self._profile = resolved.profile
        self._bus = bus
        self._unit = unit
        self._poller = poller
        self._clock = clock
        self._ledger = ledger
        self._rated_w = rated_w
        self._phases = phases
        self._generation_w = generation_w
        self._power = power
        self._refusals = Refusals(causes=self._profile.refusals)
        self._grid_charging = {name for name, spec in self._profile.points.items() if spec.canonical == GRID_CHARGING}
        self._lock = asyncio.Lock()
        self._no_blocks = False
        self._wear_period_s = {lever: _wear_period_s(self.recipe(lever), self._profile) for lever in self.states}
        self.phase_switch = self._phase_switch() if switches_phases else None

    def recipe(self, lever: Lever) -> Recipe:
        """Return how a lever is moved on this device."""
        recipe = self._profile.capabilities[lever][self._resolved.levers[lever]]
        return recipe if recipe.phases <= self._phases else recipe.model_copy(update={"phases": self._phases})

    def wear_period_s(self, lever: Lever) -> float:
        """Return how far apart writes to a lever must lie on average for the device's memory, 0 where it is RAM."""
        return self._wear_period_s[lever]

    async def apply(
        self, lever: Lever, value_w: float | None, *, revert_s: float, refresh: bool, urgent: bool = True
    ) -> Applied:
        """Bring a lever to a value, or take every restriction of ours away where it is None.

        Args:
            revert_s: For how long the device's own timer may be armed, seconds of the site's clock.
            refresh: Whether a completed control cycle on fresh inputs stands behind this call; a timer that runs is
                not refreshed without.
            urgent: Whether it may use the whole of what the device's memory bears a day.

        Raises:
            ValueRefused: The value or the state of the device does not allow it; nothing was written.
            DeviceSilent: No answer; what the device holds is unknown.
            DeviceRefused: The device answered with an exception.
        """
        if lever not in self.states:
            raise ValueRefused(f"{self._device} cannot be told {lever}; nothing was written", code="no_such_lever")
        if value_w is None and self._falls_when_free(lever):
            free_w = self._rated_w(lever)
            applied = await self.apply(lever, free_w, revert_s=revert_s, refresh=refresh, urgent=urgent)
            return replace(applied, value_w=None)
        async with self._lock:
            state = self.states[lever]
            if not self._poller.health.online:
                raise DeviceSilent(f"{self._device} does not answer; what it holds of {lever} is unknown")
            if value_w is None and lever not in self._ledger.touched:
                state.value_w, state.held, state.proven = None, None, True
                return Applied(ok=True, value_w=None, readback={}, detail="nothing of ours to take away")
            recipe = self.recipe(lever)
            step = await self._phase_step(lever, recipe, value_w)
            kept = self._kept(lever, value_w, step=step, revert_s=revert_s, refresh=refresh)
            if kept is not None:
                self._hold(step)
                return kept
            base = await self._base(lever, recipe)
            phases, told_w = (None, value_w) if step is None else (step.phases, step.power_w)
            told_w = told_w if value_w is not None else None
            wanted = move(self._profile, lever, recipe, told_w, base=base, revert_s=revert_s, phases=phases)
            if step is not None and value_w is not None and self.phase_switch is not None:
                wanted = without(wanted, self._phases_in_place(recipe, step, self.phase_switch))
            if lever is Lever.BATTERY_POWER and 0 < (value_w or 0.0) <= self._generation_w():
                wanted = without(wanted, self._grid_charging)
            try:
                applied = await self._carry_out(
                    lever, recipe, state, wanted, value_w=value_w, revert_s=revert_s, urgent=urgent
                )
            except (DeviceRefused, ValueRefused):
                if step is not None and self.phase_switch is not None and value_w is not None:
                    self.phase_switch.refused(step)
                raise
            state.step = step
            if applied.ok:
                self._hold(step)
            return applied

    def _phases_in_place(self, recipe: Recipe, step: PhaseStep, switch: PhaseSwitch) -> tuple[str, ...]:
        """Return the points that hold the number of phases already: a renewal does not write them again."""
        if step.phases != switch.now:
            return ()
        points = self._resolved.points
        return tuple(name for name in recipe.phase_points if points[name].access is not Access.WRITE)

    def _hold(self, step: PhaseStep | None) -> None:
        if step is not None and self.phase_switch is not None:
            self.phase_switch.held(step)

    def _phase_switch(self) -> PhaseSwitch | None:
        """Return what changes the phases of a charger, None where its profile cannot."""
        if Lever.LIMIT_CONSUMPTION not in self.states:
            return None
        recipe = self.recipe(Lever.LIMIT_CONSUMPTION)
        if 1 not in recipe.phase_codes or recipe.phases not in recipe.phase_codes:
            return None
        return PhaseSwitch(most=recipe.phases, clock=self._clock)

    async def _phase_step(self, lever: Lever, recipe: Recipe, value_w: float | None) -> PhaseStep | None:
        """Return over how many phases a charger is to draw a limit now, and how much; None where it is not told."""
        switch = self.phase_switch
        if switch is None or lever is not Lever.LIMIT_CONSUMPTION:
            return None
        if value_w is None:
            return PhaseStep(phases=recipe.phases, power_w=0.0)
        written_s = self.states[lever].written_s
        for name in recipe.phase_points:
            known = await self._known([name]) if switch.now is None else self._poller.latest
            reading = known.get(name)
            number = None if reading is None else number_held(self._resolved.points[name], reading)
            found = next((phases for phases, code in recipe.phase_codes.items() if code == number), None)
            is_newer = reading is not None and reading.monotonic_s > written_s
            if found is not None and is_newer and (switch.now is None or found != (switch.told or switch.now)):
                switch.found(found)
        return switch.step(value_w, power=self._power())

    def _falls_when_free(self, lever: Lever) -> bool:
        """Say whether a device that nobody limits falls to a value of its own, below what it may have.

        A charger whose limit stands for a minute only goes on at its safe current: to be free, it is told its rating.
        """
        recipe = self.recipe(lever)
        falls = recipe.fallback.direction is Direction.FAILSAFE_VALUE and not recipe.restore
        return falls and self._rated_w(lever) > 0

    def drifted(self, lever: Lever) -> bool:
        """Return whether a lever that we had proven does not hold it any more, and neither our write nor the device's
        own timer took it: another master did, or the device itself.
        """
        state = self.states.get(lever)
        return (
            state is not None
            and state.proven
            and state.held is not None
            and state.value_w is not None
            and not self._has_lapsed(state)
            and self._drift(state) is not None
        )

    # Whether anything is to be done.

    def _kept(
        self, lever: Lever, value_w: float | None, *, step: PhaseStep | None, revert_s: float, refresh: bool
    ) -> Applied | None:
        """Return the proven outcome where the device holds it still and no timer is due."""
        state = self.states[lever]
        if not state.proven or state.held is None or state.value_w is None or value_w is None:
            return None
        if step is not None and state.step is not None:
            if step.phases != state.step.phases or not is_near(step.power_w, state.step.power_w, lever):
                return None
        elif not is_near(value_w, state.value_w, lever):
            return None
        if drift := self._drift(state):
            if not self._has_lapsed(state):
                state.foreign += 1
                told = {"device": self._device, "lever": lever.value, "found": drift}
                log.warning("another master changed what we had set", extra=told)
            return None
        now_s = self._clock.monotonic()
        if state.deadline_s > now_s + revert_s + TIMER_S and state.deadline_s < inf:
            return None  # The order ends sooner than the timer that serves it.
        due = state.armed_for_s > 0 and refresh_due(armed_s=state.armed_s, armed_for_s=state.armed_for_s, now_s=now_s)
        if due and refresh:
            return None
        return Applied(
            ok=True, value_w=value_w, readback=state.readback, detail="in place", held_w=state.held.held_w, wrote=False
        )

    def _drift(self, state: LeverState) -> str | None:
        """Return what a poll after our last write found that is something else: another master's, or the device's."""
        assert state.held is not None
        for name, value in state.held.final.items():
            reading = self._poller.latest.get(name)
            if reading is None or reading.monotonic_s <= state.written_s or reading.quality is not Quality.GOOD:
                continue
            if not is_equal(self._resolved.points[name], value, reading):
                since_s = reading.monotonic_s - state.written_s
                return f"{name} reads {reading.value} {since_s:.1f} s after our write, told {value:g}"
        return None

    def _has_lapsed(self, state: LeverState) -> bool:
        """Return whether nobody refreshed the device's own timer in time, after which it lets go by itself."""
        return state.armed_for_s > 0 and self._clock.monotonic() >= state.armed_s + state.armed_for_s - TIMER_S

    # Doing it.

    async def _carry_out(
        self,
        lever: Lever,
        recipe: Recipe,
        state: LeverState,
        wanted: Move,
        *,
        value_w: float | None,
        revert_s: float,
        urgent: bool,
    ) -> Applied:
        await self._check_required(lever, recipe)
        known = await self._known(wanted.final)
        missing = [name for name, value in wanted.final.items() if not self._is_in_place(known, name, value)]
        if blocking := self._refusals.blocking(missing, now_s=self._clock.monotonic()):
            raise ValueRefused(f"{self._device}: {blocking}; nothing was written", code="refused")
        armed_by = recipe.fallback.armed_by
        changed = any(name != armed_by for name in missing)
        timed = value_w is not None and (armed_by is not None or recipe.refresh_s is not None)
        begun_s = self._clock.monotonic()
        await self._write(lever, wanted, known, changed=changed, renew=timed, urgent=urgent)
        now_s = self._clock.monotonic()
        state.written_s = now_s
        state.armed_s = begun_s  # Which of the writes starts the device's timer is the device's affair.
        state.armed_for_s = self._armed_for_s(recipe, revert_s) if value_w is not None else 0.0
        state.deadline_s = now_s + revert_s if value_w is not None and armed_by is not None else inf
        state.value_w, state.held = value_w, wanted
        wrong, state.readback, detail = await self._read_back(wanted.final)
        state.proven = not wrong
        self._judge(wanted, state.readback, wrong)
        if value_w is None and state.proven:
            self._ledger.let_go(lever)
        return Applied(
            ok=state.proven,
            value_w=value_w,
            readback=state.readback,
            detail=detail,
            held_w=wanted.held_w,
            wrote=changed or timed,
        )

    def _judge(self, wanted: Move, readback: Mapping[str, float | None], wrong: list[str]) -> None:
        """Take note of which points hold what they were told; one that stays where it was is not hammered."""
        self._refusals.taken(name for name in wanted.final if name not in wrong)
        for name in wrong:
            held, value = readback[f"{self._device}/{name}"], wanted.final[name]
            self._refusals.not_kept(name, held=held, wanted=value, now_s=self._clock.monotonic())

    @staticmethod
    def _armed_for_s(recipe: Recipe, revert_s: float) -> float:
        """Return the time of which a third may pass before the lever is written again; 0 is never."""
        times_s = [time_s for time_s in (recipe.refresh_s and 3 * recipe.refresh_s,) if time_s]
        if recipe.fallback.armed_by is not None:
            times_s.append(revert_s)
        return min(times_s, default=0.0)

    async def _check_required(self, lever: Lever, recipe: Recipe) -> None:
        if not recipe.requires:
            return
        known = await self._known(recipe.requires)
        for name, value in recipe.requires.items():
            if not self._holds(known, name, value):
                held = known[name].value if name in known else None
                raise ValueRefused(
                    f"{self._device}: {lever} needs {name} = {value:g}, it reads {held}; nothing was written",
                    code="prerequisite",
                )

    async def _write(
        self, lever: Lever, wanted: Move, known: Mapping[str, Reading], *, changed: bool, renew: bool, urgent: bool
    ) -> None:
        rules = self._profile.writes
        for target in wanted.targets:
            if target.step.when == "changed" and not changed:
                continue
            toggles = target.step.when == "changed"
            values = [
                (name, value)
                for name, value in target.values
                if renew or toggles or target.step.block or not self._is_in_place(known, name, value)
            ]
            if target.step.block and not renew and all(self._is_in_place(known, *pair) for pair in target.values):
                continue
            if not values:
                continue
            names = [name for name, _ in values]
            if wanted.mode != "restore":
                self._ledger.check(names, rules, urgent=urgent)
                await self._ledger.touch(lever)
            # From here until it is read back, what a poll finds is neither what was proven nor another master's.
            self.states[lever].proven = False
            await self._send(target, values)
            self._ledger.spend(names, rules)
            if target.step.settle_ms:
                await asyncio.sleep(target.step.settle_ms / 1000)

    async def _send(self, target: Target, values: list[tuple[str, float]]) -> None:
        factors: dict[int, int] = {}
        writes = [write for name, value in values for write in await self._encoded(name, value, factors)]
        if target.step.block and not (self._no_blocks and target.step.pad_to is None):
            block = joined(writes, pad_to=target.step.pad_to)
            try:
                await self._bus.write(self._unit, block.table, block.address, block.words, function=16)
                return
            except DeviceRefused as refusal:
                if target.step.pad_to is not None:
                    raise self._refused(values[0][0], writes, refusal) from refusal
                self._no_blocks = True  # Points that the device does not have; the others are written singly.
        for (name, _), write in zip(values, writes, strict=True):
            try:
                await self._bus.write(self._unit, write.table, write.address, write.words, function=write.function)
            except DeviceRefused as refusal:
                if not (target.step.block and await self._is_missing(name)):
                    raise self._refused(name, [write], refusal) from refusal

    def _refused(self, name: str, writes: list[Write], refusal: DeviceRefused) -> DeviceRefused:
        """Return a refusal that names the point, its registers, the exception and the usual cause."""
        first, last = writes[0].address, writes[-1].address + len(writes[-1].words) - 1
        registers = f"register {first}" if first == last else f"registers {first} to {last}"
        code = refusal.exception_code
        now_s = self._clock.monotonic()
        said = self._refusals.refused(name, registers=registers, exception_code=code, now_s=now_s)
        return DeviceRefused(f"{self._device}: {said}", exception_code=code)

    async def _is_missing(self, name: str) -> bool:
        """Return whether the device says that it does not have a point."""
        reading = (await self._known([name])).get(name)
        return reading is None or reading.quality is Quality.INVALID

    async def _encoded(self, name: str, value: float, factors: dict[int, int]) -> tuple[Write, ...]:
        """Return the write of one value, at the scale that the device has now."""
        point = self._resolved.points[name]
        at = point.scale_register
        if at is not None and at not in factors:
            factors[at] = (await self._bus.read(self._unit, point.table, at, 1, priority=Priority.CONTROL))[0]
        return encode_point(self._profile, point, value, scale_factor=None if at is None else factors[at])

    async def _read_back(self, final: Mapping[str, float]) -> tuple[list[str], dict[str, float | None], str]:
        """Read what was written until it is there, a few times: some devices take a moment."""
        names = [name for name in final if self._resolved.points[name].access is not Access.WRITE]
        wrong: list[str] = []
        held: dict[str, float | None] = {}
        for attempt in range(READ_BACK_TRIES):
            if attempt:
                await asyncio.sleep(READ_BACK_WAIT_S)
            readings = await self._poller.read(names, priority=Priority.CONTROL) if names else {}
            held = {
                f"{self._device}/{name}": number_held(self._resolved.points[name], readings.get(name)) for name in names
            }
            wrong = [
                name
                for name in names
                if not (self._holds(readings, name, final[name]) or self._is_unimplemented(readings.get(name)))
            ]
            if not wrong:
                unread = len(final) - len(names)
                return [], held, f"{unread} of {len(final)} cannot be read back" if unread else ""
        said = ", ".join(f"{name} reads {held[f'{self._device}/{name}']}, written {final[name]:g}" for name in wrong)
        return wrong, held, said

    def _is_unimplemented(self, reading: Reading | None) -> bool:
        return self._no_blocks and reading is not None and reading.quality is Quality.INVALID

    # What the device holds.

    async def _base(self, lever: Lever, recipe: Recipe) -> float | None:
        for name in recipe.base:
            if name == CONFIGURED:
                return configured_base(recipe, self._rated_w(lever))
            if name in self._resolved.points:
                reading = self._poller.latest.get(name) or (await self._known([name])).get(name)
                if reading is not None and isinstance(reading.value, int | float) and reading.value > 0:
                    return float(reading.value)
        return configured_base(recipe, self._rated_w(lever))

    async def _known(self, names: Mapping[str, float] | list[str]) -> dict[str, Reading]:
        """Return what the device holds of some points, read anew where the poll is too long ago."""
        now_s = self._clock.monotonic()
        readable = [name for name in names if self._resolved.points[name].access is not Access.WRITE]
        latest = self._poller.latest
        old = [name for name in readable if name not in latest or now_s - latest[name].monotonic_s > FRESH_S]
        if old:
            await self._poller.read(old, priority=Priority.CONTROL)
        return {name: latest[name] for name in readable if name in latest}

    def _holds(self, known: Mapping[str, Reading], name: str, value: float) -> bool:
        reading = known.get(name)
        return reading is not None and is_equal(self._resolved.points[name], value, reading)

    def _is_in_place(self, known: Mapping[str, Reading], name: str, value: float) -> bool:
        """Say whether writing a value would change nothing; a hundredth of a large limit is far more than nothing."""
        reading = known.get(name)
        return reading is not None and is_equal(self._resolved.points[name], value, reading, tolerance_share=0.0)


def _wear_period_s(recipe: Recipe, profile: Profile) -> float:
    steps = [step for mode in recipe.modes.values() for step in mode]
    return wear_period_s({name for step in steps for name in step.write}, profile.writes)
