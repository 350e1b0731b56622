"""A charger that can use one phase or all: which it uses, and how a change passes no limit on its way.

A limit is told as a current on each phase, so it is only worth as much power as there are phases in use. A change of
phases is therefore made in steps, each seen to be held before the next: the current that keeps the limit on either
number of phases (a pause, where that is less than a car can be told), then the phases, and the whole current once what
is drawn shows that there are fewer.
"""

from dataclasses import dataclass
from math import inf

from contracts.clock import Clock
from contracts.units import Quality
from edge.modbus.point import Reading

PHASE_V = 230.0  # Source: IEC 60038, nominal voltage of the low-voltage network.
LEAST_A = 6.0  # Source: IEC 61851-1, the least current that a car may be told.
# A change of phases stops the car for a while and wears a contactor: no more often than this, and back to all phases
# only where the power stands clearly above what they take at least.
PHASE_HOLD_S = 300.0
PHASE_MARGIN = 1.1
# Source: IEC 61851-1, a car follows a new current within 5 s; as long again for whoever measures it.
FOLLOWS_S = 10.0
# A charger that draws so much more than its limit is worth on the phases it was told, for so long, uses more of them.
OVERDRAWN, OVERDRAWN_W, OVERDRAWN_S = 1.25, 200.0, 2 * FOLLOWS_S


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStep:
    """What a charger is to be told now.

    Args:
        phases: That it is to use; ``None`` leaves those in use, while nobody knows them.
        power_w: That it may draw over them, zero for a pause; never more than was asked for.
        lowers: Whether this is the low current before a change.
    """

    phases: int | None
    power_w: float
    lowers: bool = False


