"""What the written registers of a profile tell its plant: the inverse of the profile's own recipes.

A lever is free where its registers hold what ``restore`` writes; else the mode counts whose fixed values they hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.devices.canonical import to_canonical
from edge.devices.moves import SG_STATES, configured_base
from edge.devices.phases import PHASE_V
from edge.devices.profile import Profile
from edge.devices.recipes import Direction, Lever, Recipe, Step
from edge.devices.resolve import Resolved
from firmware_sim.consumers import LEAST_A
from firmware_sim.inverter import Orders
from sitewatt.bench.plant import PEAK_W, Bench

_SG_INPUTS = {"lock": (True, False), "normal": (False, False), "recommend": (False, True), "force": (True, True)}
_WHOLE_SHARE = 0.999  # Of its rating a limit is none.


@dataclass(frozen=True, kw_only=True)
class Commanded:
    """What a lever is told by the registers: a mode, and its value in W (or as the mode has it)."""

    mode: str
    value: float


def told(
    profile: Profile, lever: Lever, recipe: Recipe, held: Mapping[str, float], *, rated_w: float
) -> Commanded | None:
    """Return what the registers tell a lever; None where it is free.

    Args:
        held: What the written points hold, in the device's own sign.
        rated_w: What is 100 percent.
    """
    base = configured_base(recipe, rated_w) or rated_w
    if _matches(recipe.restore, held, base=base) and recipe.restore:
        return None
    for mode, steps in recipe.modes.items():
        if not _matches(steps, held, base=None):
            continue
        value = _value(profile, steps, held, base=base, phases=recipe.phases)
        if lever is Lever.BATTERY_POWER and value is not None:
            value = -abs(value) if mode == "discharge" and _is_magnitude(steps) else value
        return Commanded(mode=mode, value=value if value is not None else 0.0)
    return None


def obey(
    bench: Bench, resolved: Resolved, held: Mapping[str, float], *, free: frozenset[Lever], lapsed: frozenset[Lever]
) -> None:
    """Let the plant do what the registers tell.

    Args:
        free: Levers that nobody wrote to yet.
        lapsed: Levers that nobody wrote to for so long that the device let go.
    """
    said: dict[Lever, Commanded] = {}
    for lever, number in resolved.levers.items():
        recipe = resolved.profile.capabilities[lever][number]
        rated_w = bench.charger.car_w_max if bench.charger is not None else PEAK_W
        one = None if lever in free | lapsed else told(resolved.profile, lever, recipe, held, rated_w=rated_w)
        if lever in lapsed and recipe.fallback.direction is Direction.FAILSAFE_VALUE:
            one = Commanded(mode="failsafe", value=LEAST_A * PHASE_V * recipe.phases)
        if one is not None:
            said[lever] = one
    _tell_inverter(bench, said)
    _tell_loads(bench, said)
    bench.plant.settle()


def _tell_inverter(bench: Bench, said: Mapping[Lever, Commanded]) -> None:
    if bench.inverter is None:
        return
    site = bench.site
    limits_w = [said[lever].value for lever in (Lever.LIMIT_GENERATION,) if lever in said]
    if Lever.EXPORT_LIMIT in said:
        limits_w.append(said[Lever.EXPORT_LIMIT].value + site.load_w)
    output_w_max = min(limits_w, default=None)
    orders = replace(bench.inverter.orders, output_w_max=output_w_max, battery_w_min=None, battery_w_max=None)
    power_w: float | None = None
    if Lever.BATTERY_POWER in said:
        power_w = said[Lever.BATTERY_POWER].value
    elif Lever.GRID_SETPOINT in said:
        power_w = said[Lever.GRID_SETPOINT].value - site.load_w - site.pv_w
    bench.inverter.orders = orders if power_w is None else _at(orders, power_w)


def _at(orders: Orders, power_w: float) -> Orders:
    return replace(orders, battery_w_min=power_w, battery_w_max=power_w)


def _tell_loads(bench: Bench, said: Mapping[Lever, Commanded]) -> None:
    if bench.charger is not None:
        limit = said.get(Lever.LIMIT_CONSUMPTION)
        whole_a = bench.charger.car_w_max / PHASE_V / bench.charger.phases
        bench.charger.limit_a = whole_a if limit is None else limit.value / PHASE_V / bench.charger.phases
        bench.charger.is_enabled = Lever.SWITCH not in said or said[Lever.SWITCH].mode == "on"
    state = said.get(Lever.SG_READY)
    if bench.heat_pump is not None:
        bench.heat_pump.is_active = state is not None
        bench.heat_pump.inputs = _SG_INPUTS[state.mode if state is not None else SG_STATES[1]]
    elif bench.charger is None and Lever.SWITCH in said:
        bench.site.coils[0] = said[Lever.SWITCH].mode == "on"


def _matches(steps: tuple[Step, ...], held: Mapping[str, float], *, base: float | None) -> bool:
    """Return whether the registers hold the fixed values that some steps leave behind, and where asked the whole."""
    final: dict[str, float | str] = {}
    for step in steps:
        final.update(step.write)
    for name, expression in final.items():
        value = held.get(name)
        if value is None:
            continue
        if isinstance(expression, str):
            if base is not None and "base_" in expression and abs(value) < base * _WHOLE_SHARE:
                return False
        elif abs(value - expression) > 1e-6 * max(1.0, abs(expression)):
            return False
    return True


def _value(
    profile: Profile, steps: tuple[Step, ...], held: Mapping[str, float], *, base: float, phases: int
) -> float | None:
    """Return the value in W that the variable register of a mode holds, in our sign."""
    for step in steps:
        for name, expression in step.write.items():
            if not isinstance(expression, str) or name not in held:
                continue
            number = to_canonical(profile.points[name], held[name])
            assert isinstance(number, int | float), "what a recipe writes is a number"
            number = -number if expression.startswith("-") else number
            variable = expression.removeprefix("-")
            if variable.startswith(("limit_", "power_", "magnitude_")):
                end = variable.rpartition("_")[2]
                return {"w": number, "pct": number * base / 100, "a": number * PHASE_V * phases}[end]
    return None


def _is_magnitude(steps: tuple[Step, ...]) -> bool:
    return any(
        isinstance(value, str) and value.removeprefix("-").startswith("magnitude_")
        for step in steps
        for value in step.write.values()
    )
