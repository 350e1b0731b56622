"""What a value that cannot be would be, had its map slipped in one of the usual ways. Pure.

Source: commissioning threads of other gateways: words or bytes in the other order, a missing sign, a factor of ten.
"""

from collections.abc import Iterator
from dataclasses import replace

from edge.modbus.codec import DECIMALS, FLOATS, SIGNED, decode
from edge.modbus.point import DataType, RegisterPoint, WordOrder

FACTORS = (0.1, 10, 0.01, 100, 0.001, 1000)
_OTHER_SIGN = {
    DataType.UINT16: DataType.INT16,
    DataType.UINT32: DataType.INT32,
    DataType.UINT64: DataType.INT64,
    DataType.INT16: DataType.UINT16,
    DataType.INT32: DataType.UINT32,
    DataType.INT64: DataType.UINT64,
}


def likely_slip(point: RegisterPoint, raw: int, *, bounds: tuple[float, float]) -> str | None:
    """Return the first usual slip of a map that makes a reading believable, in words; None where none does.

    Args:
        raw: What the point read, as its map joins the words.
        bounds: The least and the greatest value that can be, as the device means it. Zero is never believed.
    """
    if point.table.is_bits or point.parts or point.sign_from is not None or point.scale_register is not None:
        return None
    least, greatest = bounds
    for slipped, image, said in _map_faults(point, _words(point, raw)):
        value = decode(slipped, image).value
        if isinstance(value, int | float) and value and least <= value <= greatest:
            return said
    return None


def _map_faults(point: RegisterPoint, words: list[int]) -> Iterator[tuple[RegisterPoint, dict[int, int], str]]:
    """Yield points and registers that differ from the map in one way each, the commonest first."""
    as_read = dict(enumerate(words, point.address))
    swapped = {at: (word & 0xFF) << 8 | word >> 8 for at, word in as_read.items()}
    other = WordOrder.BIG if point.word_order is WordOrder.LITTLE else WordOrder.LITTLE
    if point.count > 1:
        yield replace(point, word_order=other), as_read, f"its words in {other} order"
    yield point, swapped, "the bytes of each word swapped"
    if point.count > 1:
        yield replace(point, word_order=other), swapped, f"its words in {other} order and the bytes of each swapped"
    if point.data_type in _OTHER_SIGN:
        sign = "unsigned" if point.data_type in SIGNED else "signed"
        yield replace(point, data_type=_OTHER_SIGN[point.data_type]), as_read, f"it {sign}"
    for factor in FACTORS:
        scale = float(f"{point.scale * factor:.12g}")
        yield replace(point, scale=scale), as_read, f"a scale of {scale:g} instead of {point.scale:g}"
    if point.count == 2 and point.data_type not in FLOATS and point.data_type not in DECIMALS:
        yield replace(point, data_type=DataType.FLOAT32, scale=1), as_read, "it a float"


def _words(point: RegisterPoint, raw: int) -> list[int]:
    """Return the words of a raw value as they lay in the registers."""
    unsigned = raw & ((1 << 16 * point.count) - 1)
    words = [unsigned >> shift & 0xFFFF for shift in range(16 * (point.count - 1), -1, -16)]
    return words[::-1] if point.word_order is WordOrder.LITTLE else words
