"""Limits that law or a wired receiver writes: the floor of section 14a EnWG, the steps of a ripple-control relay."""

from enum import Enum

# Source: Bundesnetzagentur, decision BK6-22-300 (27 November 2023), annex 1, number 4.5: at least 4.2 kW at the
# connection.
STEERABLE_FLOOR_W = 4200.0
# The same: a large heat pump or air conditioner keeps 40 % of its rated power where that is more.
LARGE_LOAD_W = 11_000.0
LARGE_LOAD_SHARE = 0.4
_SIMULTANEITY = {2: 0.8, 3: 0.75, 4: 0.7, 5: 0.65, 6: 0.6, 7: 0.55, 8: 0.5}
_SIMULTANEITY_MIN = 0.45


def steerable_minimum_w(*, loads: int, large_heat_pumps_w: float = 0.0, large_cooling_w: float = 0.0) -> float:
    """Return the power that a site keeps for its steerable loads when the grid operator reduces them.

    ``max(0.4 x heat pumps, 0.4 x cooling) + (n - 1) x simultaneity x 4.2 kW``, where the first term is 4.2 kW without
    a large thermal load; so one load keeps 4.2 kW, or 40 % of its rating where it is thermal and above 11 kW.

    Args:
        loads: Number ``n`` of steerable loads behind the energy manager, one or more.
        large_heat_pumps_w: Sum of the ratings of heat pumps above 11 kW each.
        large_cooling_w: Sum of the ratings of cooling units above 11 kW each.

    Raises:
        ValueError: No load, or a sum that no load above 11 kW can have.

    Source: Bundesnetzagentur BK6-22-300, annex 1, numbers 4.5.1 and 4.5.2.
    """
    if loads < 1:
        raise ValueError(f"{loads} steerable loads; the minimum is defined from one load on")
    for sum_w in (large_heat_pumps_w, large_cooling_w):
        if sum_w and sum_w <= LARGE_LOAD_W:
            raise ValueError(f"large thermal loads of {sum_w} W together are not above {LARGE_LOAD_W} W")
    largest_w = max(large_heat_pumps_w, large_cooling_w)
    first_w = LARGE_LOAD_SHARE * largest_w if largest_w else STEERABLE_FLOOR_W
    factor = _SIMULTANEITY.get(loads, _SIMULTANEITY_MIN)
    return first_w + (loads - 1) * factor * STEERABLE_FLOOR_W


class RippleStep(Enum):
    """The feed-in that a ripple-control receiver leaves, as a share of the installed power."""

    FULL = 1.0
    SIXTY = 0.6
    THIRTY = 0.3
    NONE = 0.0


def ripple_step(*, k60: bool, k30: bool, k0: bool) -> RippleStep:
    """Return the step of three relay contacts; where several close, or the wiring is broken so, the lowest counts.

    Source: practice of German grid operators under section 9 EEG, four steps 100, 60, 30 and 0 %.
    """
    if k0:
        return RippleStep.NONE
    if k30:
        return RippleStep.THIRTY
    return RippleStep.SIXTY if k60 else RippleStep.FULL


def ripple_limit_w(step: RippleStep, *, installed_w: float) -> float | None:
    """Return the greatest feed-in in W, zero or greater; ``None`` at the full step."""
    return None if step is RippleStep.FULL else step.value * installed_w
