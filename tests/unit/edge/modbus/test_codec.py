"""Registers to values: only what the map proves becomes a number."""

import math
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.modbus.codec import Image, bit_names, covers, decode
from edge.modbus.point import DataType, RegisterPoint, SignFrom, Table, WordOrder


def image(address: int, *words: int) -> dict[int, int]:
    return {address + at: word for at, word in enumerate(words)}


GOLDEN = [
    # Eastron SDM630, total power 1234.5 W as float32.
    ({"data_type": DataType.FLOAT32, "count": 2}, image(52, 0x449A, 0x5000), 52, 1234.5),
    # Iskra's manual: 123456 and -123456 times a thousandth.
    ({"data_type": DataType.UDECIMAL32, "count": 2}, image(7, 0xFD01, 0xE240), 7, 123.456),
    ({"data_type": DataType.DECIMAL32, "count": 2}, image(7, 0xFDFE, 0x1DC0), 7, -123.456),
    ({"data_type": DataType.DECIMAL32, "count": 2}, image(7, 0x0300, 0x0011), 7, 17_000),
    ({"data_type": DataType.UINT32, "count": 2, "scale_register": 9}, {1: 0, 2: 17, 9: 3}, 1, 17_000),
    # Huawei SUN2000, active power int32 -2500 W.
    ({"data_type": DataType.INT32, "count": 2}, image(32080, 0xFFFF, 0xF63C), 32080, -2500),
    # Sungrow, little word order.
    (
        {"data_type": DataType.UINT32, "count": 2, "word_order": WordOrder.LITTLE, "scale": 0.1},
        image(5003, 0x86A0, 0x0001),
        5003,
        10000.0,
    ),
    # Deye, offset before scale: 1250 means 25 degrees.
    ({"scale": 0.1, "offset": -1000}, image(541, 1250), 541, 25.0),
    # Victron, negative divisor.
    ({"data_type": DataType.INT16, "scale": -0.1}, image(3, 0xFF9C), 3, 10.0),
    ({"data_type": DataType.UINT64, "count": 4}, image(8, 0, 1, 0, 2), 8, (1 << 32) + 2),
    ({"data_type": DataType.INT64, "count": 4}, image(8, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE), 8, -2),
    ({"data_type": DataType.FLOAT64, "count": 4}, image(8, 0x40FE, 0x2408, 0x0000, 0x0000), 8, 123456.5),
    ({"data_type": DataType.ENUM16, "enum": {4: "MPPT"}}, image(9, 4), 9, "MPPT"),
    ({"data_type": DataType.ENUM16, "enum": {4: "MPPT"}}, image(9, 5), 9, 5),
    ({"data_type": DataType.ENUM32, "count": 2, "enum": {307: "OK"}}, image(9, 0, 307), 9, "OK"),
    ({"data_type": DataType.STRING, "count": 3}, image(9, 0x4672, 0x6F6E, 0x0000), 9, "Fron"),
    ({"data_type": DataType.BITFIELD, "count": 2}, image(9, 0x8000, 0x0001), 9, 0x8000_0001),
    ({"data_type": DataType.BOOL, "table": Table.COIL}, image(9, 1), 9, True),
    ({"data_type": DataType.BOOL, "table": Table.COIL, "enum": {0: "open", 1: "closed"}}, image(9, 1), 9, "closed"),
    # 230.5 exactly, not 230.50000000000003.
    ({"scale": 0.1}, image(1, 2305), 1, 230.5),
    ({"scale": 60}, image(1, 3), 1, 180),
    ({"scale": 2, "offset": 3}, image(1, 10), 1, 26),
    ({"scale": 2.5, "offset": 1}, image(1, 3), 1, 10.0),
    ({"offset": 0.5}, image(1, 3), 1, 3.5),
    # A scale of the map and a scale register together: (raw + offset) * scale * 10 ** factor, for both signs of it.
    ({"scale_register": 9, "scale": 2.5, "offset": 1}, {1: 3, 9: 1}, 1, 100.0),
    ({"scale_register": 9, "scale": 2.5, "offset": 1}, {1: 3, 9: 0xFFFF}, 1, 1.0),
    ({"scale_register": 9, "scale": 2, "offset": 1}, {1: 3, 9: 2}, 1, 800),
    ({"scale_register": 9}, {1: 3, 9: 10}, 1, 3 * 10**10),
    ({"scale_register": 9}, {1: 3, 9: 0xFFF6}, 1, 3e-10),
    ({"data_type": DataType.FLOAT32, "count": 2, "scale_register": 9}, {1: 0x449A, 2: 0x5000, 9: 1}, 1, 12345.0),
    # Text of one character a register, in its low half or its high half, filled with zeros or ones.
    ({"data_type": DataType.STRING, "count": 4}, image(9, 0x0041, 0x0042, 0x0000, 0x0000), 9, "AB"),
    ({"data_type": DataType.STRING, "count": 4}, image(9, 0x0041, 0x0042, 0xFFFF, 0xFFFF), 9, "AB"),
    ({"data_type": DataType.STRING, "count": 3}, image(9, 0x4100, 0x4200, 0x0000), 9, "AB"),
    ({"data_type": DataType.STRING, "count": 3}, image(9, 0x4100, 0x4200, 0xFFFF), 9, "AB"),
    ({"data_type": DataType.STRING, "count": 2}, image(9, 0x0041, 0x0100), 9, ""),
    ({"data_type": DataType.STRING, "count": 2}, image(9, 0x4101, 0x4200), 9, "A\x01B"),
    ({"data_type": DataType.STRING, "count": 1}, image(9, 0x5858), 9, "XX"),
    ({"data_type": DataType.STRING, "count": 2}, image(9, 0x41C3, 0x4243), 9, "AÃBC"),
]


