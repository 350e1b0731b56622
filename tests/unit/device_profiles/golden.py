"""Golden frames of the facts in ``facts/``: what each register of a device would hold, and what that means.

A list of facts was written down from the sources that its head names, before its profile. Here the words are made of
the facts alone, without a line of the engine and without a look at the profile.
"""

import csv
import re
import struct
from pathlib import Path
from typing import Any

SUM = "sum"
FACTS = Path(__file__).with_name("facts")
TEXT = "Ab1-C"
WORDS = (0xC3A5, 0x1B7E, 0x66D2, 0x9F31)  # Negative where signed, large where not, and not itself when turned about.
FLOATS = {"float32": (">f", -1234.5625), "float64": (">d", -98765.4321)}
# A power of ten in the high byte (-3) and 24 bits. Source: the example of Iskra's manual, -123456 times a thousandth.
DECIMALS = {"decimal32": -123.456, "udecimal32": 16653.76}
DECIMAL_WORDS = [0xFDFE, 0x1DC0]
TENS = 2
WIDTH = {
    "uint16": 1,
    "int16": 1,
    "enum16": 1,
    "enum32": 2,
    "bitfield": 1,
    "uint32": 2,
    "int32": 2,
    "uint64": 4,
    "int64": 4,
}


def frames() -> dict[str, dict[str, list[Any]]]:
    """Return by device and point: canonical name, unit, table, words by address, the device's value and ours."""
    return {path.stem: {row["name"]: _frame(row) for row in _rows(path) if row["type"] != SUM} for path in _lists()}


def derived_frames() -> dict[str, dict[str, list[Any]]]:
    """Return the same of what no register holds: the sum of some points, less others."""
    answer = {}
    for path in _lists():
        points = {row["name"]: row for row in _rows(path) if row["type"] != SUM}
        sums = {row["name"]: _sum(row, points) for row in _rows(path) if row["type"] == SUM}
        if sums:
            answer[path.stem] = sums
    return answer


def _lists() -> list[Path]:
    return sorted(FACTS.glob("*.csv"))


def _rows(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def _sum(row: dict[str, str], points: dict[str, dict[str, str]]) -> list[Any]:
    """Return the frame of ``a+b-c``, whose parts lie in one table, each with a value of its own."""
    value, words, table = 0.0, dict[str, int](), ""
    for turn, (sign, name) in enumerate(re.findall(r"(^|[+-])(\w+)", row["address"])):
        _, _, table, own, part, _ = _frame(points[name], turn=turn)
        words |= own
        value += -part if sign == "-" else part
    ours = -value if row["sign"] == "out_of_asset" else value
    return [row["canonical"], row["unit"], table, words, value, ours]


def _frame(row: dict[str, str], *, turn: int = 0) -> list[Any]:
    words, raw = _words(row, turn)
    value: Any = raw if isinstance(raw, str | bool) else raw * float(row["scale"] or 1)
    factor = {}
    if row.get("scale_at"):
        factor, value = {row["scale_at"]: TENS}, value * 10**TENS
    ours = -value if row["sign"] == "out_of_asset" else value
    address = int(row["address"], 0)
    ordered = words[::-1] if row["order"] == "little" else words
    return [
        row["canonical"],
        row["unit"],
        row["table"],
        {str(address + offset): word for offset, word in enumerate(ordered)} | factor,
        value,
        ours,
    ]


def _words(row: dict[str, str], turn: int) -> tuple[list[int], Any]:
    """Return the words of a value, the most significant first, and what they are before the scale.

    Args:
        turn: Which of several values of its type it is.
    """
    kind = row["type"]
    if kind == "bool":
        return [1], True
    if kind == "string":
        raw = TEXT.encode().ljust(2 * int(row["count"]), b"\0")[: 2 * int(row["count"])]
        order = "<" if row["order"] == "low_first" else ">"
        return list(struct.unpack(f"{order}{len(raw) // 2}H", raw)), raw.rstrip(b"\0").decode()
    if kind in DECIMALS:
        return DECIMAL_WORDS, DECIMALS[kind]
    if kind in FLOATS:
        form, number = FLOATS[kind]
        packed = struct.pack(form, number * (1 + turn))
        return list(struct.unpack(f">{len(packed) // 2}H", packed)), struct.unpack(form, packed)[0]
    if row.get("names"):
        code, _, name = row["names"].partition("=")
        return [int(code) >> 16 * place & 0xFFFF for place in reversed(range(WIDTH[kind]))], name
    words = [*WORDS[turn:], *WORDS[:turn]][: WIDTH[kind]]
    number = sum(word << 16 * place for place, word in enumerate(reversed(words)))
    if kind.startswith("int") and words[0] & 0x8000:
        number -= 1 << 16 * len(words)
    return words, number
