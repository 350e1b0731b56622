"""A vendor's list of registers, saved as CSV, as points, ranges and levers of a profile. Pure.

Headings and types are taken as vendors write them (``U16``, ``INT32``, ``Float``, ``R/W``, ``gain 10``); what is not
understood is said with its line, all of it at once.
"""

import csv
import io
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge.devices.names import canonical_name, slug
from edge.devices.points import COUNT, Evidence, Kind, Sign
from edge.devices.profile_check import TWO_WAY
from edge.devices.recipes import Lever, Storage
from edge.errors import ConfigError
from edge.modbus.point import DataType, Table, WordOrder

ROWS_MAX = 2000
_HEADINGS = {
    "name": ("name", "point", "parameter", "signal", "signal name", "description", "register name", "bezeichnung"),
    "address": ("address", "register", "register address", "addr", "reg", "adresse", "offset"),
    "type": ("type", "data type", "datatype", "format", "typ"),
    "count": ("count", "length", "size", "words", "number of registers", "quantity"),
    "table": ("table", "function", "fc", "function code", "register type"),
    "scale": ("scale", "factor", "multiplier", "resolution"),
    "gain": ("gain", "divisor", "scaling"),
    "unit": ("unit", "units", "einheit"),
    "access": ("access", "rw", "r/w", "read/write", "mode"),
    "order": ("order", "word order", "word_order", "endian", "endianness"),
    "sign": ("sign", "direction"),
    "canonical": ("canonical", "means", "meaning"),
    "min": ("min", "minimum"),
    "max": ("max", "maximum"),
    "storage": ("storage", "memory"),
    "lever": ("lever",),
    "silence": ("silence", "in silence"),
    "evidence": ("evidence", "sources"),
    "note": ("note", "notes", "remark", "remarks", "comment"),
}
_TYPES = {
    DataType.UINT16: ("uint16", "u16", "uint", "ushort", "unsignedshort", "word", "unsigned16", "uint16bit"),
    DataType.INT16: ("int16", "i16", "s16", "int", "short", "sint16", "signed16", "sint"),
    DataType.UINT32: ("uint32", "u32", "dword", "ulong", "unsignedlong", "unsigned32", "udint"),
    DataType.INT32: ("int32", "i32", "s32", "long", "sint32", "signed32", "dint"),
    DataType.UINT64: ("uint64", "u64", "unsigned64"),
    DataType.INT64: ("int64", "i64", "s64", "signed64"),
    DataType.FLOAT32: ("float32", "f32", "float", "real", "ieee754", "single"),
    DataType.FLOAT64: ("float64", "f64", "double", "lreal"),
    DataType.DECIMAL32: ("decimal32", "t6"),
    DataType.UDECIMAL32: ("udecimal32", "t5"),
    DataType.ENUM16: ("enum16", "enum"),
    DataType.ENUM32: ("enum32",),
    DataType.BITFIELD: ("bitfield", "bitfield16", "bitmap", "bits"),
    DataType.STRING: ("string", "str", "ascii", "char", "text"),
    DataType.BOOL: ("bool", "boolean", "bit", "coil"),
}
_OF_TYPE = {text: data_type for data_type, texts in _TYPES.items() for text in texts}
_TABLES = {
    Table.HOLDING: ("holding", "h", "3", "03", "0x03", "6", "16", "fc3", "fc03", "holding register"),
    Table.INPUT: ("input", "i", "4", "04", "0x04", "fc4", "fc04", "input register"),
    Table.COIL: ("coil", "c", "1", "01", "5", "0x01", "fc1"),
    Table.DISCRETE: ("discrete", "d", "2", "02", "0x02", "fc2", "discrete input"),
}
_OF_TABLE = {text: table for table, texts in _TABLES.items() for text in texts}
_ORDERS = {
    WordOrder.BIG: ("big", "be", "abcd", "high first", "msw", "msw first"),
    WordOrder.LITTLE: ("little", "le", "cdab", "low first", "lsw", "lsw first", "swapped", "word swap"),
}
_OF_ORDER = {text: order for order, texts in _ORDERS.items() for text in texts}
_ORDER_ENDS = {"swapped": WordOrder.LITTLE, "le": WordOrder.LITTLE, "be": WordOrder.BIG}  # As in ``UINT32_LE``.
_ACCESS = {"r": "r", "ro": "r", "read": "r", "rw": "rw", "wr": "rw", "read write": "rw", "w": "w", "wo": "w"}
# A vendor's unit: ours, and how many of ours it is.
_UNITS = {
    "kw": ("W", 1000.0),
    "mw": ("W", 1_000_000.0),
    "kwh": ("Wh", 1000.0),
    "mwh": ("Wh", 1_000_000.0),
    "ma": ("A", 0.001),
    "mv": ("V", 0.001),
    "kvar": ("var", 1000.0),
    "kva": ("VA", 1000.0),
    "min": ("s", 60.0),
    "c": ("°C", 1.0),
    "degc": ("°C", 1.0),
    "℃": ("°C", 1.0),
    **{unit.lower(): (unit, 1.0) for unit in ("W", "Wh", "V", "A", "Ah", "Hz", "%", "°C", "var", "VA", "s", "ms")},
}
_PART = re.compile(r"^(\w+)(?: (enable|timer))?$")


