"""Values to registers: what does not fit is refused, nothing wraps."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ValueRefused
from edge.modbus.codec import decode
from edge.modbus.encode import Write, encode
from edge.modbus.point import Access, DataType, RegisterPoint, Table, WordOrder

INTEGERS = [
    (data_type, count)
    for data_type, count in (
        (DataType.UINT16, 1),
        (DataType.INT16, 1),
        (DataType.UINT32, 2),
        (DataType.INT32, 2),
        (DataType.UINT64, 4),
        (DataType.INT64, 4),
    )
]


def writable(**fields: object) -> RegisterPoint:
    return RegisterPoint(**{"name": "p", "address": 10, "access": Access.READ_WRITE, **fields})  # type: ignore[arg-type]


def refused(point: RegisterPoint, value: float | str | bool, scale_factor: int | None = None) -> str:
    with pytest.raises(ValueRefused) as refusal:
        encode(point, value, scale_factor=scale_factor)
    assert "nothing was written" in str(refusal.value)
    return refusal.value.code


def test_what_does_not_fit_is_refused_with_its_code() -> None:
    """Each code is an interface: the tools and the cloud answer with it."""
    assert refused(writable(), -1) == "negative_unsigned"
    assert refused(writable(), 65536) == "overflow"
    assert refused(writable(data_type=DataType.INT16), -32769) == "overflow"
    assert refused(writable(scale=0.1), 7000) == "overflow"
    assert refused(writable(sentinels=(0xFFFF,)), 65535) == "sentinel_collision"
    assert refused(writable(data_type=DataType.INT16, sentinels=(0x8000,)), -32768) == "sentinel_collision"
    assert refused(writable(value_max=100), 100.5) == "out_of_range"
    assert refused(writable(value_min=-5, data_type=DataType.INT16), -6) == "out_of_range"
    assert refused(writable(step=5), 7) == "step"
    assert refused(writable(), float("nan")) == "not_a_number"
    assert refused(writable(), float("inf")) == "not_a_number"
    assert refused(writable(), "warm") == "not_a_number"
    assert refused(writable(scale_register=3), 5) == "scale_factor_missing"
    assert refused(writable(scale_register=3), 5, 0x8000) == "scale_factor_missing"
    assert refused(writable(data_type=DataType.ENUM16, enum={1: "ON"}), "OFF") == "not_in_enum"
    assert refused(writable(data_type=DataType.ENUM16, enum={1: "ON"}), 2) == "not_in_enum"
    assert refused(writable(data_type=DataType.STRING, count=1), "abc") == "too_long"
    assert refused(writable(data_type=DataType.FLOAT32, count=2), 1e39) == "overflow"
    assert refused(writable(data_type=DataType.UDECIMAL32, count=2), -0.1) == "negative_unsigned"
    assert refused(writable(data_type=DataType.DECIMAL32, count=2), 1e18) == "overflow"
    assert refused(writable(table=Table.COIL, data_type=DataType.BOOL), 2) == "out_of_range"
    assert refused(RegisterPoint(name="p", address=1), 1) == "not_writable"


def test_writes_go_where_and_how_the_map_says() -> None:
    """Some devices take only function 16, some are written elsewhere than read."""
    assert encode(writable(), 7) == (Write(table=Table.HOLDING, address=10, words=(7,), function=6),)
    assert encode(writable(write_address=31, write_function=16), 7)[0] == Write(
        table=Table.HOLDING, address=31, words=(7,), function=16
    )
    assert encode(writable(data_type=DataType.INT32, count=2), -2)[0].words == (0xFFFF, 0xFFFE)
    assert encode(writable(data_type=DataType.UINT32, count=2, word_order=WordOrder.LITTLE), 1)[0].words == (1, 0)
    assert encode(writable(table=Table.COIL, data_type=DataType.BOOL), True)[0] == Write(
        table=Table.COIL, address=10, words=(1,), function=5
    )
    assert encode(writable(data_type=DataType.ENUM16, enum={3: "ECO"}), "eco")[0].words == (3,)
    assert encode(writable(data_type=DataType.STRING, count=2), "abc")[0].words == (0x6162, 0x6300)
    assert encode(writable(scale_register=3), 60, scale_factor=-2)[0].words == (6000,)
    assert encode(writable(scale_register=3), 60, scale_factor=0xFFFE)[0].words == (6000,)
    assert encode(writable(scale=0.1, offset=-1000), 25)[0].words == (1250,)


def test_rounding_never_steps_over_a_bound() -> None:
    """A limit of 10.06 A on a register of 0.1 A is 10.0 A, not 10.1 A."""
    assert encode(writable(scale=0.1, value_max=10.06), 10.06)[0].words == (100,)
    assert encode(writable(scale=0.1, value_min=9.94, value_max=12), 9.94)[0].words == (100,)
    assert refused(writable(scale=10, value_min=13, value_max=17), 14) == "out_of_range"


@given(
    st.sampled_from(INTEGERS),
    st.sampled_from([1, 0.1, 0.01, 10, 60, -0.1, 0.001]),
    st.sampled_from(list(WordOrder)),
    st.data(),
)
def test_decoding_undoes_encoding(
    kind: tuple[DataType, int], scale: float, order: WordOrder, data: st.DataObject
) -> None:
    """What a read-back shows must be what was asked for."""
    data_type, count = kind
    point = writable(data_type=data_type, count=count, scale=scale, word_order=order)
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=count, max_size=count))
    value = decode(point, {10 + at: word for at, word in enumerate(words)}).value
    assert isinstance(value, int | float)
    if abs(value / scale) < 2**52:  # Beyond it a float has no room for every step.
        (write,) = encode(point, value)
        assert list(write.words) == words


_ANY_FLOAT = st.floats() | st.floats(-1e6, 1e6) | st.sampled_from([-0.0, 32767.5, 32768.0, 65534.5, 65535.0, 65535.5])


@given(
    st.sampled_from([*INTEGERS, (DataType.FLOAT32, 2), (DataType.FLOAT64, 4)]),
    st.sampled_from([1, 0.1, 100, -0.1]),
    st.tuples(st.integers(-70000, 70000), st.integers(0, 70000)),
    _ANY_FLOAT,
)
def test_any_float_is_inside_the_range_on_the_wire_or_refused(
    kind: tuple[DataType, int], scale: float, bounds: tuple[int, int], value: float
) -> None:
    """An overflow that wraps has set a battery to full discharge elsewhere."""
    data_type, count = kind
    low, high = bounds[0], bounds[0] + bounds[1]
    point = writable(
        data_type=data_type, count=count, scale=scale, value_min=low, value_max=high, sentinels=(0xFFFF, 0x8000)
    )
    try:
        (write,) = encode(point, value)
    except ValueRefused:
        return
    assert isfinite(value)
    reading = decode(point, {10 + at: word for at, word in enumerate(write.words)})
    assert isinstance(reading.value, int | float)
    assert low <= reading.value <= high
    assert abs(reading.value - value) <= abs(scale) + abs(value) * 1e-6


@given(st.floats(-8e16, 8e16), st.sampled_from([DataType.DECIMAL32, DataType.UDECIMAL32]))
def test_a_decimal_is_its_value_to_24_bits(value: float, data_type: DataType) -> None:
    """Thousandths where they fit, coarser powers of ten where they do not."""
    value = abs(value) if data_type is DataType.UDECIMAL32 else value
    (write,) = encode(writable(data_type=data_type, count=2), value)
    point = RegisterPoint(name="p", address=10, count=2, data_type=data_type)
    reading = decode(point, {10 + at: word for at, word in enumerate(write.words)})
    assert isinstance(reading.value, int | float)
    assert abs(reading.value - value) <= max(0.000_51, abs(value) * 1e-6)
