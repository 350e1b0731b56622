"""Registers to engineering values, with their quality. Pure.

A value that the map does not prove is invalid, never a number: a sentinel, a float that is not finite, a missing word,
a scale factor that is absent or outside what SunSpec allows, a sign that no bit gives.
"""

import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fractions import Fraction
from math import isfinite
from typing import Literal

from contracts.quality import Quality
from edge.modbus.point import DataType, Reading, RegisterPoint, WordOrder

Image = Mapping[int, int]
Value = float | int | str | bool | None
Decoded = tuple[Value, Quality, int | str | None]
Decoder = Callable[[Image], Decoded]

SCALE_FACTOR_MAX = 10  # Source: SunSpec information model specification 1.1, 4.2.8: sunssf is -10 to 10.
POWERS_OF_TEN: tuple[int, ...] = tuple(10**exponent for exponent in range(SCALE_FACTOR_MAX + 1))
SIGNED = frozenset({DataType.INT16, DataType.INT32, DataType.INT64})
DECIMALS = frozenset({DataType.DECIMAL32, DataType.UDECIMAL32})
ENUMS = frozenset({DataType.ENUM16, DataType.ENUM32})
FLOATS: Mapping[DataType, tuple[str, str]] = {DataType.FLOAT32: (">f", ">I"), DataType.FLOAT64: (">d", ">Q")}

CLOCK_PARTS = 6  # Registers of a clock with one part each; half as many where two parts share one.

_INVALID = Quality.INVALID
_GOOD = Quality.GOOD
_PADDING = re.compile(rb"[\x00\xff]")  # Neither is a character of UTF-8 text; devices fill with one or the other.
_EMPTY_BEFORE = re.compile(rb"^(\x00\x00)+")  # Whole registers before a text that is aligned to the right.
_ABSENT: Decoded = (None, _INVALID, None)


def decode(
    point: RegisterPoint, image: Image, *, source_at: datetime | None = None, monotonic_s: float = 0.0
) -> Reading:
    """Return the reading of a point from the words (or bits) of its table by address."""
    value, quality, raw = compile_point(point)(image)
    return Reading(value=value, quality=quality, raw=raw, source_at=source_at, monotonic_s=monotonic_s)


def covers(point: RegisterPoint, image: Image) -> bool:
    """Return whether an image holds every register that the point needs."""
    return all(address in image for start, end in point.spans() for address in range(start, end))


def compile_point(point: RegisterPoint) -> Decoder:
    """Return a decoder for one point, so that a poll cycle decides nothing that the map already says."""
    if point.data_type is DataType.STRING:
        return _text(point)
    if point.data_type is DataType.CLOCK:
        return _clock(point)
    if point.table.is_bits:
        return _bit(point)
    if point.data_type in FLOATS:
        return _float(point)
    if point.data_type in DECIMALS:
        return _decimal(point)
    return _integer(point)


def bit_names(point: RegisterPoint, raw: int) -> tuple[str, ...]:
    """Return the names of the bits that are set, lowest first; bits without a name are left out."""
    return tuple(name for bit, name in sorted(point.bits.items()) if raw >> bit & 1)


def signed(raw: int, bits: int) -> int:
    """Return the two's complement value of so many bits."""
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def exact_ratio(number: float) -> Fraction:
    """Return a decimal as it is written: 0.1 is a tenth, not the float nearest to it."""
    return Fraction(str(number))


def word_addresses(point: RegisterPoint) -> tuple[int, ...]:
    """Return the addresses of the adjacent words of a value, most significant first."""
    addresses = range(point.address, point.address + point.count)
    return tuple(reversed(addresses) if point.word_order is WordOrder.LITTLE else addresses)


def _assembler(addresses: tuple[int, ...]) -> Callable[[Image], int | None]:
    """Return what joins words to one integer, None where a word is missing."""
    if len(addresses) == 1:
        only = addresses[0]
        return lambda image: image.get(only)
    if len(addresses) == 2:
        high_at, low_at = addresses

        def two(image: Image) -> int | None:
            high, low = image.get(high_at), image.get(low_at)
            return None if high is None or low is None else high << 16 | low

        return two

    def many(image: Image) -> int | None:
        raw = 0
        for address in addresses:
            word = image.get(address)
            if word is None:
                return None
            raw = raw << 16 | word
        return raw

    return many


def _integer(point: RegisterPoint) -> Decoder:
    own = _whole(point, word_addresses(point), point.sentinels)
    if not point.parts:
        return own
    joined = _whole(point, point.parts, ())
    others = tuple(address for address in point.parts if address != point.address)

    def split(image: Image) -> Decoded:
        return joined(image) if all(address in image for address in others) else own(image)

    return split


def _whole(point: RegisterPoint, addresses: tuple[int, ...], sentinels: tuple[int, ...]) -> Decoder:
    raw_of = _assembler(addresses)
    bits = 16 * len(addresses)
    all_ones = (1 << bits) - 1  # No counter stands there; devices without one fill its registers.
    is_signed = point.data_type in SIGNED
    is_named = point.data_type in ENUMS
    names = dict(point.enum)
    finish = _scaler(point)
    accumulator = point.accumulator
    sign_of = _sign(point)

    def whole(image: Image) -> Decoded:
        raw = raw_of(image)
        if raw is None:
            return _ABSENT
        if raw in sentinels or (accumulator and raw in (0, all_ones)):
            return None, _INVALID, raw
        if is_signed:
            raw = signed(raw, bits)
        if is_named:
            return names.get(raw, raw), _GOOD, raw
        value = finish(raw, image)
        if value is not None and sign_of is not None:
            value = sign_of(value, image)
        return (None, _INVALID, raw) if value is None else (value, _GOOD, raw)

    return whole


