"""What moving a lever means in registers: the mode, the variables, the targets. Pure.

A bound above the rating is the rating, because the device cannot do more; a setpoint beyond it is the most that the
device can do. What is not a number, or negative where a magnitude is asked for, is refused.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite

from edge.devices.canonical import to_device
from edge.devices.phases import PHASE_V
from edge.devices.points import PointSpec
from edge.devices.profile import Profile
from edge.devices.recipes import Lever, Recipe, Step
from edge.errors import ValueRefused
from edge.modbus.point import DataType

MAGNITUDES = frozenset({Lever.LIMIT_GENERATION, Lever.EXPORT_LIMIT, Lever.LIMIT_CONSUMPTION, Lever.SWITCH})
_BOUNDS = frozenset({"limit_w", "limit_pct", "limit_a"})
_FLOATS = (DataType.FLOAT32, DataType.FLOAT64)
_NEARLY = 1e-3  # Of a step.
SG_STATES = ("lock", "normal", "recommend", "force")  # Values 1 to 4. Source: SG Ready label, operating states.


@dataclass(frozen=True, kw_only=True)
class Target:
    """A step with the numbers that it writes, in the device's own sign."""

    step: Step
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Move:
    """What is to be written, in order, and what is to be read back at the end."""

    mode: str
    targets: tuple[Target, ...]
    final: dict[str, float]
    held_w: float | None


def mode_of(lever: Lever, value: float) -> str:
    """Return the mode that a value asks for."""
    if lever is Lever.BATTERY_POWER:
        return "charge" if value > 0 else "discharge" if value < 0 else "hold"
    if lever is Lever.SWITCH:
        return "on" if value > 0 else "off"
    if lever is Lever.GRID_SETPOINT:
        return "set"
    if lever is Lever.SG_READY:
        if value not in (1, 2, 3, 4):
            raise ValueRefused(f"{lever} {value} is not a state from 1 to 4; nothing was written", code="out_of_range")
        return SG_STATES[int(value) - 1]
    return "limit"


def move(
    profile: Profile,
    lever: Lever,
    recipe: Recipe,
    value: float | None,
    *,
    base: float | None,
    revert_s: float,
    phases: int | None = None,
) -> Move:
    """Return the register targets of a lever at a value, or of its release where the value is None.

    Args:
        value: In the terms of the lever, our sign.
        base: What is 100 percent, in W, or in A where the base point counts A; None where it is not known.
        phases: That a charger is to use, where it may be told; None leaves those in use.

    Raises:
        ValueRefused: The value is no number, is negative where only a magnitude makes sense, or needs a base that is
            not known.
    """
    if value is None:
        steps, mode, held = recipe.restore, "restore", None
        variables = _variables(recipe, 0.0, base=base, revert_s=0.0, phases=phases)
    else:
        if not isfinite(value):
            raise ValueRefused(f"{lever} {value} is not a number; nothing was written", code="not_a_number")
        if lever in MAGNITUDES and value < 0:
            raise ValueRefused(f"{lever} {value} is below 0; nothing was written", code="out_of_range")
        held = _within(value, base) if _is_power(recipe) and lever is not Lever.SG_READY else value
        mode = mode_of(lever, held)
        steps = recipe.modes[mode]
        if lever is Lever.BATTERY_POWER:
            held = _within(held, _most_w(profile, steps))
        if "pause" in recipe.modes and held == 0:
            mode = "pause"
            # Phases are changed while the charger pauses.
            told = tuple(step for step in steps if "phase_code" in step.write.values())
            steps = (*recipe.modes[mode], *told)
        variables = _variables(recipe, held, base=base, revert_s=revert_s, phases=phases)
    targets = tuple(
        Target(step=step, values=values) for step in steps if (values := _numbers(profile, lever, step, variables))
    )
    final: dict[str, float] = {}
    for target in targets:
        final.update(target.values)
    return Move(mode=mode, targets=targets, final=final, held_w=held)


