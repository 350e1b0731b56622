"""The points of a SunSpec model where it lies on a device, from the definitions that pysunspec2 ships.

Nothing is typed by hand: types, scale factors, enumerations and repeating groups are the model files'.
Source: SunSpec device information model specification 1.1, 4.2 (types and their "not implemented" values).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from edge.modbus.point import Access, DataType, RegisterPoint
from edge.modbus.sunspec import Model

# Type of the specification -> data type, "not implemented" values, whether zero means "not accumulated".
TYPES: Mapping[str, tuple[DataType, tuple[int, ...], bool]] = {
    "int16": (DataType.INT16, (0x8000,), False),
    "int32": (DataType.INT32, (0x8000_0000,), False),
    "int64": (DataType.INT64, (0x8000_0000_0000_0000,), False),
    "uint16": (DataType.UINT16, (0xFFFF,), False),
    "uint32": (DataType.UINT32, (0xFFFF_FFFF,), False),
    "uint64": (DataType.UINT64, (0xFFFF_FFFF_FFFF_FFFF,), False),
    "acc16": (DataType.UINT16, (), True),
    "acc32": (DataType.UINT32, (), True),
    "acc64": (DataType.UINT64, (), True),
    "enum16": (DataType.ENUM16, (0xFFFF,), False),
    "enum32": (DataType.ENUM32, (0xFFFF_FFFF,), False),
    "bitfield16": (DataType.BITFIELD, (0xFFFF,), False),
    "bitfield32": (DataType.BITFIELD, (0xFFFF_FFFF,), False),
    "bitfield64": (DataType.BITFIELD, (0xFFFF_FFFF_FFFF_FFFF,), False),
    "float32": (DataType.FLOAT32, (), False),
    "float64": (DataType.FLOAT64, (), False),
    "sunssf": (DataType.INT16, (0x8000,), False),
    "count": (DataType.UINT16, (0xFFFF,), False),
    "raw16": (DataType.UINT16, (), False),
    "string": (DataType.STRING, (), False),
    "ipaddr": (DataType.UINT32, (0,), False),
    "ipv6addr": (DataType.STRING, (), False),
    "eui48": (DataType.UINT64, (0xFFFF_FFFF_FFFF_FFFF,), False),
}
GROUPS_MAX = 256  # Repetitions of one group; a count register beyond it is garbage.


@dataclass(kw_only=True)
class _Cursor:
    """Where the next point lies, and how much of the model is left."""

    address: int
    end: int


@lru_cache(maxsize=256)
def definition(model_id: int) -> Mapping[str, Any] | None:
    """Return a model's definition, None where pysunspec2 has none (a vendor's own model)."""
    path = files("sunspec2") / "models" / "json" / f"model_{model_id}.json"
    if not path.is_file():
        return None
    group: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["group"]
    return group


def model_points(model: Model, image: Mapping[int, int]) -> tuple[RegisterPoint, ...]:
    """Return the points of a model, those of repeating groups named ``group.2.point``.

    Args:
        image: The model's registers; only its count points are looked at. A group whose count is not there repeats as
            often as the model's length has room for.
    """
    group = definition(model.model_id)
    if group is None:
        return ()
    cursor = _Cursor(address=model.address, end=model.end)
    return tuple(_group(group, cursor, image, prefix="", outer={}))


def point_at(model: Model, offset: int, image: Mapping[int, int]) -> RegisterPoint | None:
    """Return the point at an offset from a model's id, None where none starts there."""
    return next((point for point in model_points(model, image) if point.address == model.address + offset), None)


def _group(
    group: Mapping[str, Any],
    cursor: _Cursor,
    image: Mapping[int, int],
    *,
    prefix: str,
    outer: Mapping[str, RegisterPoint],
) -> Iterator[RegisterPoint]:
    own: dict[str, RegisterPoint] = {}
    scaled: list[tuple[RegisterPoint, str | int | None]] = []
    for entry in group.get("points", ()):
        count = int(entry["size"])
        if cursor.address + count > cursor.end:
            break
        if entry["type"] != "pad":
            point = _point(entry, cursor.address, prefix)
            own[entry["name"]] = point
            scaled.append((point, entry.get("sf")))
        cursor.address += count
    known = {**outer, **own}
    for point, factor in scaled:
        complete = _with_scale(point, factor, known)
        if complete is not None:
            yield complete
    for member in group.get("groups", ()):
        yield from _repeated(member, cursor, image, prefix=prefix, outer=known)


def _repeated(
    member: Mapping[str, Any],
    cursor: _Cursor,
    image: Mapping[int, int],
    *,
    prefix: str,
    outer: Mapping[str, RegisterPoint],
) -> Iterator[RegisterPoint]:
    counted = member.get("count", 1)
    limit = GROUPS_MAX
    if isinstance(counted, str):
        word = image.get(outer[counted].address) if counted in outer else None
        limit = GROUPS_MAX if word is None or word > GROUPS_MAX else word
    elif counted:
        limit = counted
    is_single = counted == 1
    for repetition in range(1, limit + 1):
        before = cursor.address
        if before >= cursor.end:
            return
        name = f"{prefix}{member['name']}." if is_single else f"{prefix}{member['name']}.{repetition}."
        yield from _group(member, cursor, image, prefix=name, outer=outer)
        if cursor.address == before:
            return


def _point(entry: Mapping[str, Any], address: int, prefix: str) -> RegisterPoint:
    data_type, sentinels, accumulator = TYPES[entry["type"]]
    symbols = {int(symbol["value"]): str(symbol["name"]) for symbol in entry.get("symbols", ())}
    is_bits = data_type is DataType.BITFIELD
    return RegisterPoint(
        name=prefix + entry["name"],
        address=address,
        count=int(entry["size"]),
        data_type=data_type,
        sentinels=sentinels,
        accumulator=accumulator,
        enum={} if is_bits else symbols,
        bits=symbols if is_bits else {},
        access=Access.READ_WRITE if entry.get("access") == "RW" else Access.READ,
    )


def _with_scale(
    point: RegisterPoint, factor: str | int | None, known: Mapping[str, RegisterPoint]
) -> RegisterPoint | None:
    """Return the point with its scale, None where its factor lies beyond the end of a shortened model."""
    if factor is None:
        return point
    if isinstance(factor, str) and factor in known:
        return replace(point, scale_register=known[factor].address)
    if isinstance(factor, int):
        return replace(point, scale=float(f"1e{factor}"))
    return None