def _float(point: RegisterPoint) -> Decoder:
    raw_of = _assembler(word_addresses(point))
    float_format, word_format = FLOATS[point.data_type]
    sentinels = point.sentinels
    finish = _scaler(point)

    def real(image: Image) -> Decoded:
        raw = raw_of(image)
        if raw is None:
            return _ABSENT
        number: float = struct.unpack(float_format, struct.pack(word_format, raw))[0]
        if raw in sentinels or not isfinite(number):
            return None, _INVALID, raw
        value = finish(number, image)
        return (None, _INVALID, raw) if value is None else (value, _GOOD, raw)

    return real


def _decimal(point: RegisterPoint) -> Decoder:
    """Return what reads a power of ten beside 24 bits; a power that no quantity of a building has is no value."""
    raw_of = _assembler(word_addresses(point))
    is_signed = point.data_type is DataType.DECIMAL32
    sentinels = point.sentinels
    finish = _scaler(point)

    def decimal(image: Image) -> Decoded:
        raw = raw_of(image)
        if raw is None:
            return _ABSENT
        power, digits = signed(raw >> 24, 8), raw & 0xFF_FFFF
        if raw in sentinels or not -SCALE_FACTOR_MAX <= power <= SCALE_FACTOR_MAX:
            return None, _INVALID, raw
        number = signed(digits, 24) if is_signed else digits
        value = finish(number * POWERS_OF_TEN[power] if power >= 0 else number / POWERS_OF_TEN[-power], image)
        return (None, _INVALID, raw) if value is None else (value, _GOOD, raw)

    return decimal


def _scaler(point: RegisterPoint) -> Callable[[float, Image], float | None]:
    """Return what turns a raw number into a value, None where the scale factor gives no number."""
    ratio = exact_ratio(point.scale)
    numerator, denominator = ratio.numerator, ratio.denominator
    offset = int(point.offset) if float(point.offset).is_integer() else point.offset
    factor_at = point.scale_register

    def fixed(raw: float, image: Image) -> float | None:
        return (raw + offset) * numerator / denominator

    def whole(raw: float, image: Image) -> float | None:
        return (raw + offset) * numerator

    def scaled(raw: float, image: Image) -> float | None:
        word = image.get(factor_at)  # type: ignore[arg-type]
        if word is None:
            return None
        factor = signed(word, 16)
        if not -SCALE_FACTOR_MAX <= factor <= SCALE_FACTOR_MAX:
            return None
        if factor < 0:
            return (raw + offset) * numerator / (denominator * POWERS_OF_TEN[-factor])
        value = (raw + offset) * numerator * POWERS_OF_TEN[factor]
        return value if denominator == 1 else value / denominator

    if factor_at is not None:
        return scaled
    return whole if denominator == 1 else fixed


def _sign(point: RegisterPoint) -> Callable[[float, Image], float | None] | None:
    if point.sign_from is None:
        return None
    at, plus, minus = point.sign_from.address, point.sign_from.positive_mask, point.sign_from.negative_mask

    def sign(value: float, image: Image) -> float | None:
        word = image.get(at)
        if value == 0:
            return value
        if word is None or bool(word & plus) == bool(word & minus):
            return None
        return abs(value) if word & plus else -abs(value)

    return sign


def _clock(point: RegisterPoint) -> Decoder:
    """Return what reads the seconds from 1970 to what a clock shows, its time zone left open."""
    addresses = tuple(range(point.address, point.address + point.count))

    def clock(image: Image) -> Decoded:
        words = [image.get(address) for address in addresses]
        if None in words:
            return _ABSENT
        parts = [
            part for word in words if word is not None for part in ((word,) if point.count == 6 else divmod(word, 256))
        ]
        year = parts[0] + 2000 if parts[0] < 100 else parts[0]
        try:
            shown = datetime(year, *parts[1:], tzinfo=UTC)  # type: ignore[misc, arg-type]
        except ValueError:
            return None, _INVALID, None
        seconds = int(shown.timestamp())
        return seconds, _GOOD, seconds

    return clock


def _text(point: RegisterPoint) -> Decoder:
    addresses = tuple(range(point.address, point.address + point.count))
    order: Literal["little", "big"] = "little" if point.low_first else "big"

    def text(image: Image) -> Decoded:
        words = [image.get(address) for address in addresses]
        if None in words:
            return _ABSENT
        raw = _characters([word for word in words if word is not None], order)
        if not raw.strip(b"\x00\xff "):
            return None, _INVALID, ""
        printed = _printed(_PADDING.split(_EMPTY_BEFORE.sub(b"", raw), maxsplit=1)[0]).strip()
        return printed, _GOOD, printed

    return text


def _printed(raw: bytes) -> str:
    """Return a text in UTF-8, or in Latin-1 where it is none: makers write their umlauts so."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _characters(words: list[int], order: Literal["little", "big"]) -> bytes:
    """Return the bytes of a text: two a register, or one where every register has the same half empty.

    Source: Fox ESS H3 holds one character in the low half of each register.
    """
    filled = [word for word in words if word not in (0, 0xFFFF)]
    if filled and all(word < 0x100 for word in filled):
        return bytes(word & 0xFF for word in words)
    if len(filled) > 1 and not any(word & 0xFF for word in filled):
        return bytes(word >> 8 for word in words)
    return b"".join(word.to_bytes(2, order) for word in words)


def _bit(point: RegisterPoint) -> Decoder:
    address, names = point.address, dict(point.enum)

    def bit(image: Image) -> Decoded:
        raw = image.get(address)
        if raw is None:
            return _ABSENT
        on = bool(raw)
        return names.get(int(on), on), _GOOD, int(on)

    return bit
