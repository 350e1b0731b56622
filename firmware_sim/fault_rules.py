"""What may go wrong on the wire, and when: the format of a faults file."""

from enum import StrEnum
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.reasons import reason_of
from contracts.spelling import first_fault
from firmware_sim.errors import ExceptionCode, PlantError


class FaultKind(StrEnum):
    """One way in which a device, a gateway or a line misbehaves."""

    DELAY = "delay"
    """The answer, and all after it on that connection, come ``delay_s`` later."""
    LATE = "late"
    """The answer comes ``delay_s`` later, overtaken by those after it."""
    DROP = "drop"
    """No answer to this request."""
    HALF_OPEN = "half_open"
    """The connection stays open and never answers again."""
    DUPLICATE = "duplicate"
    """The answer comes twice."""
    TRUNCATE = "truncate"
    """The answer ends in the middle."""
    WRONG_UNIT = "wrong_unit"
    """The answer names another unit."""
    SWAP = "swap"
    """The answer carries the transaction id of the request before."""
    EXCEPTION = "exception"
    """The answer is exception ``code`` instead of data, 6 (busy) by default."""
    SENTINELS = "sentinels"
    """Every point of the answer reads as not implemented."""
    SCALE_FLIP = "scale_flip"
    """The device changes its scale factors by one, values with them, and back the next time."""
    ZEROS = "zeros"
    """Every register of the answer is zero, as of an inverter that boots."""
    REBOOT = "reboot"
    """The device forgets its orders, drops its clients and is silent for ``silent_s`` on the plant's clock."""
    HASTY = "hasty"
    """A request that comes less than ``delay_s`` after the last answer is not heard."""
    HOLE = "hole"
    """Reads that touch ``count`` registers from ``address`` on are refused with exception ``code``, 2 by default."""
    UNIT_REPLY = "unit_reply"
    """The answer names ``as_unit``, whatever unit was asked."""
    ANY_UNIT = "any_unit"
    """Whatever unit is asked, the first one answers."""
    DEAF = "deaf"
    """A request that comes in the first ``delay_s`` (real time) of a connection is not heard."""
    CLOSE_IDLE = "close_idle"
    """A connection on which nothing comes within ``delay_s`` of its opening is closed."""
    CLOSE = "close"
    """The connection is closed after the answer."""
    TOO_LONG = "too_long"
    """Reads of more than ``count`` registers are refused with exception ``code``, 3 by default."""
    VALUES = "values"
    """Registers from ``address`` on read ``values``."""
    ECHO = "echo"
    """The request comes back before the answer, as on a half-duplex line."""
    SHORT = "short"
    """The answer has one register fewer than was asked for."""
    STICKY = "sticky"
    """A write is confirmed and not kept."""
    SECOND_MASTER = "second_master"
    """Somebody else writes ``values`` from ``address`` on, before this request is answered."""


class Requests(StrEnum):
    """Which requests a rule is about."""

    ALL = "all"
    READS = "reads"
    WRITES = "writes"


_READS_ONLY = {
    FaultKind.SENTINELS,
    FaultKind.ZEROS,
    FaultKind.HOLE,
    FaultKind.TOO_LONG,
    FaultKind.VALUES,
    FaultKind.SHORT,
}


class FaultRule(BaseModel):
    """One fault and its occasion: a share of the requests, or all of those in a window.

    ``from_s`` and ``to_s`` are seconds on the plant's clock since the device was switched on; ``count_max`` ends the
    rule after so many occurrences. ``delay_s`` is real time, as socket time-outs are. With an ``address`` a rule is
    about requests that touch ``count`` registers from there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    probability: float = Field(default=1.0, ge=0, le=1)
    from_s: float = Field(default=0.0, ge=0)
    to_s: float | None = Field(default=None, gt=0)
    count_max: int | None = Field(default=None, ge=1)
    requests: Requests = Requests.ALL
    unit: int | None = Field(default=None, ge=0, le=255)
    delay_s: float = Field(default=1.0, ge=0, le=60)
    silent_s: float = Field(default=5.0, ge=0, le=3600)
    code: ExceptionCode | None = None
    count: int = Field(default=1, ge=1, le=65536)
    address: int | None = Field(default=None, ge=0, le=65535)
    values: tuple[int, ...] = ()
    as_unit: int | None = Field(default=None, ge=0, le=255)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.to_s is not None and self.to_s <= self.from_s:
            raise ValueError(f"window ends at {self.to_s} s, before it begins at {self.from_s} s")
        if self.kind is FaultKind.SECOND_MASTER and (self.address is None or not self.values):
            raise ValueError("a second master needs an address and values to write")
        if self.kind is FaultKind.VALUES and (self.address is None or not self.values):
            raise ValueError("values need the address at which they begin")
        if self.kind is FaultKind.UNIT_REPLY and self.as_unit is None:
            raise ValueError("unit_reply needs as_unit, the unit that answers name")
        if self.kind is FaultKind.STICKY and self.requests is Requests.READS:
            raise ValueError("sticky is about writes, which are confirmed and not kept")
        if self.kind is FaultKind.HOLE and self.address is None:
            raise ValueError("a hole needs the address at which it begins")
        if any(not 0 <= value <= 0xFFFF for value in self.values):
            raise ValueError(f"values {list(self.values)} do not all fit a register, 0 to 65535")
        if self.kind in _READS_ONLY and self.requests is Requests.WRITES:
            raise ValueError(f"{self.kind} spoils data, which only reads are answered with")
        return self


class FaultPlan(BaseModel):
    """A faults file: rules in order, of which the first that applies to a request spoils it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[FaultRule, ...]


def load_faults(path: Path) -> FaultPlan:
    """Read a faults file, YAML or JSON: an object with ``rules``, or the list of rules alone.

    Raises:
        PlantError: The file cannot be read or breaks the format; the message names key, value and bound.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlantError(f"faults file {path} cannot be read: {reason_of(error)}") from error
    try:
        return FaultPlan.model_validate({"rules": raw} if isinstance(raw, list) else raw)
    except ValidationError as error:
        raise PlantError(f"faults file {path}: {first_fault(error, of=FaultPlan, whole='faults')}") from error
