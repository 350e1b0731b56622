"""What is known of a load: whether it runs, what it draws, what it draws at least, whether a car is there."""

from collections.abc import Mapping

from contracts.units import Quality
from edge.config import DeviceSection, LoadSection
from edge.control.model import Capability, Measured
from edge.devices.phases import LEAST_A, PHASE_V
from edge.loop.measured import measured
from edge.modbus.point import Reading

APPARENT_POWER = "apparent_power_va"
EV_STATE = "ev_state"
SG_STATE = "sg_ready_state"
SAFE_CURRENT = "ev_failsafe_current_a"
# Source: IEC 61851-1, states of the control pilot: A no car, B connected, C and D charging, E and F faults.
_WITH_CAR, _WITHOUT_CAR = frozenset("BCD"), frozenset("A")
_LOCKED = 1.0


def load_is_on(
    load: LoadSection, readings: Mapping[str, Reading], *, is_told: bool, told_w: float | None
) -> bool | None:
    """Return whether a load may run; ``None`` while nobody can tell.

    Where no point says so it is what its device was last seen to hold: off at zero, or locked.

    Args:
        load: Its settings.
        readings: Of its device.
        is_told: Whether its device was seen to hold what we told it.
        told_w: That, in the terms of its capability; ``None`` leaves it to itself.
    """
    if load.state is None:
        return (told_w is None or told_w > 0) if is_told else None
    state = readings.get(load.state)
    if state is None or state.quality is not Quality.GOOD:
        return None
    value = state.value
    if isinstance(value, str) and value.isdecimal():
        value = int(value)  # A code of the device's own, which its map names by the number of the state.
    if not isinstance(value, bool | int | float):
        return None
    return value != _LOCKED if load.state == SG_STATE else bool(value)


def load_power(
    load: LoadSection, readings: Mapping[str, Reading], *, is_on: bool | None, told_w: float | None, now_s: float
) -> Measured:
    """Return the power of a load whose device tells none: what bounds it from above.

    That is its apparent power, else its rating while it may run, or the limit that its device holds.
    """
    apparent = measured(readings.get(APPARENT_POWER), now_s)
    if apparent.value is not None:
        quality = Quality.SUBSTITUTED if apparent.quality is Quality.GOOD else apparent.quality
        return Measured(value=apparent.value, quality=quality, age_s=apparent.age_s)
    if load.state is not None and is_on is None:
        return Measured()
    if is_on is False or is_connected(readings) is False:
        power_w = 0.0
    else:
        power_w = float(load.rated_w) if told_w is None or told_w <= 0 else min(float(load.rated_w), told_w)
    return Measured(value=power_w, quality=Quality.SUBSTITUTED, age_s=_age_s(load, readings, now_s))


def _age_s(load: LoadSection, readings: Mapping[str, Reading], now_s: float) -> float:
    """Return how old what we know of a load is: its state, or whatever its device said last."""
    if load.state is not None:
        return max(0.0, now_s - readings[load.state].monotonic_s)
    return max(0.0, now_s - max((reading.monotonic_s for reading in readings.values()), default=now_s))


def least_power_w(load: LoadSection, section: DeviceSection, moved_by: Capability | None) -> float:
    """Return the least that a load draws while it runs; zero where only on and off make a difference."""
    if load.min_w is not None:
        return float(load.min_w)
    if moved_by is not Capability.LIMIT_CONSUMPTION:
        return 0.0
    phases = 1 if load.switches_phases else len(section.phases)
    return min(LEAST_A * PHASE_V * phases, float(load.rated_w))


def is_connected(readings: Mapping[str, Reading]) -> bool | None:
    """Return whether a charger has a car; ``None`` where it does not tell."""
    letter = _pilot(readings.get(EV_STATE))
    if letter in _WITH_CAR:
        return True
    return False if letter in _WITHOUT_CAR else None


def _pilot(reading: Reading | None) -> str | None:
    """Return the letter of the control pilot, however a charger writes it: ``C2``, ASCII 67, or 0xC2."""
    if reading is None or reading.quality is not Quality.GOOD:
        return None
    value = reading.value
    if isinstance(value, str):
        return value.strip()[:1].upper() or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = int(value)
    if ord("A") <= number <= ord("F"):
        return chr(number)
    return f"{number:X}"[0] if 0xA0 <= number <= 0xFF else None