@pytest.mark.parametrize(("fields", "words", "address", "value"), GOLDEN)
def test_every_type_order_and_scale_decodes_its_golden_frame(
    fields: dict[str, object], words: Image, address: int, value: object
) -> None:
    """A wrong type or order at commissioning is the commonest mistake in the field."""
    reading = decode(RegisterPoint(name="p", address=address, **fields), words)  # type: ignore[arg-type]
    assert (reading.value, reading.quality) == (value, Quality.GOOD)


INVALID = [
    ({"sentinels": (0xFFFF,)}, image(1, 0xFFFF)),
    ({"data_type": DataType.INT16, "sentinels": (0x8000,)}, image(1, 0x8000)),
    ({"data_type": DataType.INT32, "count": 2, "sentinels": (0x7FFFFFFF,)}, image(1, 0x7FFF, 0xFFFF)),
    ({"data_type": DataType.FLOAT32, "count": 2}, image(1, 0x7FC0, 0)),
    ({"data_type": DataType.DECIMAL32, "count": 2}, image(1, 0x7F00, 1)),
    ({"data_type": DataType.UDECIMAL32, "count": 2}, image(1, 0x8000, 1)),
    ({"data_type": DataType.UDECIMAL32, "count": 2, "sentinels": (0xFFFFFFFF,)}, image(1, 0xFFFF, 0xFFFF)),
    ({"data_type": DataType.FLOAT32, "count": 2}, image(1, 0xFFC1, 0x1234)),
    ({"data_type": DataType.FLOAT32, "count": 2}, image(1, 0x7F80, 0)),
    ({"data_type": DataType.FLOAT32, "count": 2, "sentinels": (0x7FC00000, 0xFF7FFFFF)}, image(1, 0xFF7F, 0xFFFF)),
    (
        {"data_type": DataType.FLOAT32, "count": 2, "word_order": WordOrder.LITTLE, "sentinels": (0xFF7FFFFF,)},
        image(1, 0xFFFF, 0xFF7F),
    ),
    ({"data_type": DataType.UINT32, "count": 2, "accumulator": True}, image(1, 0, 0)),
    ({"data_type": DataType.ENUM32, "count": 2, "sentinels": (0x00FFFFFD,)}, image(1, 0x00FF, 0xFFFD)),
    ({"data_type": DataType.STRING, "count": 2}, image(1, 0, 0)),
    ({"data_type": DataType.UINT32, "count": 2}, image(1, 7)),
    ({"scale_register": 9}, image(1, 7)),
    ({"scale_register": 9}, {1: 7, 9: 0x8000}),
    ({"scale_register": 9}, {1: 7, 9: 11}),
    ({"scale_register": 9}, {1: 7, 9: 0xFFF5}),
    ({"data_type": DataType.FLOAT32, "count": 2, "scale_register": 9}, image(1, 0x449A, 0x5000)),
]


