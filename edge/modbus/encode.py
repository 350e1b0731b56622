"""Engineering values to registers, or a refusal. Pure; never wraps, never clips."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Literal

from edge.errors import ValueRefused
from edge.modbus.codec import DECIMALS, ENUMS, FLOATS, SCALE_FACTOR_MAX, SIGNED, exact_ratio, signed
from edge.modbus.point import Access, DataType, RegisterPoint, Table, WordOrder

_FINEST_POWER = -3  # Of a decimal; its device shows thousandths.
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16


@dataclass(frozen=True, kw_only=True)
class Write:
    """Words (or bits) for adjacent addresses, sent in one request."""

    table: Table
    address: int
    words: tuple[int, ...]
    function: int


def encode(
    point: RegisterPoint, value: float | int | str | bool, *, scale_factor: int | None = None
) -> tuple[Write, ...]:
    """Return the writes that set a point.

    Args:
        value: In the unit of the point, as the device means it; the name or the number of an enumeration's value.
        scale_factor: What the point's scale register holds now.

    Raises:
        ValueRefused: Nothing may be written; the code is ``not_writable``, ``not_a_number``, ``out_of_range``,
            ``step``, ``negative_unsigned``, ``overflow``, ``sentinel_collision``, ``scale_factor_missing``,
            ``not_in_enum`` or ``too_long``.
    """
    if point.access is Access.READ or point.table in (Table.INPUT, Table.DISCRETE) or point.sign_from or point.parts:
        raise _refusal(point, value, "not_writable", "the map gives it as read-only")
    address = point.address if point.write_address is None else point.write_address
    words = _words(point, value, scale_factor)
    if point.table is Table.COIL:
        function = point.write_function or WRITE_COIL
    else:
        function = point.write_function or (WRITE_REGISTER if len(words) == 1 else WRITE_REGISTERS)
    return (Write(table=point.table, address=address, words=words, function=function),)


def _words(point: RegisterPoint, value: float | int | str | bool, scale_factor: int | None) -> tuple[int, ...]:
    if point.data_type is DataType.STRING:
        return _text(point, value)
    if point.data_type in ENUMS and isinstance(value, str):
        value = _named(point, value)
    if point.table is Table.COIL:
        return (_bit(point, value),)
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise _refusal(point, value, "not_a_number", "it needs a number") from None
    if not isfinite(value):
        raise _refusal(point, value, "not_a_number", "it needs a finite number")
    _check_range(point, value)
    if point.data_type in FLOATS:
        return _float(point, value, scale_factor)
    if point.data_type in DECIMALS:
        return _decimal(point, value, scale_factor)
    return _integer(point, value, scale_factor)


def _integer(point: RegisterPoint, value: float, scale_factor: int | None) -> tuple[int, ...]:
    scale, offset = _scale(point, value, scale_factor), exact_ratio(point.offset)
    nearest = _nearest(exact_ratio(value) / scale - offset)
    raw = _inside(point, value, nearest, lambda candidate: (candidate + offset) * scale)
    bits = 16 * point.count
    is_signed = point.data_type in SIGNED
    if raw < 0 and not is_signed:
        raise _refusal(point, value, "negative_unsigned", f"raw {raw} does not fit {point.data_type}")
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)
    if not low <= raw <= high:
        raise _refusal(point, value, "overflow", f"raw {raw} is outside {low} to {high} of {point.data_type}")
    if point.data_type in ENUMS and point.enum and raw not in point.enum:
        raise _refusal(point, value, "not_in_enum", f"it is none of {', '.join(map(str, sorted(point.enum)))}")
    unsigned = raw & ((1 << bits) - 1)
    if unsigned in point.sentinels or (point.accumulator and unsigned == 0):
        raise _refusal(point, value, "sentinel_collision", f"raw {unsigned:#x} means that there is no value")
    return _ordered(point, unsigned)


def _float(point: RegisterPoint, value: float, scale_factor: int | None) -> tuple[int, ...]:
    scale, offset = _scale(point, value, scale_factor), exact_ratio(point.offset)
    float_format, word_format = FLOATS[point.data_type]
    try:
        packed = struct.pack(float_format, float(exact_ratio(value) / scale - offset))
    except OverflowError:
        raise _refusal(point, value, "overflow", f"it does not fit {point.data_type}") from None

    def engineering(bits: int) -> Fraction | None:
        number: float = struct.unpack(float_format, struct.pack(word_format, bits))[0]
        return (Fraction(number) + offset) * scale if isfinite(number) else None

    raw = _inside(point, value, struct.unpack(word_format, packed)[0], engineering)
    if raw in point.sentinels:
        raise _refusal(point, value, "sentinel_collision", f"raw {raw:#x} means that there is no value")
    return _ordered(point, raw)


def _decimal(point: RegisterPoint, value: float, scale_factor: int | None) -> tuple[int, ...]:
    """Return the words of a power of ten and 24 bits: thousandths, or the finest power that the value fits.

    For devices on a bench; no map writes one.
    """
    is_signed = point.data_type is DataType.DECIMAL32
    exact = exact_ratio(value) / _scale(point, value, scale_factor) - exact_ratio(point.offset)
    if exact < 0 and not is_signed:
        raise _refusal(point, value, "negative_unsigned", f"it does not fit {point.data_type}")
    low, high = (-(1 << 23), (1 << 23) - 1) if is_signed else (0, (1 << 24) - 1)
    for power in range(_FINEST_POWER, SCALE_FACTOR_MAX + 1):
        digits = _nearest(exact / Fraction(10) ** power)
        if low <= digits <= high:
            return _ordered(point, (power & 0xFF) << 24 | digits & 0xFF_FFFF)
    raise _refusal(point, value, "overflow", f"it does not fit {point.data_type}")


def _inside(point: RegisterPoint, value: float, raw: int, engineering: Callable[[int], Fraction | None]) -> int:
    """Return the raw value whose meaning lies inside the range: rounding may step over a bound, so step back."""
    if point.value_min is None and point.value_max is None:
        return raw
    for candidate in (raw, raw - 1, raw + 1):
        meaning = engineering(candidate) if candidate >= 0 or point.data_type not in FLOATS else None
        if (
            meaning is not None
            and (point.value_min is None or meaning >= exact_ratio(point.value_min))
            and (point.value_max is None or meaning <= exact_ratio(point.value_max))
        ):
            return candidate
    raise _refusal(
        point, value, "out_of_range", f"no step of the register lies in {point.value_min} to {point.value_max}"
    )


def _scale(point: RegisterPoint, value: float, scale_factor: int | None) -> Fraction:
    scale = exact_ratio(point.scale)
    if point.scale_register is None:
        return scale
    if scale_factor is None:
        raise _refusal(point, value, "scale_factor_missing", f"its scale factor at {point.scale_register} is not known")
    factor = signed(scale_factor & 0xFFFF, 16) if scale_factor > 0x7FFF else scale_factor
    if not -SCALE_FACTOR_MAX <= factor <= SCALE_FACTOR_MAX:
        raise _refusal(point, value, "scale_factor_missing", f"its scale factor reads {factor}, outside -10 to 10")
    return scale * (Fraction(10) ** factor)


def _nearest(exact: Fraction) -> int:
    """Return the nearest whole number, halves toward zero: a setpoint never grows by rounding a tie."""
    magnitude = abs(exact)
    whole = magnitude.numerator // magnitude.denominator
    if magnitude - whole > Fraction(1, 2):
        whole += 1
    return whole if exact >= 0 else -whole


def _check_range(point: RegisterPoint, value: float) -> None:
    if point.value_min is not None and value < point.value_min:
        raise _refusal(point, value, "out_of_range", f"below {point.value_min}")
    if point.value_max is not None and value > point.value_max:
        raise _refusal(point, value, "out_of_range", f"above {point.value_max}")
    if point.step is not None and (exact_ratio(value) / exact_ratio(point.step)).denominator != 1:
        raise _refusal(point, value, "step", f"not a multiple of {point.step}")


def _named(point: RegisterPoint, value: str) -> int:
    for raw, name in point.enum.items():
        if name.casefold() == value.casefold():
            return raw
    try:
        return int(value, 0)
    except ValueError:
        raise _refusal(point, value, "not_in_enum", f"it is none of {', '.join(point.enum.values())}") from None


def _bit(point: RegisterPoint, value: float | int | str | bool) -> int:
    text = str(value).casefold()
    names = {name.casefold(): raw for raw, name in point.enum.items()}
    words = {"true": 1, "on": 1, "1": 1, "1.0": 1, "false": 0, "off": 0, "0": 0, "0.0": 0} | names
    if text not in words:
        raise _refusal(point, value, "out_of_range", "a coil is on (1) or off (0)")
    return words[text]


def _text(point: RegisterPoint, value: float | int | str | bool) -> tuple[int, ...]:
    raw = str(value).encode()
    if len(raw) > 2 * point.count:
        raise _refusal(point, value, "too_long", f"{len(raw)} bytes, it holds {2 * point.count}")
    raw = raw.ljust(2 * point.count, b"\x00")
    order: Literal["little", "big"] = "little" if point.low_first else "big"
    return tuple(int.from_bytes(raw[at : at + 2], order) for at in range(0, len(raw), 2))


def _ordered(point: RegisterPoint, raw: int) -> tuple[int, ...]:
    words = tuple(raw >> shift & 0xFFFF for shift in range(16 * (point.count - 1), -1, -16))
    return tuple(reversed(words)) if point.word_order is WordOrder.LITTLE else words


def _refusal(point: RegisterPoint, value: object, code: str, why: str) -> ValueRefused:
    return ValueRefused(f"{point.name} cannot be set to {value!r}: {why}; nothing was written", code=code)
