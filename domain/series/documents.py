"""Exports that are no tables: JSON of price and meter services, Green Button XML, NEM12, DSMR telegrams."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

from domain.series.answers import known_answer
from domain.series.answers import text as _text
from domain.series.entsoe import PRICES, REFUSAL, entsoe_prices
from domain.series.errors import SeriesError
from domain.series.table import Table
from domain.series.times import looks_like_time
from domain.series.xml_text import local_name as _local
from domain.series.xml_text import root_of

_FORMS = (
    ("deliveryStart", "Nord Pool"),
    ("last_changed", "Home Assistant history"),
)
_ENDS = ("end", "to", "valid_to", "until")


def read_document(text: str) -> Table | None:
    """Return the table of a file that is none, or ``None`` where it is a table.

    Raises:
        SeriesError: It is of a known kind and broken.
    """
    head = text.lstrip()[:200]
    if head.startswith(("{", "[")):
        return _json(text)
    if head.startswith("<"):
        root = root_of(text)
        return entsoe_prices(root) if _local(root) in {PRICES, REFUSAL} else _green_button_xml(root)
    if re.match(r"100,NEM1[23]", head):
        return _nem12(text)
    if re.match(r"/\w{3}\d", head) and "1-0:" in text:
        return _telegrams(text)
    return None


def _json(text: str) -> Table:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SeriesError(f"it begins like JSON and is none, perhaps cut short: {str(error)[:100]}") from error
    known = known_answer(data)
    if known is not None:
        return known
    unit = next((value for key, value in _pairs(data) if key.lower() in {"unit", "unit_of_measurement"}), "")
    records: Sequence[Mapping[str, Any]] = max(_lists(data), key=len, default=[])
    if not records:
        raise SeriesError("its JSON holds no list of records with a time")
    names = list(dict.fromkeys(name for record in records for name in record))
    time = next((name for name in names if not _is_end(name) and looks_like_time(str(records[0].get(name, "")))), None)
    if time is None:
        raise SeriesError(f"none of {', '.join(names[:12])} of its records is a time")
    values = [name for name in names if name != time and _numeric(records, name)]
    form = next((form for key, form in _FORMS if key in names), "JSON")
    units = {"price": unit, "value": unit, "state": unit}
    return Table(
        header=(time, *values),
        rows=tuple(tuple(_text(record.get(name)) for name in (time, *values)) for record in records),
        lines=tuple(range(1, len(records) + 1)),
        form=form,
        time=time,
        units=tuple((name, value.replace(" ", "")) for name, value in units.items() if name in values and value),
    )


def _is_end(name: str) -> bool:
    return name.lower().startswith(("end", "deliveryend")) or name.lower() in _ENDS


def _numeric(records: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [record.get(name) for record in records[:50]]
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values) or (
        name in {"state", "value", "mean", "sum", "change"} and any(isinstance(value, str) for value in values)
    )


def _pairs(data: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > 12:
        return
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, str):
                yield key, value
            else:
                yield from _pairs(value, depth + 1)
    elif isinstance(data, list):
        for value in data[:3]:
            yield from _pairs(value, depth + 1)


def _lists(data: Any, depth: int = 0) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Return every list of records; equally long lists of plain values side by side are one."""
    if depth > 12:
        return
    if isinstance(data, list):
        records = [value for value in data if isinstance(value, dict)]
        if records and any(looks_like_time(str(value)) for value in records[0].values()):
            yield records
        for value in data:
            yield from _lists(value, depth + 1)
    elif isinstance(data, dict):
        lists = {
            key: value
            for key, value in data.items()
            if isinstance(value, list) and value and not isinstance(value[0], dict | list)
        }
        longest = max((len(value) for value in lists.values()), default=0)
        columns = {key: value for key, value in lists.items() if len(value) == longest}
        if len(columns) > 1 and longest:
            yield [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for value in data.values():
            yield from _lists(value, depth + 1)


_UOM = {
    5: "A", 29: "V", 33: "Hz", 38: "W", 42: "m³", 61: "VA", 63: "var", 71: "VAh", 72: "Wh", 73: "varh", 119: "ft³",
    128: "gallons", 132: "BTU", 169: "therms",
}  # fmt: skip


def _green_button_xml(root: Element) -> Table:
    """Read ESPI interval readings: start in epoch seconds, value with a power of ten, the flow's direction.

    Source: NAESB REQ.21 ESPI, UomType: 72 is Wh, 38 is W, 42 is m³; flow direction 19 is from the customer to the grid.
    """
    types = [node for node in root.iter() if _local(node) == "ReadingType"]
    rows: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    blocks = [node for node in root.iter() if _local(node) == "IntervalBlock"]
    for index, block in enumerate(blocks):
        kind = (
            types[min(index, len(types) - 1)] if types and len(types) == len(blocks) else (types[0] if types else None)
        )
        power = _number(kind, "powerOfTenMultiplier", 0)
        name = "returned" if _number(kind, "flowDirection", 1) == 19 else "delivered"
        code = _number(kind, "uom", 72)
        unit = _UOM.get(code, f"uom {code}")
        # Gas and power may stand in one file.
        name = name if unit in {"W", "Wh"} else f"{name} {unit}"
        names[name] = unit
        for reading in (node for node in block.iter() if _local(node) == "IntervalReading"):
            start = _child(reading, "start")
            value = next((node.text for node in reading if _local(node) == "value"), None)
            if start and value and re.fullmatch(r"-?\d{1,18}", value.strip()):
                rows.setdefault(start.strip(), {})[name] = f"{int(value) * 10.0**power:.6f}"
    if not rows:
        raise SeriesError("its XML holds no IntervalReading; it is no Green Button file")
    return Table(
        header=("time", *names),
        rows=tuple((at, *(values.get(name, "") for name in names)) for at, values in rows.items()),
        lines=tuple(range(1, len(rows) + 1)),
        form="Green Button",
        time="time",
        units=tuple(names.items()),
    )


def _child(node: Element | None, name: str) -> str | None:
    return next((child.text for child in node.iter() if _local(child) == name), None) if node is not None else None


def _number(node: Element | None, name: str, default: int) -> int:
    text = (_child(node, name) or "").strip()
    value = int(text) if re.fullmatch(r"-?\d{1,4}", text) else default
    return max(-12, min(12, value)) if name == "powerOfTenMultiplier" else value


def _nem12(text: str) -> Table:
    """Read days of interval values in AEST. Source: AEMO Meter Data File Format NEM12 and NEM13, version 2.6."""
    rows: dict[datetime, dict[str, str]] = {}
    units: dict[str, str] = {}
    register, minutes = "", 30
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if cells[0] == "200" and len(cells) > 8:
            register, minutes = cells[4] or cells[3], int(cells[8]) if cells[8] in {"5", "15", "30"} else 0
            if not minutes:
                raise SeriesError(f"line {number} has intervals of {cells[8]!r} minutes, none of 5, 15, 30")
            units[register] = _wh(cells[7])
        elif cells[0] == "300" and register:
            count = 1440 // minutes
            if len(cells) < 2 + count or not re.fullmatch(r"\d{8}", cells[1]):
                raise SeriesError(f"line {number} has {len(cells) - 2} values, fewer than {count}")
            try:
                day = datetime.strptime(cells[1], "%Y%m%d")  # noqa: DTZ007 - AEST, as the table says
            except ValueError as error:
                raise SeriesError(f"line {number}: {cells[1]} is no day") from error
            for index in range(count):
                rows.setdefault(day + timedelta(minutes=index * minutes), {})[register] = cells[2 + index]
    if not rows:
        raise SeriesError("it is NEM12 without a 300 record")
    return Table(
        header=("time", *units),
        rows=tuple(
            (at.isoformat(sep=" "), *(values.get(name, "") for name in units)) for at, values in sorted(rows.items())
        ),
        lines=tuple(range(1, len(rows) + 1)),
        form="NEM12",
        zone="Australia/Brisbane",
        time="time",
        units=tuple(units.items()),
    )


def _wh(unit: str) -> str:
    return {"KWH": "kWh", "WH": "Wh", "MWH": "MWh", "KW": "kW", "W": "W"}.get(unit.upper(), unit)


_OBIS = {
    "1-0:1.8.1": "delivered", "1-0:1.8.2": "delivered", "1-0:1.8.0": "delivered", "1-0:2.8.1": "returned",
    "1-0:2.8.2": "returned", "1-0:2.8.0": "returned", "1-0:1.7.0": "power", "1-0:2.7.0": "power returned",
}  # fmt: skip


def _telegrams(text: str) -> Table:
    """Read P1 telegrams, one after another. Source: DSMR 5.0.2 P1 companion standard."""
    rows: list[tuple[str, ...]] = []
    names = ("power", "power returned", "delivered", "returned")
    for telegram in re.split(r"(?m)^/", text)[1:]:
        stamp = re.search(r"0-0:1\.0\.0\((\d{12})([SW])\)", telegram)
        if stamp is None:
            continue
        day, offset = stamp[1], "+02:00" if stamp[2] == "S" else "+01:00"
        at = f"20{day[:2]}-{day[2:4]}-{day[4:6]}T{day[6:8]}:{day[8:10]}:{day[10:12]}{offset}"
        found: dict[str, float] = {}
        for code, value in re.findall(r"(1-0:[12]\.[78]\.[012])\((\d{1,9}\.?\d{0,6})\*kWh?\)", telegram):
            found[_OBIS[code]] = found.get(_OBIS[code], 0.0) + float(value) if code in _OBIS else 0.0
        rows.append((at, *(f"{found[name]:.3f}" if name in found else "" for name in names)))
    if not rows:
        raise SeriesError("its telegrams have no time (0-0:1.0.0)")
    return Table(
        header=("time", *names),
        rows=tuple(rows),
        lines=tuple(range(1, len(rows) + 1)),
        form="DSMR telegrams",
        time="time",
        units=(("power", "kW"), ("power returned", "kW"), ("delivered", "kWh"), ("returned", "kWh")),
        counters=("delivered", "returned"),
    )
