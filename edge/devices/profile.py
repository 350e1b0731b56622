"""The register map of one family of devices, proven complete before anything is read or written with it."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from contracts.faults import bound_of, fault_of, place_of
from contracts.spelling import unknown_key
from edge.devices.points import DerivedSpec, Evidence, Kind, PointSpec, one_or_more
from edge.devices.recipes import MODES, MORE_MODES, Lever, Recipe, WriteRule
from edge.devices.section import Section
from edge.modbus.encode import WRITE_COIL, WRITE_COILS, WRITE_REGISTER, WRITE_REGISTERS
from edge.modbus.point import PERIOD_S, DataType, LinkLimits, PollClass, Range, Table, WordOrder

EVERY_BLOCK = "[*]"  # In a sum: the point of every repeating block.
ID = r"^[a-z0-9][a-z0-9_]*$"
FLASH_WRITES_A_DAY = 200  # Source: practice of battery planners on inverter EEPROM; a profile may ask for less.


class Serial(Section):
    """The line's factory settings."""

    baud: int = Field(ge=300, le=4_000_000)
    format: str = Field(default="8N1", pattern="^8[NEO][12]$")


class Hole(Section):
    """Addresses ``first`` to ``last`` that no request may touch."""

    table: Table
    first: int = Field(ge=0, le=0xFFFF)
    last: int = Field(ge=0, le=0xFFFF)


class Link(Section):
    """What the device, and the way to it, can bear. Times in ms are silences that the engine keeps.

    Args:
        functions: Modbus function codes that the device is known to take; values are written with no other.
        poll_s_min: How often the vendor, or who works with the device, would have it asked. What control steers by is
            read at its own pace all the same, everything else no more often.
    """

    framing: str = Field(pattern="^(tcp|rtu|rtu_over_tcp|ascii)$")
    port: int | None = Field(default=None, ge=1, le=65_535)
    unit: int | None = Field(default=None, ge=0, le=255)
    unit_note: str | None = None
    serial: Serial | None = None
    functions: tuple[int, ...] = Field(min_length=1)
    max_registers: int = Field(default=120, ge=1, le=125)
    max_gap_registers: int | None = Field(default=None, ge=0)
    barriers: dict[Table, tuple[int, ...]] = Field(default_factory=dict)
    holes: tuple[Hole, ...] = ()
    min_gap_ms: int | None = Field(default=None, ge=0, le=60_000)
    after_connect_ms: int = Field(default=0, ge=0, le=60_000)
    after_write_ms: int = Field(default=100, ge=0, le=60_000)
    unit_switch_ms: int | None = Field(default=None, ge=0, le=60_000)
    timeout_s_min: float | None = Field(default=None, gt=0, le=30)
    max_clients: int | None = Field(default=None, ge=1)
    poll_s_min: float | None = Field(default=None, gt=0)
    wake_up: bool = False

    def period_s(self, poll_class: PollClass) -> float:
        """Return the seconds from one reading of a class to the next."""
        period_s = PERIOD_S[poll_class]
        return period_s if poll_class is PollClass.CONTROL else max(period_s, self.poll_s_min or 0.0)

    def write_function(self, table: Table, registers: int) -> int | None:
        """Return the function with which the device takes a value that wide, the one for a single value first."""
        single, several = (WRITE_COIL, WRITE_COILS) if table is Table.COIL else (WRITE_REGISTER, WRITE_REGISTERS)
        wanted = (single, several) if registers == 1 else (several,)
        return next((function for function in wanted if function in self.functions), None)

    def limits(self) -> LinkLimits:
        """Return what the engine plans and speaks by."""
        return LinkLimits(
            max_registers=self.max_registers,
            max_gap_registers=self.max_gap_registers,
            barriers=self.barriers,
            forbidden=tuple(Range(table=hole.table, start=hole.first, end=hole.last + 1) for hole in self.holes),
            min_gap_s=None if self.min_gap_ms is None else self.min_gap_ms / 1000,
            delay_after_connect_s=self.after_connect_ms / 1000,
            delay_on_unit_switch_s=None if self.unit_switch_ms is None else self.unit_switch_ms / 1000,
            delay_after_write_s=self.after_write_ms / 1000,
            timeout_s_min=self.timeout_s_min,
            max_clients=self.max_clients,
            wake_up=self.wake_up,
        )


