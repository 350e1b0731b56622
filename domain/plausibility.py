"""What an energy counter can have counted: bounded by the connection, by power over time, and by its own steps. Pure.

The gateway applies the rules to each observation, the market to each delivery interval.

Source: field reports of counters that read 0 for minutes at wake-up, wrap, are swapped, reset daily, or stand still
while power flows (victronenergy/dbus-fronius issue 18, CJNE/ha-sunspec issue 249).
"""

from enum import StrEnum
from typing import Final

# A connection carries at most so much more than its rating over minutes: fuses are slow, meters have tolerances.
CONNECTION_MARGIN: Final = 1.1
# Where no rating is known, nothing that a gateway measures carries more.
CONNECTION_W_UNKNOWN: Final = 10_000_000.0
# Resolution and rounding of counters, whatever the time.
RESOLUTION_WH: Final = 100.0
# A counter may outrun sampled power by this factor, and by one step of a coarse counter.
POWER_FACTOR: Final = 3.0
STEP_WH_MAX: Final = 1_000.0
# A counter that shows less than this share of the energy that power says flowed stands still or counts other units.
LAG_SHARE: Final = 0.1
# From this share on it counts again.
FOLLOWS_SHARE: Final = 0.5
# Below this power a meter may rightly count nothing: starting current.
LAG_POWER_W_MIN: Final = 50.0
LAG_WH_MIN: Final = 100.0
LAG_WH_UNKNOWN: Final = 1_200.0


class Doubt(StrEnum):
    """Why a counter was not believed."""

    JUMP = "jump"
    FALL = "fall"
    STUCK = "stuck"
    OTHER_LEVEL = "other-level"
    MISSING = "missing"


def room_wh(*, elapsed_s: float, connection_w: float | None, power_wh: float | None) -> float:
    """Return the most that a counter can have risen.

    Args:
        elapsed_s: Time since it last rose, zero or greater.
        connection_w: What the connection can carry; ``None`` where nobody said.
        power_wh: Energy by power over that time in the counter's direction; ``None`` where power was not watched.
    """
    carried_wh = (connection_w or CONNECTION_W_UNKNOWN) * CONNECTION_MARGIN * elapsed_s / 3600 + RESOLUTION_WH
    if connection_w is None:
        carried_wh += STEP_WH_MAX
    return carried_wh if power_wh is None else min(carried_wh, POWER_FACTOR * power_wh + STEP_WH_MAX)


def lag_threshold_wh(step_wh: float) -> float:
    """Return after how much energy by power a counter must have moved, given the steps in which it rises.

    ``step_wh`` is zero where it was never seen to move.
    """
    return max(LAG_WH_MIN, min(1.5 * step_wh, 1.5 * STEP_WH_MAX)) if step_wh else LAG_WH_UNKNOWN


def above_connection(*, import_wh: int, export_wh: int, connection_wh: int, margin_permille: int) -> str | None:
    """Return why an interval's reading is more than its connection can carry, ``None`` where it is not.

    Args:
        import_wh: Energy taken in the interval, zero or greater.
        export_wh: Energy given in the interval, zero or greater.
        connection_wh: What the registered connection carries in the interval; 0 where none is registered.
        margin_permille: What a meter and a fuse may exceed the rating by, in thousandths.
    """
    bound_wh = connection_wh * (1000 + margin_permille) // 1000
    if not connection_wh or max(import_wh, export_wh) <= bound_wh:
        return None
    which, value_wh = ("import", import_wh) if import_wh >= export_wh else ("export", export_wh)
    return f"{which} of {value_wh} Wh is above the {bound_wh} Wh that the connection can carry in the interval"
