"""What an installer is told about a value that cannot be."""

import struct

import pytest

from edge.devices.map_faults import likely_slip
from edge.modbus.point import DataType, RegisterPoint, WordOrder

VOLTS = (85.0, 300.0)
FLOAT_230 = struct.unpack(">I", struct.pack(">f", 230.0))[0]


def point(data_type: DataType, *, count: int = 1, scale: float = 1, order: WordOrder = WordOrder.BIG) -> RegisterPoint:
    """Return a voltage as a map has it."""
    return RegisterPoint(name="v", address=7, count=count, data_type=data_type, scale=scale, word_order=order)


@pytest.mark.parametrize(
    ("mapped", "raw", "said"),
    [
        (point(DataType.UINT32, count=2, scale=0.1), 2300 << 16, "its words in little order"),
        (point(DataType.UINT32, count=2, scale=0.1, order=WordOrder.LITTLE), 2300 << 16, "its words in big order"),
        (point(DataType.UINT16, scale=0.1), 0xFC08, "the bytes of each word swapped"),
        (point(DataType.UINT16), 2300, "a scale of 0.1 instead of 1"),
        (point(DataType.UINT16, scale=0.1), 23000, "a scale of 0.01 instead of 0.1"),
        (point(DataType.UINT32, count=2, scale=0.1), FLOAT_230, "it a float"),
        (point(DataType.FLOAT32, count=2), FLOAT_230 >> 16 | (FLOAT_230 & 0xFFFF) << 16, "its words in little order"),
        (point(DataType.UINT16), 3, "a scale of 100 instead of 1"),
        (point(DataType.UINT16), 0, None),
    ],
)
def test_the_usual_slip_is_named(mapped: RegisterPoint, raw: int, said: str | None) -> None:
    """He reads what to change instead of trying eight combinations."""
    assert likely_slip(mapped, raw, bounds=VOLTS) == said


def test_a_missing_sign_is_named() -> None:
    """A charge of 500 W that is read as 65036 W."""
    assert likely_slip(point(DataType.UINT16), 65036, bounds=(-10_000, 10_000)) in (
        "it signed",
        "the bytes of each word swapped",
    )
    assert likely_slip(point(DataType.INT16, scale=1), -20_000, bounds=(40_000, 50_000)) == "it unsigned"
