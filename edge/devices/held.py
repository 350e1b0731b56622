"""What a device holds, compared with what it is to be told; and adjacent writes as one. Pure."""

from contracts.units import Quality
from edge.devices.recipes import Lever
from edge.modbus.encode import Write
from edge.modbus.point import Reading, RegisterPoint, Table

DEAD_BAND_W = 20.0  # Source: Kostal and others act on no smaller change.
TOLERANCE_SHARE = 0.01  # A read-back this near is equal; devices round in their own units.
_IN_WATTS = frozenset(Lever) - {Lever.SWITCH, Lever.SG_READY}
# Magnitudes of which the smaller is the tighter.
_LIMITS = frozenset({Lever.EXPORT_LIMIT, Lever.LIMIT_GENERATION, Lever.LIMIT_CONSUMPTION})


def is_near(value_w: float, held_w: float, lever: Lever) -> bool:
    """Return whether a change is too small to be written.

    A change to or from zero or of direction never is, nor a limit that falls: what it lets through is fed in or drawn
    for as long as the limit stands. How calm a setpoint is, the control cycle decides, by the rating of the device.
    """
    if value_w == held_w:
        return True
    if lever not in _IN_WATTS or (lever in _LIMITS and value_w < held_w):
        return False
    return value_w * held_w > 0 and abs(value_w - held_w) < DEAD_BAND_W


def number_held(point: RegisterPoint, reading: Reading | None) -> float | None:
    """Return a reading as the number that would be written: the raw number of a name, 0 or 1 of a bit."""
    if reading is None or reading.quality is Quality.INVALID:
        return None
    if isinstance(reading.value, str):
        return float(reading.raw) if isinstance(reading.raw, int) else None
    return None if reading.value is None else float(reading.value)


def is_equal(point: RegisterPoint, value: float, reading: Reading, *, tolerance_share: float = TOLERANCE_SHARE) -> bool:
    """Return whether a point reads as a value, by its resolution and a share of the value."""
    held = number_held(point, reading)
    if held is None:
        return False
    lsb = 0.0 if point.enum or point.scale_register is not None else abs(point.scale) / 2
    if point.scale_register is not None and isinstance(reading.raw, int) and reading.raw:
        lsb = abs(held / reading.raw)
    return abs(held - value) <= max(lsb, tolerance_share * abs(value) if not point.enum else 0.0)


def joined(writes: list[Write], *, pad_to: int | None) -> Write:
    """Return adjacent writes as one, in the order of their addresses."""
    ordered = sorted(writes, key=lambda write: write.address)
    words: list[int] = []
    for write in ordered:
        assert write.address == ordered[0].address + len(words), "the points of a block are adjacent"
        words += write.words
    if pad_to is not None:
        words += [0] * (pad_to + 1 - ordered[0].address - len(words))
    return Write(table=Table.HOLDING, address=ordered[0].address, words=tuple(words), function=16)
