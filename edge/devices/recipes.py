"""How a profile writes down what the device can be told: what may be written, in which order, and how it ends.

A recipe writes points in our sign and unit; the driver turns them at the border like everything else. Where a number
stands, one of these names may stand too, with a leading minus where it is to be negated:

- ``limit_w`` ``limit_pct`` ``limit_a``: the bound asked for, in W, in percent of ``base``, in A per phase;
- ``power_w`` (charging positive) ``power_pct`` ``magnitude_w`` ``magnitude_pct``: power, and without its sign;
- ``base_w`` ``base_a``: the whole of ``base``, to lift a limit that has no switch of its own;
- ``revert_s`` ``revert_whole_min_s``: seconds that the device's own timer is to run; rounded up to whole minutes;
- ``phase_code``: what the device calls the number of phases that a charger is to use; not written where it may not.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edge.devices.points import one_or_more
from edge.devices.section import Section

VARIABLES = (
    "limit_w",
    "limit_pct",
    "limit_a",
    "power_w",
    "power_pct",
    "magnitude_w",
    "magnitude_pct",
    "base_w",
    "base_a",
    "revert_s",
    "revert_whole_min_s",
    "phase_code",
)
CONFIGURED = "configured"  # As ``base``: the rating that the installer gave, where no register holds one.


class Lever(StrEnum):
    """What can be asked of a device. The first three are what the control cycle steers."""

    LIMIT_GENERATION = "limit_generation"
    BATTERY_POWER = "battery_power"
    SWITCH = "switch"
    EXPORT_LIMIT = "export_limit"
    GRID_SETPOINT = "grid_setpoint"
    LIMIT_CONSUMPTION = "limit_consumption"
    SG_READY = "sg_ready"


MODES: dict[Lever, tuple[str, ...]] = {
    Lever.LIMIT_GENERATION: ("limit",),
    Lever.BATTERY_POWER: ("charge", "discharge", "hold"),
    Lever.SWITCH: ("on", "off"),
    Lever.EXPORT_LIMIT: ("limit",),
    Lever.GRID_SETPOINT: ("set",),
    Lever.LIMIT_CONSUMPTION: ("limit",),
    Lever.SG_READY: ("lock", "normal", "recommend", "force"),
}


# Modes that a recipe may have beside those: a charger that needs another register than its limit to pause.
MORE_MODES: dict[Lever, tuple[str, ...]] = {Lever.LIMIT_CONSUMPTION: ("pause",)}


class Storage(StrEnum):
    """Where the device keeps what is written: for cyclic writes, wearing out, or not known (counted as wearing)."""

    RAM = "ram"
    FLASH = "flash"
    UNKNOWN = "unknown"


class Direction(StrEnum):
    """What the device does once nobody writes any more."""

    RELEASED = "released"
    SELF_CONSUMPTION = "self_consumption"
    FAILSAFE_VALUE = "failsafe_value"
    PASS_THROUGH = "pass_through"
    KEEPS = "keeps"


def _is_expression(value: float | str) -> float | str:
    if isinstance(value, str) and value.removeprefix("-") not in VARIABLES:
        raise ValueError(f"{value!r} is neither a number nor one of {', '.join(VARIABLES)}")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(one_or_more)]
Expression = Annotated[float | str, AfterValidator(_is_expression)]


class WriteRule(Section):
    """What may be written to one point, in the device's own sign and unit.

    Args:
        special: Values outside the range that have a meaning of their own, such as 255 for "no limit".
        daily_budget: Writes a day that its memory can bear; counted for flash and unknown storage.
        heartbeat_s: Must be written again within this time, or the device falls back.
    """

    min: float | None = None
    max: float | None = None
    step: float | None = Field(default=None, gt=0)
    special: tuple[float, ...] = ()
    storage: Storage = Storage.UNKNOWN
    daily_budget: int | None = Field(default=None, ge=1)
    heartbeat_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _some_room(self) -> "WriteRule":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"has min {self.min} above max {self.max}, so nothing could be written")
        return self


class Step(Section):
    """Points written together, in the order given.

    Args:
        block: All in one request of function 16; the points must be adjacent. ``pad_to`` fills with zeros up to and
            including that address.
        when: ``changed`` writes only where a value of the recipe differs from what the device holds (a toggle).
        settle_ms: Silence after the step, on top of the link's own.
    """

    write: dict[str, Expression] = Field(min_length=1)
    block: bool = False
    pad_to: int | None = None
    when: str = Field(default="always", pattern="^(always|changed)$")
    settle_ms: int = Field(default=0, ge=0, le=10_000)


class Fallback(Section):
    """What happens when we stop writing.

    Args:
        after_s: Time until it happens where the device fixes it; None where it never does, or ``armed_by`` says when.
        armed_by: Point that holds the device's own timer; it is written with every command and read back.
        max_s: Longest time that the timer takes.
        proven: Seen on a device, or promised by the vendor; otherwise only the map says so.
        any_message: What is silence is silence of any kind: reading it holds it up too.
    """

    direction: Direction
    after_s: float | None = Field(default=None, gt=0)
    armed_by: str | None = None
    max_s: float | None = Field(default=None, gt=0)
    proven: bool = False
    any_message: bool = False
    note: str | None = None

    @property
    def has_timer(self) -> bool:
        """Return whether the device itself lets go of what we asked."""
        return self.armed_by is not None or self.after_s is not None


class Recipe(Section):
    """How one lever is moved.

    Args:
        base: Points of which the first with a value is 100 percent, W or A; ``configured`` stands for the rating that
            the installer gave.
        phases: Over which a power spreads as current.
        phase_codes: For a charger that can use one phase or all: what it calls each number of phases.
        requires: Points that must read a value before anything is written.
        modes: Steps for each mode of the lever; a mode is a whole register set.
        restore: Steps that take every restriction of ours away; none where the device lets go once we fall silent.
        refresh_s: The set must be renewed within this time though nothing changed.
    """

    base: Names = ()
    phases: int = Field(default=3, ge=1, le=3)
    phase_codes: dict[int, float] = Field(default_factory=dict)
    requires: dict[str, float] = Field(default_factory=dict)
    modes: dict[str, tuple[Step, ...]]
    restore: tuple[Step, ...]
    fallback: Fallback
    refresh_s: float | None = Field(default=None, gt=0)
    note: str | None = None

    def points(self) -> tuple[str, ...]:
        """Return every point that the recipe writes or looks at, each once."""
        written = [name for steps in (*self.modes.values(), self.restore) for step in steps for name in step.write]
        others = [*self.requires, *([] if self.fallback.armed_by is None else [self.fallback.armed_by])]
        return tuple(dict.fromkeys([*written, *others]))

    @property
    def phase_points(self) -> tuple[str, ...]:
        """Return the points that say how many phases a charger is to use."""
        steps = [step for mode in self.modes.values() for step in mode]
        return tuple(
            dict.fromkeys(name for step in steps for name, value in step.write.items() if value == "phase_code")
        )

    @property
    def base_points(self) -> tuple[str, ...]:
        """Return the points that may hold the base."""
        return tuple(name for name in self.base if name != CONFIGURED)