class ChainModel(Section):
    """Where a model lies in the worked example: the address of its id, and its length."""

    id: int
    base: int
    length: int


class SunSpecSection(Section):
    """How the models are found; ``same_layout`` lists models that may stand in for another, point for point.

    ``repeats`` gives the registers of one block of a model with repeating blocks; its points are written down for the
    first one, ``m160.DCW[1]``.
    """

    bases: tuple[int, ...] = (40000, 50000, 0)
    chain: tuple[ChainModel, ...] = Field(min_length=1)
    same_layout: dict[int, tuple[int, ...]] = Field(default_factory=dict)
    repeats: dict[int, int] = Field(default_factory=dict)


class Learn(Section):
    """Word order that the device itself tells: ``point`` reads ``little`` or ``big``."""

    point: str
    little: int
    big: int


class Defaults(Section):
    """What a point is where it does not say otherwise."""

    table: Table = Table.HOLDING
    word_order: WordOrder = WordOrder.BIG
    word_order_from: Learn | None = None
    sentinels: dict[DataType, int] = Field(default_factory=dict)


Recipes = Annotated[tuple[Recipe, ...], BeforeValidator(one_or_more)]


class Profile(Section):
    """A register map with its sources.

    Args:
        identify: Points and the pattern that their text must hold on such a device.
        refusals: What usually is behind a refused write, by point, by exception code (``"4"``), or for ``any``.
        family: Of rebrands and of sizes of a series, which no register tells apart.
        null_frame: Raw values that together mean that the device has nothing to say: whatever it answers is no value.
    """

    id: str = Field(pattern=ID)
    vendor: str
    models: tuple[str, ...] = Field(min_length=1)
    firmware: str = "any"
    family: str | None = Field(default=None, pattern=ID)
    kinds: tuple[Kind, ...] = Field(min_length=1)
    status: Evidence
    sources: tuple[str, ...] = Field(min_length=1)
    notes: tuple[str, ...] = ()
    link: Link
    sunspec: SunSpecSection | None = None
    defaults: Defaults = Defaults()
    points: dict[str, PointSpec] = Field(min_length=1)
    derived: dict[str, DerivedSpec] = Field(default_factory=dict)
    writes: dict[str, WriteRule] = Field(default_factory=dict)
    capabilities: dict[Lever, Recipes] = Field(default_factory=dict)
    identify: dict[str, str] = Field(default_factory=dict)
    null_frame: dict[str, float] = Field(default_factory=dict)
    refusals: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_together(self) -> "Profile":
        faults = [
            *self._sunspec_faults(),
            *self._derived_faults(),
            *self._condition_faults(),
            *self._write_faults(),
            *(
                fault
                for lever, recipes in self.capabilities.items()
                for recipe in recipes
                for fault in self._recipe_faults(lever, recipe)
            ),
            *self._unknown(self.identify, "identify"),
            *self._pattern_faults(),
            *self._unknown(self.null_frame, "null_frame"),
            *self._unknown([name for name in self.refusals if name != "any" and not name.isdigit()], "refusals"),
        ]
        if faults:
            raise ValueError("; ".join(dict.fromkeys(faults)))
        return self

    def _unknown(self, names: Iterable[str], where: str) -> list[str]:
        return [
            f"{where} names the point {name!r}, which is not among the points"
            for name in names
            if name not in self.points
        ]

    def _sunspec_faults(self) -> list[str]:
        bases = {} if self.sunspec is None else {model.id for model in self.sunspec.chain}
        return [
            f"points.{name} lies in SunSpec model {point.model}, which the chain does not hold"
            for name, point in self.points.items()
            if point.model is not None and point.model not in bases
        ]

    def _derived_faults(self) -> list[str]:
        faults = [f"derived.{name} has the name of a point" for name in self.derived if name in self.points]
        for name, spec in self.derived.items():
            parts = [part.replace(EVERY_BLOCK, "[1]") for part in (*spec.plus, *spec.minus)]
            faults += self._unknown(parts, f"derived.{name}")
        return faults

    def _condition_faults(self) -> list[str]:
        faults = []
        for name, spec in self.points.items():
            faults += self._unknown(spec.when, f"points.{name}.when")
            faults += [
                f"points.{name}.when asks for {other!r}, which has a condition itself"
                for other in spec.when
                if other in self.points and self.points[other].when
            ]
        return faults

    def _pattern_faults(self) -> list[str]:
        patterns = {f"identify.{name}": pattern for name, pattern in self.identify.items()}
        for name, spec in self.points.items():
            patterns |= {
                f"points.{name}.when.{other}": asked.matches for other, asked in spec.when.items() if asked.matches
            }
        return [
            f"{where} is {pattern!r}, no pattern: {why}"
            for where, pattern in patterns.items()
            if (why := _why_no_pattern(pattern))
        ]

    def _write_faults(self) -> list[str]:
        writable = {name for name, point in self.points.items() if point.is_writable}
        faults = self._unknown(self.writes, "writes")
        faults += [
            f"writes.{name} is about a point that the map gives as read-only"
            for name in self.writes
            if name in self.points and name not in writable
        ]
        return faults + [
            f"writes.{name} is missing: every writable point needs its range and storage"
            for name in sorted(writable - set(self.writes))
        ]

    def _recipe_faults(self, lever: Lever, recipe: Recipe) -> list[str]:
        where = f"capabilities.{lever}"
        faults = self._unknown((*recipe.points(), *recipe.base_points), where)
        if set(recipe.modes) - set(MORE_MODES.get(lever, ())) != set(MODES[lever]):
            faults.append(f"{where}.modes has {sorted(recipe.modes)}, expected {sorted(MODES[lever])}")
        if recipe.phase_codes and set(recipe.phase_codes) != {1, recipe.phases}:
            faults.append(f"{where}.phase_codes has {sorted(recipe.phase_codes)}, expected [1, {recipe.phases}]")
        written = [name for steps in (*recipe.modes.values(), recipe.restore) for step in steps for name in step.write]
        for name in (name for name in written if name in self.points):
            point = self.points[name]
            if not point.is_writable:
                faults.append(f"{where} writes {name!r}, which the map gives as read-only")
            elif self.function(point) is None:
                functions = list(self.link.functions)
                faults.append(f"{where} writes {name!r}, for which link.functions has none: {functions}")
        for name in recipe.points():
            rule = self.rule(name)
            heartbeat_s = None if rule is None else rule.heartbeat_s
            if heartbeat_s is not None and not 0 < (recipe.refresh_s or 0) <= heartbeat_s / 2:
                faults.append(
                    f"{where}.refresh_s is {recipe.refresh_s}, at most half of the {heartbeat_s:g} s after which"
                    f" {name!r} falls back"
                )
        if not recipe.base and _uses_base(recipe):
            faults.append(f"{where}.base is missing: a percentage needs the point that is 100 percent")
        return faults

    def function(self, point: PointSpec) -> int | None:
        """Return the function with which a point is written; None where the device is not known to take one."""
        return point.write_function or self.link.write_function(point.table or self.defaults.table, point.registers)

    def rule(self, name: str) -> WriteRule | None:
        """Return what may be written to a point."""
        return self.writes.get(name)


def _why_no_pattern(pattern: str) -> str | None:
    """Return why a text is no regular expression, None where it is one."""
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None


def _uses_base(recipe: Recipe) -> bool:
    written = [
        value for steps in (*recipe.modes.values(), recipe.restore) for step in steps for value in step.write.values()
    ]
    return any(isinstance(value, str) and (value.endswith("_pct") or "base_" in value) for value in written)


def sentence(profile_id: str, error: ValidationError) -> str:
    """Say all that is wrong: the profile, and of each fault the key, the value and the bound."""
    return f"profile {profile_id}: " + "; ".join(said_of(fault) for fault in error.errors(include_url=False))


def said_of(fault: ErrorDetails) -> str:
    """Say what is wrong with one key: the key, the value and the bound."""
    key = place_of(fault) or "the profile"
    if (unknown := unknown_key(key, fault, of=Profile)) is not None:
        return unknown
    if fault["type"] == "value_error":
        return bound_of(fault) if key == "the profile" else f"{key} {bound_of(fault)}"
    return fault_of(fault)
