"""What registers of an unknown device could mean, by their values alone. Pure.

A voltage and a frequency of the grid look like nothing else; a number that a person reads from the device's own display
is looked for in every type, order and step. Whatever is found is a guess, and says so.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge.devices.points import COUNT, Sign
from edge.devices.profile_check import TWO_WAY
from edge.devices.profile_check import UNIT_ENDS as _UNIT_ENDS
from edge.devices.register_list import RegisterList
from edge.modbus.point import DataType, Table, WordOrder

VOLTAGE = (207.0, 253.0)  # Source: EN 50160, 230 V within ten percent.
FREQUENCY = (49.5, 50.5)  # Source: EN 50160, 50 Hz within one percent for nearly all of a year.
STEPS = (1.0, 0.1, 0.01, 0.001, 10.0, 100.0)
TEXT_WORDS_MIN = 4
SEEN_SHARE = 0.02  # A display and a register are read one after the other.
_PACKED: Mapping[DataType, tuple[str, int]] = {
    DataType.FLOAT32: (">f", 2),
    DataType.UINT16: (">H", 1),
    DataType.INT16: (">h", 1),
    DataType.UINT32: (">I", 2),
    DataType.INT32: (">i", 2),
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to read a value at an address."""

    table: Table
    address: int
    data_type: DataType
    order: WordOrder
    scale: float
    value: float

    @property
    def words(self) -> int:
        """Return how many registers it takes."""
        return _PACKED[self.data_type][1]


def guess(tables: Mapping[Table, Mapping[int, int]], *, seen: Mapping[str, float]) -> RegisterList:
    """Return the points that the values of registers suggest.

    Args:
        tables: Words by table and address.
        seen: What a person reads from the display now, by canonical name.
    """
    answer = RegisterList()
    taken: set[tuple[Table, int]] = set()
    for canonical, value in seen.items():
        found = next(_near(tables, value, taken), None)
        if found is not None:
            _add(answer, canonical, found, taken)
    for table, words in tables.items():
        _add_texts(answer, table, words, taken)
    for stem, unit, bounds in (("voltage_l{}", "v", VOLTAGE), ("frequency", "hz", FREQUENCY)):
        number = 1
        for found in _within(tables, bounds, taken, coarse=unit == "v"):
            name = f"{stem.format(number)}_{unit}"
            if any((table, at) in taken for table, at in _span(found)) or name in answer.points or number > 3:
                continue
            _add(answer, name, found, taken)
            number += 1
    return answer


def left_over(tables: Mapping[Table, Mapping[int, int]], points: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each register that holds something and that no point reads."""
    read = {
        (Table(spec.get("table", Table.HOLDING)), spec["address"] + offset)
        for spec in points.values()
        for offset in range(spec.get("count") or COUNT[DataType(spec["type"])])
    }
    return [
        f"{table} {at} held {word}"
        for table, words in tables.items()
        for at, word in sorted(words.items())
        if word and (table, at) not in read
    ]


def _add(answer: RegisterList, canonical: str, found: Candidate, taken: set[tuple[Table, int]]) -> None:
    spec: dict[str, Any] = {
        "canonical": canonical,
        "type": found.data_type.value,
        "table": found.table.value,
        "address": found.address,
    }
    if found.words > 1:
        spec["word_order"] = found.order.value
    if found.scale != 1:
        spec["scale"] = found.scale
    spec["unit"] = next((unit for unit, end in _UNIT_ENDS.items() if canonical.endswith(end)), "")
    if TWO_WAY.match(canonical):
        spec["sign"] = Sign.UNCONFIRMED.value
    spec |= {"evidence": "one_source", "note": f"a guess: it read {found.value:g}"}
    answer.points[canonical] = spec
    answer.guessed.append(canonical)
    taken.update(_span(found))


def _add_texts(answer: RegisterList, table: Table, words: Mapping[int, int], taken: set[tuple[Table, int]]) -> None:
    """Add runs of registers that hold printable text."""
    run: list[int] = []
    for at in [*sorted(words), -1]:
        if at >= 0 and _is_text(words[at]) and (not run or at == run[-1] + 1):
            run.append(at)
            continue
        if len(run) >= TEXT_WORDS_MIN:
            text = b"".join(words[one].to_bytes(2, "big") for one in run).decode("ascii").strip("\0 ")
            name = f"text_{table.value}_{run[0]}"
            answer.points[name] = {
                "canonical": "options" if answer.guessed else "model",
                "type": "string",
                "table": table.value,
                "address": run[0],
                "count": len(run),
                "evidence": "one_source",
                "note": f"a guess: it read {text!r}",
            }
            answer.guessed.append(name)
            taken.update((table, one) for one in run)
        run = [at] if at >= 0 and _is_text(words[at]) else []


def _is_text(word: int) -> bool:
    high, low = word >> 8, word & 0xFF
    return 0x20 <= high < 0x7F and (0x20 <= low < 0x7F or low == 0)


def _within(
    tables: Mapping[Table, Mapping[int, int]],
    bounds: tuple[float, float],
    taken: set[tuple[Table, int]],
    *,
    coarse: bool,
) -> Iterator[Candidate]:
    """Yield what could be a quantity with bounds; of whole numbers only those that are fine enough to be measured."""
    steps = (1.0, 0.1, 0.01) if coarse else (0.1, 0.01, 0.001)
    for found in _candidates(tables, steps=steps):
        fine = found.data_type is DataType.FLOAT32 or found.scale < 1
        if bounds[0] <= found.value <= bounds[1] and fine and not taken & set(_span(found)):
            yield found


def _near(
    tables: Mapping[Table, Mapping[int, int]], value: float, taken: set[tuple[Table, int]]
) -> Iterator[Candidate]:
    """Yield where a number lies that somebody saw, the nearest first."""
    room = max(abs(value) * SEEN_SHARE, 0.05)
    near = [
        found
        for found in _candidates(tables, steps=STEPS)
        if abs(found.value - value) <= room and not taken & set(_span(found))
    ]
    # Below zero the wider one: its other word is all ones, which is hardly by chance.
    yield from sorted(
        near, key=lambda one: (abs(one.value - value), -one.words if one.value < 0 else one.words, one.address)
    )


def _candidates(tables: Mapping[Table, Mapping[int, int]], *, steps: tuple[float, ...]) -> Iterator[Candidate]:
    for data_type, (form, count) in _PACKED.items():
        for table, words in tables.items():
            for at in sorted(words):
                for order in (WordOrder.BIG, WordOrder.LITTLE)[: count if count > 1 else 1]:
                    raw = [words.get(at + offset) for offset in range(count)]
                    if None in raw or not any(raw):
                        continue
                    ordered = raw if order is WordOrder.BIG else raw[::-1]
                    number = struct.unpack(form, struct.pack(f">{count}H", *ordered))[0]
                    for scale in (1.0,) if data_type is DataType.FLOAT32 else steps:
                        yield Candidate(
                            table=table,
                            address=at,
                            data_type=data_type,
                            order=order,
                            scale=scale,
                            value=float(f"{number * scale:.9g}"),
                        )


def _span(found: Candidate) -> list[tuple[Table, int]]:
    return [(found.table, found.address + offset) for offset in range(found.words)]
