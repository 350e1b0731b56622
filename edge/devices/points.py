"""How a profile writes down what can be read and written: one entry a point, only what differs from the defaults.

Values are the device's own: its sign, its unit after scaling to SI. What a point means to us is its ``canonical`` name
(the unit ends it) and its ``sign``; ``canonical.py`` turns one into the other.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from edge.devices.condition import ShortCondition
from edge.devices.section import Section
from edge.modbus.point import Access, DataType, PollClass, Table, WordOrder

ADDRESS_MAX = 0xFFFF
CANONICAL = r"^[a-z][a-z0-9_]*$"

COUNT: dict[DataType, int] = {
    DataType.UINT16: 1,
    DataType.INT16: 1,
    DataType.ENUM16: 1,
    DataType.BITFIELD: 1,
    DataType.BOOL: 1,
    DataType.UINT32: 2,
    DataType.INT32: 2,
    DataType.FLOAT32: 2,
    DataType.DECIMAL32: 2,
    DataType.UDECIMAL32: 2,
    DataType.ENUM32: 2,
    DataType.UINT64: 4,
    DataType.INT64: 4,
    DataType.FLOAT64: 4,
    DataType.CLOCK: 6,
}
ONLY_READ = (DataType.CLOCK, DataType.DECIMAL32, DataType.UDECIMAL32)
CLOCK_COUNTS = (6, 3)  # One register a part from the year down, or two parts a register.


class Kind(StrEnum):
    """What a device, or a point of a device that is several things, stands for."""

    INVERTER = "inverter"
    BATTERY = "battery"
    METER = "meter"
    CHARGER = "charger"
    HEAT_PUMP = "heat_pump"
    RELAY = "relay"
    CONTROLLER = "controller"


class Sign(StrEnum):
    """Which way the device counts what flows.

    ``into_asset`` is our own: import and charging positive. ``out_of_asset`` counts generation, discharging or export
    positive and is turned. ``unconfirmed`` is kept as it is and said to be so.
    """

    NONE = "none"
    INTO_ASSET = "into_asset"
    OUT_OF_ASSET = "out_of_asset"
    UNCONFIRMED = "unconfirmed"


class Evidence(StrEnum):
    """How many public sources of different origin agree."""

    TWO_SOURCES = "two_sources"
    ONE_SOURCE = "one_source"


class SignBits(Section):
    """A magnitude's sign, in the bits of another register of the same table."""

    address: int = Field(ge=0, le=ADDRESS_MAX)
    positive_bit: int = Field(ge=0, le=15)
    negative_bit: int = Field(ge=0, le=15)


class Rescale(Section):
    """Magnitudes above ``value`` are of firmware that counts in smaller steps; they are multiplied by ``factor``."""

    value: float = Field(gt=0)
    factor: float = Field(gt=0, lt=1)


class Counter(Section):
    """How an energy counter behaves where it does not simply rise.

    Args:
        wraps_at_wh: It begins at zero again when it has counted so much.
        counts_down: It begins at ``wraps_at_wh`` and falls.
        zero_is_no_value: It reads zero while the device wakes up.
    """

    wraps_at_wh: float | None = Field(default=None, gt=0)
    counts_down: bool = False
    zero_is_no_value: bool = False

    @model_validator(mode="after")
    def _falls_from_somewhere(self) -> "Counter":
        if self.counts_down and self.wraps_at_wh is None:
            raise ValueError("counts_down needs wraps_at_wh, from where it falls")
        return self


