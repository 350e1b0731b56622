"""From what a device means to what we mean: the sign is turned here, once, and nowhere else.

Names end in their unit. Power is positive into the asset; DC power of strings and the two halves of a flow that a
device counts separately (``battery_charge_power_w``, ``grid_import_power_w``) are magnitudes.
"""

from collections.abc import Mapping
from dataclasses import replace

from contracts.units import Quality
from edge.devices.points import DerivedSpec, PointSpec, Sign
from edge.modbus.codec import Value
from edge.modbus.point import DataType, Reading, RegisterPoint

Spec = PointSpec | DerivedSpec
_WORST = (Quality.INVALID, Quality.STALE, Quality.SUBSTITUTED, Quality.GOOD)


def to_canonical(spec: Spec, value: Value) -> Value:
    """Return the value in our sign; text, names and bits as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if spec.absolute:
        value = abs(value)
    if spec.rescale is not None and abs(value) > spec.rescale.value:
        value = value * spec.rescale.factor
    return _turned(value) if spec.sign is Sign.OUT_OF_ASSET else value


def to_device(spec: PointSpec, value: float) -> float:
    """Return the value in the device's sign; the inverse of ``to_canonical`` for what may be written."""
    return _turned(value) if spec.sign is Sign.OUT_OF_ASSET else value


def refined(point: RegisterPoint, reading: Reading) -> Reading:
    """Return a split value as old firmware means it: a high word of zero beside a negative low word is no high word.

    Source: Deye and Sunsynk maps of two projects: old firmware has no high words and reads zero there.
    """
    raw = reading.raw
    if point.parts and point.data_type is DataType.INT16 and isinstance(raw, int) and 0x8000 <= raw <= 0xFFFF:
        signed = raw - 0x1_0000
        return replace(reading, raw=signed, value=(signed + point.offset) * point.scale)
    return reading


def substituted(spec: Spec, reading: Reading) -> Reading:
    """Return what a missing value stands for, where the profile knows it: no power at night, said to be put in."""
    if reading.value is None and spec.no_value_means is not None and reading.raw is not None:
        return replace(reading, value=spec.no_value_means, quality=Quality.SUBSTITUTED)
    return reading


def derive(spec: DerivedSpec, readings: Mapping[str, Reading]) -> Reading | None:
    """Return a derived value in the device's own sign, as good as its worst part; None while a part is not there."""
    total: float = 0
    parts: list[Reading] = []
    for names, factor in ((spec.plus, 1), (spec.minus, -1)):
        for name in names:
            reading = readings.get(name)
            if reading is None:
                return None
            if spec.some_parts and reading.value is None and reading.raw is not None:
                continue  # It says itself that it has none: a string input that nothing is connected to.
            parts.append(reading)
            if isinstance(reading.value, int | float):
                total += factor * reading.value
    if not parts:
        return Reading(value=None, quality=Quality.INVALID)
    oldest = min(parts, key=lambda part: part.monotonic_s)
    if any(not isinstance(part.value, int | float) for part in parts):
        return replace(oldest, value=None, quality=Quality.INVALID, raw=None)
    quality = min((part.quality for part in parts), key=_WORST.index)
    return replace(oldest, value=total, quality=quality, raw=None)


def _turned(value: float) -> float:
    return -value if value else value
