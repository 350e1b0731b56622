"""A healthy device of every profile as registers: what has bounds reads inside them, names and codes as they identify.

The words are made here and not by the engine's encoder, so that a slip of the engine does not hide itself.
"""

import re
import struct
from typing import Literal

from edge.devices.catalogue import load_profile
from edge.devices.quality import plausible_range
from edge.devices.resolve import Resolved, resolve, worked_example
from edge.modbus.point import DataType, RegisterPoint, Table, WordOrder
from tests.support.modbus.server import Bank

NAMES = {
    "(?i)fronius": "Fronius",
    "(?i)solaredge": "SolarEdge",
    "SUN2000": "SUN2000-10KTL-M1",
    "^WM3M4": "WM3M4C",
    "EM-003": "SPEM-003CEBEU",
    "EM-002": "SPEM-002CEBEU50",
}
HEALTHY = {(85.0, 300.0): 230.0, (147.0, 520.0): 400.0, (45.0, 65.0): 50.0, (0.0, 100.0): 55.0}
TEMPERATURE_C = 25.0
TENTHS = 0xFFFF  # A scale factor of -1.
DECIMALS = (DataType.DECIMAL32, DataType.UDECIMAL32)
FLOATS = {DataType.FLOAT32: ">f", DataType.FLOAT64: ">d"}


def healthy(profile_id: str) -> Bank:
    """Return the registers of a healthy device of a profile."""
    resolved = resolve(load_profile(profile_id))
    tables: dict[Table, dict[int, int]] = {table: {} for table in Table}
    for point in resolved.points.values():
        for start, end in point.spans():
            tables[point.table].update({at: 0 for at in range(start, end) if at not in tables[point.table]})
    for name, point in resolved.points.items():
        bounds = plausible_range(resolved.profile.points[name].canonical)
        if bounds is not None and not point.table.is_bits:
            _put(tables[point.table], point, HEALTHY.get(bounds, TEMPERATURE_C))
    for name, pattern in resolved.profile.identify.items():
        point = resolved.points[name]
        _put(tables[point.table], point, _told(point, pattern))
    _add_chain(tables[Table.HOLDING], resolved)
    return Bank(
        holding=tables[Table.HOLDING],
        input=tables[Table.INPUT],
        coil=tables[Table.COIL],
        discrete=tables[Table.DISCRETE],
    )


def _told(point: RegisterPoint, pattern: str) -> float | str:
    """Return a name or a code that fits a pattern."""
    if point.data_type is DataType.STRING:
        return NAMES[pattern]
    codes = point.enum or {code: str(code) for code in range(0x10000)}
    return next((code for code, text in codes.items() if re.search(pattern, text)), 1)


def _put(table: dict[int, int], point: RegisterPoint, value: float | str) -> None:
    words = _words(point, value)
    if point.scale_register is not None:
        table[point.scale_register] = TENTHS
    if point.parts:
        table.update(zip(point.parts, words, strict=True))
        return
    ordered = reversed(words) if point.word_order is WordOrder.LITTLE else words
    table.update(zip(range(point.address, point.address + point.count), ordered, strict=True))


def _words(point: RegisterPoint, value: float | str) -> list[int]:
    count = len(point.parts) or point.count
    if isinstance(value, str):
        raw = value.encode().ljust(2 * count, b"\0")
    elif point.data_type in DECIMALS:
        raw = (0xFE00_0000 | round(100 * value / point.scale) & 0xFF_FFFF).to_bytes(4, "big")
    elif point.data_type in FLOATS:
        raw = struct.pack(FLOATS[point.data_type], value / point.scale - point.offset)
    else:
        tenths = 0.1 if point.scale_register is not None else 1.0
        whole = round(value / point.scale / tenths - point.offset)
        raw = (whole % (1 << 16 * count)).to_bytes(2 * count, "big")
    order: Literal["little", "big"] = "little" if point.low_first else "big"
    return [int.from_bytes(raw[at : at + 2], order) for at in range(0, len(raw), 2)]


def _add_chain(table: dict[int, int], resolved: Resolved) -> None:
    if resolved.profile.sunspec is None:
        return
    chain = worked_example(resolved.profile)
    table |= {chain.base: 0x5375, chain.base + 1: 0x6E53}
    for model in chain.models:
        for at in range(model.address, model.end):
            table.setdefault(at, 0)
        table |= {model.address: model.model_id, model.address + 1: model.length}
    table |= {chain.models[-1].end: 0xFFFF, chain.models[-1].end + 1: 0}
