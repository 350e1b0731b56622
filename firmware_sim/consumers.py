"""What draws power behind a device of its own: a car at a charging point, a heat pump with two contacts."""

from dataclasses import dataclass

from firmware_sim.plant_config import DeviceKind

PHASE_V = 230.0
# Source: IEC 61851-1, the least current that a car may be told.
LEAST_A = 6.0
VALIDITY_S = 60.0  # Alfen: how long a limit stands.
WATCHDOG_S = 15.0  # Heidelberg: how long it bears silence.
_WS_PER_WH = 3600.0


@dataclass(kw_only=True)
class Charger:
    """A charging point with a car, or without.

    ``silent_s_max`` is how long its current limit stands without a word from outside; then ``safe_a`` holds. ``None``
    keeps the last limit for ever. Powers are in W, drawn.
    """

    car_w_max: float
    phases: int
    limit_a: float
    safe_a: float
    silent_s_max: float | None
    heard_s: float
    is_plugged: bool = True
    is_enabled: bool = True
    energy_wh: float = 10_000.0

    @property
    def power_w_max(self) -> float:
        """Return the most that it ever draws."""
        return self.car_w_max

    def current_a(self, now_s: float) -> float:
        """Return the current that it lets the car draw on each phase at an instant."""
        is_alone = self.silent_s_max is not None and now_s - self.heard_s >= self.silent_s_max
        allowed_a = self.safe_a if is_alone else self.limit_a
        return allowed_a if self.is_enabled and allowed_a >= LEAST_A else 0.0

    def power_w(self, now_s: float) -> float:
        """Return what the car draws at an instant."""
        if not self.is_plugged:
            return 0.0
        return min(self.current_a(now_s) * PHASE_V * self.phases, self.car_w_max)

    def count(self, power_w: float, duration_s: float) -> None:
        """Count the energy of a while."""
        self.energy_wh += power_w * duration_s / _WS_PER_WH


@dataclass(kw_only=True)
class HeatPump:
    """A heat pump with SG Ready inputs: locked, running at a third, or at its rating where it is told to.

    Source: Bundesverband Wärmepumpe, rules of the label SG Ready, for the two inputs and their four states.
    """

    rated_w: float
    is_active: bool = False
    inputs: tuple[bool, bool] = (False, False)

    @property
    def state(self) -> int:
        """Return the operating state, 1 to 4; 2 while the function is off."""
        if not self.is_active:
            return 2
        return {(True, False): 1, (False, False): 2, (False, True): 3, (True, True): 4}[self.inputs]

    @property
    def power_w_max(self) -> float:
        """Return the most that it ever draws."""
        return self.rated_w

    def power_w(self, _: float) -> float:
        """Return what it draws."""
        return {1: 0.0, 2: self.rated_w / 3, 3: self.rated_w, 4: self.rated_w}[self.state]

    def count(self, power_w: float, duration_s: float) -> None:
        """Count nothing: such a pump tells no energy."""


Consumer = Charger | HeatPump


def build_consumer(kind: DeviceKind, *, rated_w: float, safe_a: float, is_plugged: bool, now_s: float) -> Consumer:
    """Return what stands behind a device of this kind at the plant's start."""
    if kind is DeviceKind.STIEBEL_ISG:
        return HeatPump(rated_w=rated_w)
    silent_s_max = {DeviceKind.ALFEN_EVE: VALIDITY_S, DeviceKind.HEIDELBERG_EC: WATCHDOG_S}.get(kind)
    return Charger(
        car_w_max=rated_w,
        phases=3,
        limit_a=16.0,
        safe_a=safe_a,
        silent_s_max=silent_s_max,
        heard_s=now_s,
        is_plugged=is_plugged,
    )