def without(wanted: Move, names: Collection[str]) -> Move:
    """Return a move that leaves some points as they are."""
    targets = tuple(
        replace(target, values=tuple(pair for pair in target.values if pair[0] not in names))
        for target in wanted.targets
    )
    return replace(
        wanted,
        targets=tuple(target for target in targets if target.values),
        final={name: value for name, value in wanted.final.items() if name not in names},
    )


def configured_base(recipe: Recipe, rated_w: float) -> float | None:
    """Return what is 100 percent where no register says it: the installer's rating, in A where the recipe counts A."""
    if rated_w <= 0:
        return None
    return rated_w if _is_power(recipe) else rated_w / (PHASE_V * recipe.phases)


def _is_power(recipe: Recipe) -> bool:
    names = {
        value
        for steps in (*recipe.modes.values(), recipe.restore)
        for step in steps
        for value in step.write.values()
        if isinstance(value, str)
    }
    return not any(name.endswith("_a") for name in names)


def _within(value: float, base: float | None) -> float:
    return value if base is None or base <= 0 else min(max(value, -base), base)


def _most_w(profile: Profile, steps: Collection[Step]) -> float | None:
    """Return the most that the registers of a power take, where they count W: what an installer gave may be more."""
    ends = [
        max(abs(rule.min or 0.0), abs(rule.max))
        for step in steps
        for name, expression in step.write.items()
        if str(expression).removeprefix("-") in ("power_w", "magnitude_w")
        and (rule := profile.rule(name)) is not None
        and rule.max is not None
    ]
    return min(ends, default=None)


def _variables(
    recipe: Recipe, value: float, *, base: float | None, revert_s: float, phases: int | None
) -> dict[str, float | None]:
    magnitude = abs(value)
    percent = None if base is None or base <= 0 else 100.0 / base
    longest_s = recipe.fallback.max_s
    whole_s = float(ceil(revert_s)) if longest_s is None else min(float(ceil(revert_s)), longest_s)
    amps = value / (PHASE_V * (phases or recipe.phases))
    return {
        "limit_w": value,
        "limit_pct": None if percent is None else min(100.0, value * percent),
        "limit_a": amps if base is None or _is_power(recipe) else min(amps, base),
        "power_w": value,
        "power_pct": None if percent is None else value * percent,
        "magnitude_w": magnitude,
        "magnitude_pct": None if percent is None else min(100.0, magnitude * percent),
        "base_w": base,
        "base_a": base,
        "revert_s": whole_s,
        "revert_whole_min_s": ceil(whole_s / 60) * 60.0,
        "phase_code": None if phases is None else recipe.phase_codes[phases],
    }


def _rounded_down(number: float, point: PointSpec) -> float:
    """Return a limit as the last step of a register that does not pass it: 9.7 A in whole amperes are 9.

    A scale that the device itself tells is fine enough; what is nearly a whole step is that step. The whole of what the
    device can is no limit, and is the nearest step.
    """
    step = abs(point.scale)
    if point.scale_at is not None or point.scale_factor or point.type in _FLOATS:
        return number
    return min(number, floor(number / step + _NEARLY) * step)


def _numbers(
    profile: Profile, lever: Lever, step: Step, variables: dict[str, float | None]
) -> tuple[tuple[str, float], ...]:
    numbers = []
    for name, expression in step.write.items():
        if isinstance(expression, str):
            number = variables[expression.removeprefix("-")]
            if number is None and expression == "phase_code":
                continue
            if number is None:
                raise ValueRefused(
                    f"{lever} needs the rating of the device, which is not known; nothing was written",
                    code="base_unknown",
                )
            if expression in _BOUNDS and number != variables["base_w"]:
                number = _rounded_down(number, profile.points[name])
            number = -number if expression.startswith("-") else number
        else:
            number = expression
        numbers.append((name, to_device(profile.points[name], number)))
    return tuple(numbers)