class PhaseSwitch:
    """The phases of one charger.

    Args:
        most: Those that it is wired to.
    """

    def __init__(self, *, most: int, clock: Clock) -> None:
        self.now: int | None = None
        self._most = most
        self._clock = clock
        self._since_s = -inf
        self._lowered_a: float | None = None
        self._lowered_s = -inf
        self._told: PhaseStep | None = None
        self._over_s: float | None = None
        self._doubted_s: float | None = None

    @property
    def is_free(self) -> bool:
        """Say whether a change may be made now: the last one is long ago."""
        return self._clock.monotonic() - self._since_s >= PHASE_HOLD_S

    @property
    def all_from_w(self) -> float:
        """Return from which limit on all phases are used now; below it one is."""
        if not self.is_free:
            return 0.0 if self.now == self._most else inf
        return least_of_all_w(self.now, most=self._most)

    @property
    def told(self) -> int | None:
        """Return the phases that it was last told and held, ``None`` before."""
        return None if self._told is None else self._told.phases

    def found(self, phases: int) -> None:
        """Take note that the charger uses other phases than it was told, or which it used before it was told any."""
        self.now, self._lowered_a, self._doubted_s = phases, None, None

    def step(self, value_w: float, *, power: Reading | None) -> PhaseStep:
        """Return what is to be told for a limit above zero, or zero.

        Args:
            power: What the charger measures, where it does.
        """
        self._look(power)
        if value_w == 0:
            self._lowered_a = None
            return PhaseStep(phases=self.now, power_w=0.0)
        for_s = self._clock.monotonic() - self._since_s
        wanted, told_w = phases_at(value_w, now=self.now, for_s=for_s, most=self._most)
        if wanted == self.now:
            self._lowered_a = None
            least_w = LEAST_A * PHASE_V * wanted
            return PhaseStep(phases=wanted, power_w=min(told_w, least_w) if self._is_doubted(power) else told_w)
        low_a = _told_a(value_w / (PHASE_V * max(self.now or self._most, wanted)))
        if self._lowered_a is None or self._lowered_a > low_a or not self._is_low(power):
            return PhaseStep(phases=self.now, power_w=low_a * PHASE_V * (self.now or self._most), lowers=True)
        return PhaseStep(phases=wanted, power_w=min(self._lowered_a, low_a) * PHASE_V * wanted)

    def refused(self, step: PhaseStep) -> None:
        """Take note that the charger said no to other phases: it stays on those it uses, and is asked again later.

        Its limit must be renewed meanwhile, or it falls to a current of its own on all of them.
        """
        if not step.lowers and step.phases is not None and step.phases != self.now:
            self.found(self.now or self._most)
            self._since_s = self._clock.monotonic()

    def held(self, step: PhaseStep) -> None:
        """Take note that the charger was seen to hold a step."""
        now_s = self._clock.monotonic()
        self._told = step
        if step.lowers:
            low_a = step.power_w / (PHASE_V * (step.phases or self._most))
            if self._lowered_a is None or low_a < self._lowered_a:
                self._lowered_a, self._lowered_s = low_a, now_s
        elif step.phases is not None and step.phases != self.now:
            self._doubted_s = now_s if step.phases < (self.now or self._most) else None
            self.now, self._since_s, self._lowered_a = step.phases, now_s, None

    def _is_low(self, power: Reading | None) -> bool:
        """Say whether the charger draws no more than the low current that it holds, or had the time to."""
        if self._clock.monotonic() - self._lowered_s >= FOLLOWS_S:
            return True
        drawn_w = _after(power, self._lowered_s)
        if drawn_w is None or self._lowered_a is None:
            return False
        return not _is_overdrawn(drawn_w, self._lowered_a * PHASE_V * (self.now or self._most))

    def _is_doubted(self, power: Reading | None) -> bool:
        """Say whether nothing shows yet that a charger uses the fewer phases that it was told."""
        if self._doubted_s is None or self.now is None:
            return False
        drawn_w = _after(power, self._doubted_s)
        if drawn_w is None:
            is_shown = self._clock.monotonic() - self._doubted_s >= FOLLOWS_S
        else:
            is_shown = drawn_w > OVERDRAWN_W and not _is_overdrawn(drawn_w, LEAST_A * PHASE_V * self.now)
        if is_shown:
            self._doubted_s = None
        return not is_shown

    def _look(self, power: Reading | None) -> None:
        """Believe what the charger draws more than what it says: what is too much for one phase is drawn over all."""
        told, now_s = self._told, self._clock.monotonic()
        drawn_w = _after(power, now_s - FOLLOWS_S)
        is_on_fewer = told is not None and told.phases == self.now and self.now != self._most and told.power_w > 0
        if not is_on_fewer or told is None or drawn_w is None or not _is_overdrawn(drawn_w, told.power_w):
            self._over_s = None
        elif self._over_s is None:
            self._over_s = now_s
        elif now_s - self._over_s >= OVERDRAWN_S:
            self.found(self._most)
            self._since_s, self._over_s = now_s, None


def phases_at(value_w: float, *, now: int | None, for_s: float, most: int) -> tuple[int, float]:
    """Return over how many phases a charger draws a power, and how much: all of them, or one where it is too little.

    A change waits until the last one is long ago; meanwhile a power too small for the phases in use is a pause.

    Args:
        value_w: Asked for, above zero.
        now: Phases in use; None where nobody knows.
        for_s: Since how long.
        most: Phases that it is wired to.
    """
    wanted = most if value_w >= least_of_all_w(now, most=most) else 1
    if now is None or wanted == now or for_s >= PHASE_HOLD_S:
        return wanted, value_w
    return now, value_w if value_w >= LEAST_A * PHASE_V * now else 0.0


def least_of_all_w(now: int | None, *, most: int) -> float:
    """Return from which power on all phases are used."""
    return LEAST_A * PHASE_V * most * (1.0 if now is None or now == most else PHASE_MARGIN)


def _told_a(current_a: float) -> float:
    return current_a if current_a >= LEAST_A else 0.0


def _after(power: Reading | None, at_s: float) -> float | None:
    """Return a measured power that was taken after an instant."""
    if power is None or power.quality is not Quality.GOOD or power.monotonic_s <= at_s:
        return None
    return float(power.value) if isinstance(power.value, int | float) else None


def _is_overdrawn(drawn_w: float, told_w: float) -> bool:
    return drawn_w > told_w * OVERDRAWN + OVERDRAWN_W
