"""What an energy counter can have counted: bounded by the connection, by power over time, and by its own steps. Pure.

The gateway applies the rules to each observation, the market to each delivery interval: against the connection
(``above_connection``), the register of the interval before and telemetry (``interval_doubt``), and the feeder's meter
(``feeder_doubt``).

Source: field reports of counters that read 0 for minutes at wake-up, wrap, are swapped, reset daily, or stand still
while power flows (victronenergy/dbus-fronius issue 18, CJNE/ha-sunspec issue 249).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.metering import MeterReading

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
# A feeder and its sites are metered at slightly different instants, and the line between them loses some of the energy.
FEEDER_SHARE: Final = 0.1
# What a feeder carries beside its sites is known after so many intervals, a day of them.
RESTS_MIN: Final = 96


class Doubt(StrEnum):
    """Why a counter was not believed."""

    JUMP = "jump"
    FALL = "fall"
    STUCK = "stuck"
    OTHER_LEVEL = "other-level"
    MISSING = "missing"


def carried_wh(*, elapsed_s: float, connection_w: float | None) -> float:
    """Return the most energy that a connection carries in a time; ``connection_w`` is ``None`` where nobody said."""
    return (connection_w or CONNECTION_W_UNKNOWN) * CONNECTION_MARGIN * elapsed_s / 3600


def slack_wh(connection_w: float | None) -> float:
    """Return how far a counter may read beyond what its connection carried, by its steps and its rounding."""
    return RESOLUTION_WH if connection_w is not None else RESOLUTION_WH + STEP_WH_MAX


def room_wh(*, elapsed_s: float, connection_w: float | None, power_wh: float | None) -> float:
    """Return the most that a counter can have risen.

    Args:
        elapsed_s: Time since it last rose, zero or greater.
        connection_w: What the connection can carry; ``None`` where nobody said.
        power_wh: Energy by power over that time in the counter's direction; ``None`` where power was not watched.
    """
    most_wh = carried_wh(elapsed_s=elapsed_s, connection_w=connection_w) + slack_wh(connection_w)
    return most_wh if power_wh is None else min(most_wh, POWER_FACTOR * power_wh + STEP_WH_MAX)


@dataclass(frozen=True, kw_only=True)
class CounterHabit:
    """How the counter of a device behaves where it does not simply rise.

    Args:
        wraps_at_wh: It begins at zero again when it has counted so much; ``None`` where it never does.
        counts_down: It begins at ``wraps_at_wh`` and falls.
        zero_is_no_value: It reads zero while the device wakes up.
    """

    wraps_at_wh: float | None = None
    counts_down: bool = False
    zero_is_no_value: bool = False

    def __post_init__(self) -> None:
        """Check that a counter that falls falls from somewhere."""
        assert not self.counts_down or self.wraps_at_wh is not None

    def counted_wh(self, shown_wh: float) -> float | None:
        """Return what was counted since the counter's start, by what it shows; ``None`` where that is no value."""
        if self.zero_is_no_value and shown_wh == 0:
            return None
        return self.wraps_at_wh - shown_wh if self.counts_down and self.wraps_at_wh is not None else shown_wh

    def went_round(self, before_wh: float, now_wh: float, *, room_wh: float) -> bool:
        """Return whether a fall is a counter that began at zero again.

        Args:
            room_wh: The most that it can have risen since.
        """
        if self.wraps_at_wh is None or now_wh >= before_wh:
            return False
        return now_wh + self.wraps_at_wh - before_wh <= room_wh


RISES: Final = CounterHabit()


def lag_threshold_wh(step_wh: float) -> float:
    """Return after how much energy by power a counter must have moved, given the steps in which it rises.

    ``step_wh`` is zero where it was never seen to move; whether it stands still or counts in coarse steps is not known
    then, and power says what flowed until it moves.
    """
    return max(LAG_WH_MIN, min(1.5 * step_wh, 1.5 * STEP_WH_MAX))


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


def interval_doubt(reading: MeterReading, *, before: MeterReading | None, telemetry_wh: float | None) -> str | None:
    """Return why an interval's reading cannot be, ``None`` where nothing speaks against it.

    Args:
        reading: What the meter is said to have counted.
        before: The plausible reading of the interval before, ``None`` where there is none of good quality.
        telemetry_wh: Net energy of the interval by its power, positive for import; ``None`` where too little of it
            was told.
    """
    if before is not None:
        for direction, start_wh, end_before_wh in (
            ("import", reading.register_import_wh - reading.import_wh, before.register_import_wh),
            ("export", reading.register_export_wh - reading.export_wh, before.register_export_wh),
        ):
            # A register that begins at zero is a new meter's, or one that counts each day anew.
            if start_wh and abs(start_wh - end_before_wh) > RESOLUTION_WH:
                return (
                    f"{Doubt.JUMP if start_wh > end_before_wh else Doubt.FALL}: the {direction} register began the "
                    f"interval at {start_wh} Wh and ended the one before at {end_before_wh} Wh"
                )
    return None if telemetry_wh is None else _against_power(reading.import_wh - reading.export_wh, telemetry_wh)


def _against_power(net_wh: int, power_wh: float) -> str | None:
    """Return why a net energy cannot be, given the energy by power over the same time."""
    if abs(net_wh - power_wh) > (POWER_FACTOR - 1) * abs(power_wh) + STEP_WH_MAX:
        return f"{Doubt.JUMP}: {net_wh} Wh were counted where telemetry says {power_wh:.0f} Wh"
    forward_wh = net_wh if power_wh > 0 else -net_wh
    if abs(power_wh) >= LAG_WH_UNKNOWN and forward_wh < LAG_SHARE * abs(power_wh):
        return f"{Doubt.STUCK}: {net_wh} Wh were counted where telemetry says {power_wh:.0f} Wh"
    return None


def feeder_doubt(site_wh: Mapping[str, int], *, feeder_wh: int) -> str | None:
    """Return why the net energies of all sites of a feeder cannot be what its own meter counted in the same interval.

    Args:
        site_wh: By site, positive for import; every connection of the feeder is among them.
        feeder_wh: By the feeder's meter, positive for import.
    """
    sum_wh = sum(site_wh.values())
    largest_wh = max((abs(value) for value in (*site_wh.values(), feeder_wh)), default=0)
    if abs(sum_wh - feeder_wh) <= STEP_WH_MAX + FEEDER_SHARE * largest_wh:
        return None
    return f"the {len(site_wh)} sites of the feeder sum to {sum_wh} Wh, its own meter counted {feeder_wh} Wh"


def rest_doubt(rest_wh: int, *, usual_wh: Sequence[int], largest_wh: int) -> str | None:
    """Return why what a feeder carries beside its sites in an interval cannot be, by what it carried there before.

    Args:
        rest_wh: The feeder's meter less all its sites' meters, positive for import.
        usual_wh: The same in earlier intervals whose readings were believed; with too few of them nothing is known.
        largest_wh: The greatest magnitude among the readings of the interval.
    """
    if len(usual_wh) < RESTS_MIN:
        return None
    low, high = min(usual_wh), max(usual_wh)
    # It may go beyond what was seen by as much as it varied.
    slack_wh = STEP_WH_MAX + FEEDER_SHARE * largest_wh + (high - low)
    if low - slack_wh <= rest_wh <= high + slack_wh:
        return None
    return f"the feeder would carry {rest_wh} Wh beside its sites, in the days before it was {low} to {high} Wh"
