"""What a register map says about one value, and what a link to a device can bear.

Everything here is data without behaviour: the planner, the codec and the poller read it, profiles write it.
Conventions: addresses are zero-based as sent on the wire; a value is ``(raw + offset) * scale``, with a scale register
times ``10 ** factor``; bytes inside a word are big-endian; strings hold two characters a word, the first one
high unless ``low_first``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum

from contracts.quality import Quality

REGISTERS_PER_READ_MAX = 125  # Source: Modbus application protocol 1.1b3, 6.3.
BITS_PER_READ_MAX = 2000  # Source: Modbus application protocol 1.1b3, 6.1.
REGISTERS_PER_WRITE_MAX = 123  # Source: Modbus application protocol 1.1b3, 6.12.


class Table(StrEnum):
    """The four tables of a Modbus device."""

    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"

    @property
    def is_bits(self) -> bool:
        """Return whether an address of this table holds one bit rather than 16."""
        return self in (Table.COIL, Table.DISCRETE)


class WordOrder(StrEnum):
    """Which word of a value lies at its lowest address: the most (big) or the least (little) significant one."""

    BIG = "big"
    LITTLE = "little"


class DataType(StrEnum):
    """How the bits of a value are to be read."""

    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    DECIMAL32 = "decimal32"  # A power of ten (signed) in the high byte, and 24 bits that it multiplies: signed ones,
    UDECIMAL32 = "udecimal32"  # and unsigned ones. Source: Iskra calls them T6 and T5.
    ENUM16 = "enum16"
    ENUM32 = "enum32"
    BITFIELD = "bitfield"
    STRING = "string"
    BOOL = "bool"
    CLOCK = "clock"  # Year, month, day, hour, minute and second of local time.


class Access(StrEnum):
    """What may be done with a point; reading a write-only one gives an exception or garbage."""

    READ = "r"
    READ_WRITE = "rw"
    WRITE = "w"


class PollClass(StrEnum):
    """How soon a value grows old. Source of the periods: the pace of the peers, see ``PERIOD_S``."""

    CONTROL = "control"
    LIVE = "live"
    COUNTER = "counter"
    NAMEPLATE = "nameplate"


PERIOD_S: Mapping[PollClass, float] = {
    PollClass.CONTROL: 1.0,
    PollClass.LIVE: 5.0,
    PollClass.COUNTER: 10.0,
    PollClass.NAMEPLATE: 6 * 3600.0,
}


class Priority(IntEnum):
    """Who goes first on a shared bus; the lower number wins."""

    WRITE = 0
    CONTROL = 1
    LIVE = 2
    COUNTER = 3
    BACKGROUND = 4


PRIORITY: Mapping[PollClass, Priority] = {
    PollClass.CONTROL: Priority.CONTROL,
    PollClass.LIVE: Priority.LIVE,
    PollClass.COUNTER: Priority.COUNTER,
    PollClass.NAMEPLATE: Priority.BACKGROUND,
}


@dataclass(frozen=True, kw_only=True)
class SignFrom:
    """A sign that lives in another register of the same table: which bits mean plus, which mean minus."""

    address: int
    positive_mask: int
    negative_mask: int


@dataclass(frozen=True, kw_only=True)
class RegisterPoint:
    """One value of a device.

    Args:
        count: Registers, bits in a bit table.
        scale: Factor after the offset, in the unit of the value per raw step. Not zero.
        scale_register: Address of a scale factor (int16 power of ten) in the same table, as SunSpec has them.
        sentinels: Full-width raw values that mean "no value", most significant word first.
        low_first: The first of the two characters of a word of a text lies in its low byte.
        accumulator: Zero means "not accumulated" (SunSpec acc types).
        parts: Addresses of all words of a value that is not adjacent, most significant first; ``data_type`` then
            describes the word at ``address`` alone, which is used where the other words do not exist.
        sign_from: The register is a magnitude whose sign lives elsewhere.
        enum: Names of the values of an enumeration; writing accepts these only.
        bits: Names of the bits of a bit field, by bit number.
        write_address: Where the value is written, when not where it is read.
        write_function: 5, 6, 15 or 16 where the device insists on one.
        value_min: Least value that may be written, in the unit of the value; None where the type is the bound.
        value_max: Greatest value that may be written.
        step: Values written must be a multiple of it.
    """

    name: str
    table: Table = Table.HOLDING
    address: int
    count: int = 1
    data_type: DataType = DataType.UINT16
    word_order: WordOrder = WordOrder.BIG
    scale: float = 1
    offset: float = 0
    scale_register: int | None = None
    sentinels: tuple[int, ...] = ()
    accumulator: bool = False
    low_first: bool = False
    parts: tuple[int, ...] = ()
    sign_from: SignFrom | None = None
    enum: Mapping[int, str] = field(default_factory=dict, hash=False)
    bits: Mapping[int, str] = field(default_factory=dict, hash=False)
    access: Access = Access.READ
    write_address: int | None = None
    write_function: int | None = None
    value_min: float | None = None
    value_max: float | None = None
    step: float | None = None
    poll_class: PollClass = PollClass.LIVE

    def moved(self, distance: int) -> "RegisterPoint":
        """Return the point with every address moved, as where a SunSpec model starts elsewhere."""
        return replace(
            self,
            address=self.address + distance,
            scale_register=None if self.scale_register is None else self.scale_register + distance,
            parts=tuple(address + distance for address in self.parts),
            sign_from=self.sign_from and replace(self.sign_from, address=self.sign_from.address + distance),
            write_address=None if self.write_address is None else self.write_address + distance,
        )

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Return the half-open address ranges that must be read to know the value."""
        spans = [(self.address, self.address + self.count)]
        spans += [(address, address + 1) for address in self.parts if address != self.address]
        if self.scale_register is not None:
            spans.append((self.scale_register, self.scale_register + 1))
        if self.sign_from is not None:
            spans.append((self.sign_from.address, self.sign_from.address + 1))
        return tuple(spans)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Addresses ``[start, end)`` of one table."""

    table: Table
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class LinkLimits:
    """What a device, and the way to it, can bear.

    Args:
        max_gap_registers: Longest run of unused registers that a request may bridge; None leaves it to the cost.
        barriers: Addresses of each table that no request may cross: a request ends before or starts at one.
        forbidden: Ranges that no request may touch.
        min_gap_s: Silence between a reply and the next request to the device; None is the line's own silence.
        delay_on_unit_switch_s: Silence before a request to another unit than the last one.
        delay_after_write_s: Silence between a write and whatever follows it.
        timeout_s_min: Floor of the response timeout; None where the engine's own floor will do.
        max_clients: How many connections the device takes; None where unknown. The engine opens one.
        wake_up: Whether the device sleeps between requests, and the first of two only wakes it.
    """

    max_registers: int = 120
    max_bits: int = BITS_PER_READ_MAX
    max_gap_registers: int | None = None
    barriers: Mapping[Table, tuple[int, ...]] = field(default_factory=dict, hash=False)
    forbidden: tuple[Range, ...] = ()
    min_gap_s: float | None = None
    delay_after_connect_s: float = 0.0
    delay_on_unit_switch_s: float | None = None
    delay_after_write_s: float = 0.1
    timeout_s_min: float | None = None
    max_clients: int | None = None
    wake_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value with what is known about it.

    Args:
        value: None where there is no value; the name of an enumeration's value where the map knows it.
        source_at: When the reply arrived.
        raw: The integer before offset and scale (the bits of a float, the text of a string); None when absent.
        monotonic_s: When the reply arrived on the site's monotonic clock, for age.
    """

    value: float | int | str | bool | None
    quality: Quality
    source_at: datetime | None = None
    raw: int | str | None = None
    monotonic_s: float = 0.0