def one_or_more(value: object) -> object:
    """Return a single value as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


Sentinels = Annotated[tuple[int, ...], BeforeValidator(one_or_more)]


class PointSpec(Section):
    """One value of the device.

    A point lies at ``address``, or in a SunSpec ``model`` at the offset ``at`` from the model's id. Its scale factor, a
    power of ten, lies at ``scale_at``: an address of the same table, or an offset in the same model. ``parts`` are the
    addresses of a value that is not adjacent, most significant word first. ``type`` and ``count`` say what the bits
    are, ``(raw + offset) * scale`` what they are worth. ``when`` says by what other points read that the device has it:
    of several firmwares, or of several models by their code. ``low_first``: the first of the two characters in a
    register of a text lies in its low byte.
    """

    canonical: str = Field(pattern=CANONICAL)
    type: DataType = DataType.UINT16
    table: Table | None = None
    address: int | None = Field(default=None, ge=0, le=ADDRESS_MAX)
    model: int | None = Field(default=None, ge=1, le=0xFFFE)
    at: int | None = Field(default=None, ge=0, le=ADDRESS_MAX)
    instance: int = Field(default=1, ge=1)
    count: int | None = Field(default=None, ge=1, le=125)
    word_order: WordOrder | None = None
    scale: float = 1
    offset: float = 0
    scale_at: int | None = Field(default=None, ge=0, le=ADDRESS_MAX)
    scale_factor: bool = False
    sentinels: Sentinels | None = None
    accumulator: bool = False
    low_first: bool = False
    parts: tuple[int, ...] = ()
    sign_bits: SignBits | None = None
    enum: dict[int, str] = Field(default_factory=dict)
    bits: dict[int, str] = Field(default_factory=dict)
    unit: str = ""
    sign: Sign = Sign.NONE
    absolute: bool = False
    rescale: Rescale | None = None
    no_value_means: float | None = None
    access: Access = Access.READ
    write_address: int | None = Field(default=None, ge=0, le=ADDRESS_MAX)
    write_function: int | None = None
    poll: PollClass | None = None
    when: dict[str, ShortCondition] = Field(default_factory=dict)
    counter: Counter | None = None
    kind: Kind | None = None
    evidence: Evidence = Evidence.TWO_SOURCES
    note: str | None = None

    @model_validator(mode="after")
    def _lies_somewhere(self) -> "PointSpec":
        if (self.address is None) == (self.model is None):
            raise ValueError("needs either an address or a SunSpec model")
        if (self.model is None) != (self.at is None):
            raise ValueError("needs model and at together")
        if self.scale == 0:
            raise ValueError("has scale 0, which loses the value")
        if self.type is DataType.STRING and self.count is None:
            raise ValueError("is a string and needs a count of registers")
        if self.low_first and self.type is not DataType.STRING:
            raise ValueError("has low_first, which only a string can have")
        expected = COUNT.get(self.type)
        wide = self.type is DataType.BITFIELD and self.count in (1, 2, 4)
        wide = wide or (self.type is DataType.CLOCK and self.count in CLOCK_COUNTS)
        if self.count is not None and expected is not None and self.count != expected and not wide:
            raise ValueError(f"has count {self.count}, a {self.type} takes {expected}")
        if self.type in ONLY_READ and self.is_writable:
            raise ValueError(f"is a {self.type}, which is only read")
        if self.write_function not in (None, 5, 6, 15, 16):
            raise ValueError(f"has write_function {self.write_function}, not 5, 6, 15 or 16")
        return self

    @property
    def registers(self) -> int:
        """Return how many registers (bits in a bit table) the value takes."""
        return self.count if self.count is not None else COUNT[self.type]

    @property
    def is_writable(self) -> bool:
        """Return whether the map allows writing at all."""
        return self.access is not Access.READ or self.write_address is not None


class DerivedSpec(Section):
    """A value that no register holds: the sum of some points less the sum of others, in the device's own sign.

    Args:
        without_models: SunSpec models of devices that the sum is not for.
        some_parts: Whether parts that say that they have no value count nothing, as long as another has one.
    """

    canonical: str = Field(pattern=CANONICAL)
    plus: tuple[str, ...] = Field(min_length=1)
    minus: tuple[str, ...] = ()
    unit: str = ""
    sign: Sign = Sign.NONE
    absolute: bool = False
    rescale: Rescale | None = None
    no_value_means: float | None = None
    without_models: tuple[int, ...] = ()
    some_parts: bool = False
    kind: Kind | None = None
    note: str | None = None