class Numbering(StrEnum):
    """How a list counts: as sent on the wire, from one, or with the table as first digit (40001)."""

    WIRE = "wire"
    ONE_BASED = "one-based"
    MODICON = "modicon"


@dataclass(frozen=True, kw_only=True)
class Move:
    """A register by which a lever is moved.

    Args:
        part: Empty for the value itself, ``enable`` or ``timer`` for what goes with it.
        silence: What the device does without a word from us: ``keeps``, or the seconds until it lets go.
    """

    lever: Lever
    point: str
    part: str
    silence: str


@dataclass(kw_only=True)
class RegisterList:
    """What a list says: points and write rules as the profile writes them, and the registers that move levers."""

    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: dict[str, dict[str, Any]] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)


def read_list(text: str, *, kinds: Collection[Kind], numbering: Numbering = Numbering.WIRE) -> RegisterList:
    """Return what a CSV of registers says.

    Raises:
        ConfigError: Lines of it cannot be understood; each is named with what was expected.
    """
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ConfigError("the list holds no line; expected a heading with name, address and type")
    delimiter = max(";\t,", key=lines[0].count)
    rows = list(csv.DictReader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    if len(rows) > ROWS_MAX:
        raise ConfigError(f"the list has {len(rows)} lines, above {ROWS_MAX}; take those that the gateway needs")
    headings = _headings(rows[0].keys() if rows else lines[0].split(delimiter))
    answer, faults = RegisterList(), list[str]()
    for number, raw in enumerate(rows, start=2):
        row = {key: (raw.get(heading) or "").strip() for key, heading in headings.items()}
        try:
            _add(answer, row, kinds=kinds, numbering=numbering)
        except ConfigError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise ConfigError("; ".join(faults))
    if not answer.points:
        raise ConfigError("the list holds a heading and no register")
    return answer


def _headings(found: Collection[str]) -> dict[str, str]:
    """Return the list's own heading of each column that is known."""
    by_text = {text: key for key, texts in _HEADINGS.items() for text in texts}
    headings: dict[str, str] = {}
    for heading in found:
        key = by_text.get(" ".join((heading or "").lower().replace("_", " ").split()))
        if key is not None:
            headings.setdefault(key, heading)
    missing = [key for key in ("name", "address", "type") if key not in headings]
    if missing:
        raise ConfigError(
            f"the heading has no column {', '.join(missing)}; it needs name, address and type, and may have "
            + ", ".join(key for key in _HEADINGS if key not in ("name", "address", "type"))
        )
    return headings


def _add(answer: RegisterList, row: Mapping[str, str], *, kinds: Collection[Kind], numbering: Numbering) -> None:
    name = slug(row["name"])
    if not row["name"]:
        raise ConfigError("the name is missing")
    if name in answer.points:
        raise ConfigError(f"the name {name!r} stands twice")
    point = _place(row, numbering) | _shape(row)
    unit, per_unit = _unit(row.get("unit", ""))
    scale = float(f"{_scale(row) * per_unit:.12g}")
    access = _known("access", row.get("access", ""), _ACCESS, default="r", squeeze=True)
    canonical = row.get("canonical", "")
    if not canonical:
        canonical = _free(answer, canonical_name(row["name"], unit=unit, kinds=kinds, writable=access != "r"), name)
        answer.guessed.append(name)
    spec: dict[str, Any] = {"canonical": canonical, **point}
    if scale != 1:
        spec["scale"] = int(scale) if scale == int(scale) else scale
    if unit:
        spec["unit"] = unit
    sign = row.get("sign", "") or ("unconfirmed" if TWO_WAY.match(canonical) else "")
    if sign:
        spec["sign"] = _known("sign", sign, {one.value: one.value for one in Sign}, default="")
    if access != "r":
        spec["access"] = access
        answer.writes[name] = _rule(row, DataType(spec["type"]))
    if row.get("evidence", "") not in ("2", "two", Evidence.TWO_SOURCES.value):
        spec["evidence"] = Evidence.ONE_SOURCE.value
    if row.get("note"):
        spec["note"] = row["note"]
    answer.points[name] = spec
    if row.get("lever"):
        answer.moves.append(_move(row, name, writable=access != "r"))


def _place(row: Mapping[str, str], numbering: Numbering) -> dict[str, Any]:
    text = row["address"].lower().replace(" ", "")
    number = _number(text)
    table = _known("table", row.get("table", ""), _OF_TABLE, default=None)
    if numbering is Numbering.MODICON:
        tables = {0: Table.COIL, 1: Table.DISCRETE, 3: Table.INPUT, 4: Table.HOLDING}
        per_table = 100_000 if number >= 100_000 or len(text) == 6 else 10_000
        table, number = tables.get(number // per_table), number % per_table - 1
        if table is None:
            raise ConfigError(f"address {row['address']} begins with no table: 0 coil, 1 discrete, 3 input, 4 holding")
    elif numbering is Numbering.ONE_BASED:
        number -= 1
    if not 0 <= number <= 0xFFFF:
        raise ConfigError(f"address {row['address']} is {number} on the wire, not 0 to 65535")
    return {"address": number, **({} if table is None else {"table": table.value})}


def _number(text: str) -> int:
    """Return an address as vendors print it: 100, 0x64 or 64h."""
    try:
        return int(text.removesuffix("h"), 16) if text.startswith("0x") or text.endswith("h") else int(text)
    except ValueError:
        raise ConfigError(f"address {text!r} is no number; expected 100, 0x64 or 64h") from None


def _shape(row: Mapping[str, str]) -> dict[str, Any]:
    text = re.sub(r"[\s_\-()]", "", row["type"].lower())
    in_type = next((end for end in _ORDER_ENDS if text not in _OF_TYPE and text.endswith(end)), "")
    text = text.removesuffix(in_type)
    if text not in _OF_TYPE:
        raise ConfigError(f"type {row['type']!r} is none of {', '.join(DataType)}")
    data_type = _OF_TYPE[text]
    shape: dict[str, Any] = {"type": data_type.value}
    order = _known("order", row.get("order", ""), _OF_ORDER, default=_ORDER_ENDS.get(in_type))
    if order is not None:
        shape["word_order"] = order.value
    count = row.get("count", "")
    if count and not count.isdigit():
        raise ConfigError(f"count {count!r} is no number of registers")
    if data_type is DataType.STRING:
        if not count:
            raise ConfigError("a string needs a count of registers")
        shape["count"] = int(count)
    elif count and int(count) != COUNT.get(data_type, int(count)):
        raise ConfigError(f"count {count} does not fit {data_type}, which takes {COUNT[data_type]}")
    return shape


def _unit(text: str) -> tuple[str, float]:
    """Return our unit, and how many of it one of the vendor's is."""
    return _UNITS.get(text.lower(), (text, 1.0)) if text not in ("-", "/", "1") else ("", 1.0)


def _scale(row: Mapping[str, str]) -> float:
    scale, gain = row.get("scale", ""), row.get("gain", "")
    try:
        answer = (float(scale) if scale else 1.0) / (float(gain) if gain else 1.0)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"scale {scale or gain!r} is no number; 0.1 as scale is 10 as gain") from None
    if not answer:
        raise ConfigError("scale is 0, which loses the value")
    return answer


def _rule(row: Mapping[str, str], data_type: DataType) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    for bound in ("min", "max"):
        if text := row.get(bound, ""):
            try:
                rule[bound] = float(text)
            except ValueError:
                raise ConfigError(f"{bound} {text!r} is no number") from None
    if data_type not in (DataType.BOOL, DataType.STRING) and len(rule) < 2:
        raise ConfigError("a register that is written needs min and max, as the device means them")
    storage = _known("storage", row.get("storage", ""), {one.value: one.value for one in Storage}, default="unknown")
    return {**rule, "storage": storage}


def _move(row: Mapping[str, str], name: str, *, writable: bool) -> Move:
    said = _PART.match(" ".join(row["lever"].lower().split()))
    levers = {lever.value: lever for lever in Lever if lever is not Lever.SG_READY}
    if said is None or said[1] not in levers:
        raise ConfigError(f"lever {row['lever']!r} is none of {', '.join(levers)}, with enable or timer behind it")
    if not writable:
        raise ConfigError(f"lever {said[1]} needs access rw")
    silence = row.get("silence", "").lower() or "keeps"
    if silence != "keeps" and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", silence):
        raise ConfigError(f"silence {silence!r} is neither keeps nor the seconds until the device lets go")
    return Move(lever=levers[said[1]], point=name, part=said[2] or "", silence=silence)


def _free(answer: RegisterList, canonical: str, name: str) -> str:
    """Return a guessed name, or one of the register's own where another register has the guess already."""
    taken = {spec["canonical"] for spec in answer.points.values()}
    if canonical not in taken:
        return canonical
    end = canonical.rpartition("_")[2]
    own = name if name.endswith(f"_{end}") else f"{name}_{end}"
    return own if own not in taken else canonical


def _known(column: str, text: str, values: Mapping[str, Any], *, default: Any, squeeze: bool = False) -> Any:
    """Return what a word of a column stands for.

    Raises:
        ConfigError: It is none of the words that are known.
    """
    key = " ".join(text.lower().replace("_", " ").split()) if column != "sign" else text.lower()
    if squeeze:
        key = key.replace("/", "")
    if not key:
        return default
    if key not in values:
        raise ConfigError(f"{column} {text!r} is none of {', '.join(map(str, dict.fromkeys(values)))}")
    return values[key]