@pytest.mark.parametrize(("fields", "words"), INVALID)
def test_no_sentinel_or_missing_word_ever_becomes_a_number(fields: dict[str, object], words: Image) -> None:
    """A sentinel taken for a number has booked 53.7 MWh in one quarter of an hour elsewhere."""
    reading = decode(RegisterPoint(name="p", address=1, **fields), words)  # type: ignore[arg-type]
    assert (reading.value, reading.quality) == (None, Quality.INVALID)


WHOLE = [
    ({"scale": 60, "offset": -1.0}, image(1, 3)),
    ({"scale_register": 9}, {1: 3, 9: 0}),
    ({"scale_register": 9, "scale": 2}, {1: 3, 9: 2}),
]


@pytest.mark.parametrize(("fields", "words"), WHOLE)
def test_a_whole_register_under_whole_factors_stays_an_integer(fields: dict[str, object], words: Image) -> None:
    """A 64-bit counter of energy does not fit a float exactly."""
    assert type(decode(RegisterPoint(name="p", address=1, **fields), words).value) is int  # type: ignore[arg-type]


def test_a_reading_keeps_its_raw_value_and_both_of_its_times() -> None:
    """Evidence shows the register as it was, and staleness counts from when it was read."""
    read_at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    point = RegisterPoint(name="p", address=1, scale=0.1, sentinels=(0xFFFF,))
    reading = decode(point, image(1, 2305), source_at=read_at, monotonic_s=17.5)
    assert (reading.raw, reading.source_at, reading.monotonic_s) == (2305, read_at, 17.5)
    assert decode(point, image(1, 0xFFFF)).raw == 0xFFFF
    assert decode(point, image(1, 2305)).monotonic_s == 0.0
    assert decode(RegisterPoint(name="t", address=1, data_type=DataType.STRING, count=1), image(1, 0)).raw == ""


def test_scale_register_is_a_power_of_ten_read_with_the_value() -> None:
    """SunSpec devices change their scale factors while they run."""
    point = RegisterPoint(name="w", address=1, data_type=DataType.INT16, scale_register=9, sentinels=(0x8000,))
    assert decode(point, {1: 0xFFFE, 9: 1}).value == -20
    assert decode(point, {1: 1234, 9: 0xFFFE}).value == 12.34
    assert decode(point, {1: 1234, 9: 0}).value == 1234
    assert not covers(point, {1: 1234})
    assert covers(point, {1: 1234, 9: 0})


def test_value_split_over_distant_words_joins_them_and_falls_back_to_its_own() -> None:
    """Newer firmware of one inverter family put the high word 65 registers further."""
    point = RegisterPoint(name="grid", address=625, data_type=DataType.INT16, parts=(690, 625))
    assert decode(point, {625: 0x1170, 690: 0x0001}).value == 0x11170
    assert decode(point, {625: 0xFF9C, 690: 0xFFFF}).value == -100
    assert decode(point, {625: 0xFF9C}).value == -100


def test_sign_from_another_register_is_needed_before_a_magnitude_counts() -> None:
    """A battery power without a direction is worse than none."""
    sign = SignFrom(address=5, positive_mask=0b10, negative_mask=0b100)
    point = RegisterPoint(name="battery", address=1, sign_from=sign)
    assert decode(point, {1: 900, 5: 0b010}).value == 900
    assert decode(point, {1: 900, 5: 0b100}).value == -900
    assert decode(point, {1: 0, 5: 0}).value == 0
    assert decode(point, {1: 900, 5: 0b000}).quality is Quality.INVALID
    assert decode(point, {1: 900, 5: 0b110}).quality is Quality.INVALID


def test_bits_are_named_lowest_first() -> None:
    """Alarms are shown by name."""
    point = RegisterPoint(name="state", address=1, data_type=DataType.BITFIELD, bits={2: "C", 0: "A"})
    assert bit_names(point, 0b111) == ("A", "C")
    assert bit_names(point, 0b011) == ("A",)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(list(WordOrder)))
def test_float_words_give_the_float_back(number: float, order: WordOrder) -> None:
    """Every finite pattern is a value; nothing is rounded on the way."""
    high, low = struct.unpack(">HH", struct.pack(">f", number))
    words = image(1, high, low) if order is WordOrder.BIG else image(1, low, high)
    value = decode(
        RegisterPoint(name="p", address=1, count=2, data_type=DataType.FLOAT32, word_order=order), words
    ).value
    assert isinstance(value, float)
    assert value == number
    assert math.copysign(1, value) == math.copysign(1, number) or number == 0
