"""Move setpoints calmly: dead bands, ramps, and damping of a command that keeps turning about.

None of it may keep a setpoint from meeting a bound: the caller clamps afterwards and falls back to the plain value.
"""

from dataclasses import replace

from edge.control.model import ControlSettings, LeverMemory

# The window in which changes of direction are counted.
REVERSAL_WINDOW_S = 60.0


def dead_band(rated_w: float, settings: ControlSettings) -> float:
    """Return the change in W below which nothing is written.

    Source: Kostal writes of OpenEMS skip below 20 W; 0.5 %.
    """
    return max(settings.dead_band_w, settings.dead_band_share * rated_w)


def smooth(
    wanted_w: float,
    last: LeverMemory,
    *,
    rated_w: float,
    ramp_w_per_s: float | None,
    now_s: float,
    settings: ControlSettings,
) -> tuple[float, LeverMemory]:
    """Return the power to command and what to remember of it.

    Within the dead band the last value stays. A command that changed direction more often than allowed within the last
    minute moves only a part of the way, so that two loops working against each other come to rest.
    """
    if last.value_w is None:
        return wanted_w, LeverMemory(value_w=wanted_w, at_s=now_s)
    change_w = wanted_w - last.value_w
    if abs(change_w) < dead_band(rated_w, settings):
        return last.value_w, replace(last, at_s=now_s)
    direction = 1 if change_w > 0 else -1
    reversals_s = last.reversals_s
    if abs(change_w) < settings.reversal_share * rated_w:
        # The house's own noise is followed as it comes; only a swing counts as turning about.
        direction = last.direction
    elif last.direction == -direction:
        reversals_s = (*reversals_s[-settings.reversals_per_min_max :], now_s)
    reversals_s = tuple(at_s for at_s in reversals_s if now_s - at_s < REVERSAL_WINDOW_S)
    if len(reversals_s) > settings.reversals_per_min_max:
        change_w *= settings.damping
    if ramp_w_per_s is not None:
        reach_w = ramp_w_per_s * max(0.0, now_s - last.at_s)
        change_w = min(max(change_w, -reach_w), reach_w)
    value_w = last.value_w + change_w
    return value_w, LeverMemory(
        value_w=value_w, at_s=now_s, direction=direction, reversals_s=reversals_s, switched_s=last.switched_s
    )
