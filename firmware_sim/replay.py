"""A device out of a dump file: what was read from a real one is served again.

The file is JSON: one object with the tables, ``{"holding": {"40083": 14152}, "input": {}, "coil": {}, "discrete":
{}}``, or ``{"frames": [...]}``, or one such object a line. A frame may carry its instant as ``at`` (epoch milliseconds
or ISO 8601) or ``at_s`` (seconds); frames without one follow each other every second. A frame only names what it has;
registers keep their last value. After the last frame the replay begins anew.
"""

import json
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.clock import Clock
from contracts.reasons import reason_of
from firmware_sim.bank import NoBits, Table
from firmware_sim.errors import ExceptionCode, ModbusRefused, PlantError

_FRAME_S = 1.0
_WORD_MAX = 0xFFFF
_ADDRESS_MAX = 0xFFFF


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The registers and bits of one instant, whole: what earlier frames said is carried over."""

    at_s: float
    tables: dict[Table, dict[int, int]]


class ReplayBank(NoBits):
    """A device that says what the dump says at this point of its time. It takes no orders."""

    def __init__(self, frames: tuple[Frame, ...], clock: Clock) -> None:
        """Begin with the first frame now."""
        self._frames = frames
        self._clock = clock
        self._started_s = clock.monotonic()
        self._starts_s = [frame.at_s - frames[0].at_s for frame in frames]
        step_s = (self._starts_s[-1] / (len(frames) - 1) if len(frames) > 1 else 0.0) or _FRAME_S
        self._period_s = self._starts_s[-1] + step_s

    def read_registers(self, table: Table, address: int, count: int) -> bytes:
        """Return registers that are in the dump; any other is refused as the device would an address it has not."""
        return b"".join(value.to_bytes(2, "big") for value in self._values(table, address, count))

    def read_bits(self, table: Table, address: int, count: int) -> list[bool]:
        """Return coils or discrete inputs that are in the dump."""
        return [bool(value) for value in self._values(table, address, count)]

    def write_registers(self, address: int, data: bytes) -> None:
        """Refuse: the past does not change."""
        raise ModbusRefused(ExceptionCode.ILLEGAL_FUNCTION)

    def reset(self) -> None:
        """Begin anew."""
        self._started_s = self._clock.monotonic()

    def _values(self, table: Table, address: int, count: int) -> list[int]:
        since_s = (self._clock.monotonic() - self._started_s) % self._period_s
        values = self._frames[bisect_right(self._starts_s, since_s) - 1].tables[table]
        try:
            return [values[one] for one in range(address, address + count)]
        except KeyError:
            raise ModbusRefused(ExceptionCode.ILLEGAL_DATA_ADDRESS) from None


def load_dump(path: Path) -> tuple[Frame, ...]:
    """Read a dump file.

    Raises:
        PlantError: The file cannot be read, holds no registers, or a number does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlantError(f"dump {path} cannot be read: {reason_of(error)}") from error
    try:
        raw = _objects(text)
    except ValueError as error:
        raise PlantError(f"dump {path} is not JSON: {error}") from error
    frames: list[Frame] = []
    for number, one in enumerate(raw):
        if not isinstance(one, dict):
            raise PlantError(f"dump {path}: frame {number} is no object but {type(one).__name__}")
        previous = frames[-1] if frames else None
        at_s = _at_s(one, f"dump {path}: frame {number}")
        if at_s is None:
            at_s = previous.at_s + _FRAME_S if previous else 0.0
        if previous is not None and at_s <= previous.at_s:
            raise PlantError(f"dump {path}: frame {number} is not later than the one before it")
        frames.append(Frame(at_s=at_s, tables=_tables(one, previous, f"dump {path}: frame {number}")))
    if not frames or not any(frames[-1].tables.values()):
        raise PlantError(f"dump {path} holds no registers; nothing to serve")
    return tuple(frames)


def _objects(text: str) -> list[Any]:
    """Return the frames of a file in any of its three forms."""
    try:
        whole = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict) and isinstance(whole.get("frames"), list):
        return list(whole["frames"])
    return whole if isinstance(whole, list) else [whole]


def _at_s(frame: dict[str, Any], where: str) -> float | None:
    at = frame.get("at", frame.get("at_s"))
    if at is None:
        return None
    if isinstance(at, str):
        try:
            return datetime.fromisoformat(at).timestamp()
        except ValueError as error:
            raise PlantError(f"{where}: at {at!r} is no instant") from error
    if isinstance(at, bool) or not isinstance(at, int | float):
        raise PlantError(f"{where}: at {at!r} is no instant")
    return at / 1000 if "at" in frame else float(at)


def _tables(frame: dict[str, Any], previous: Frame | None, where: str) -> dict[Table, dict[int, int]]:
    tables = {}
    for table in Table:
        said = frame.get(table.value) or {}
        if not isinstance(said, dict):
            raise PlantError(f"{where}: {table} is no object of addresses but {type(said).__name__}")
        values = dict(previous.tables[table]) if previous else {}
        for address, value in said.items():
            number, word = _number(address), _number(value)
            if number is None or not 0 <= number <= _ADDRESS_MAX or word is None or not 0 <= word <= _WORD_MAX:
                raise PlantError(f"{where}: {table} {address}: {value!r}; an address and a value are 0 to {_WORD_MAX}")
            values[number] = word
        tables[table] = values
    return tables


def _number(value: Any) -> int | None:
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            return None
    return None
