"""A reading as control sees it."""

from edge.control.model import Measured
from edge.modbus.point import Reading


def measured(reading: Reading | None, now_s: float) -> Measured:
    """Return a reading as control sees it: a number, how good it is, how old it is."""
    if reading is None or not isinstance(reading.value, int | float) or isinstance(reading.value, bool):
        return Measured()
    return Measured(value=float(reading.value), quality=reading.quality, age_s=max(0.0, now_s - reading.monotonic_s))
