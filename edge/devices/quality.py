"""What cannot be true: values outside what a quantity or a site allows, counters and charge that jump. Pure."""

from dataclasses import dataclass, field

from domain.plausibility import RISES, CounterHabit

# Canonical names (or their ends) and the range outside which a reading is discarded.
# Source: commissioning checks of field practice: 85 to 300 V, 45 to 65 Hz, 0 to 100 percent.
_VOLTAGE = (85.0, 300.0)
_LINE_VOLTAGE = (147.0, 520.0)  # The same, between phases.
_FREQUENCY = (45.0, 65.0)
_PERCENT = (0.0, 100.0)
_TEMPERATURE = (-60.0, 200.0)
JUMP_SHARE = 1.5  # A counter that rises faster than rated power by this factor is not believed.
JUMP_WH_MIN = 50.0  # Resolution and rounding of counters, whatever the time.
BEYOND_FUSE = 2.0  # A power beyond the fuse (or the rating) by this factor is a torn sample: nothing carries it.
CONNECTION_W_MIN = 11_040.0  # A contract may be less than the fuse; no fuse is less than three phases of 16 A.
SOC_STEP_PCT = 3.0  # What a battery may correct its state of charge by at once.
SOC_PCT_PER_S = 0.1  # Full in 17 minutes: faster than any battery of a building.
SOC_CONFIRMATIONS = 5  # Samples of about a second: a lost word lasts one or two.
CONFIRMATIONS = 3  # Readings that agree on a new level before a quarantined counter is believed again.


def plausible_range(canonical: str) -> tuple[float, float] | None:
    """Return the least and the greatest value that a quantity can have, None where anything can be."""
    phases = ("l1_v", "l2_v", "l3_v")
    if canonical.startswith(("voltage_", "grid_voltage_")):
        if canonical.endswith(("l1_l2_v", "l2_l3_v", "l3_l1_v")):
            return _LINE_VOLTAGE
        return _VOLTAGE if canonical.endswith((*phases, "voltage_v")) or "_x3_" in canonical else None
    if canonical.endswith("frequency_hz") or canonical in ("frequency_fine_hz", "frequency_x3_hz"):
        return _FREQUENCY
    if canonical in ("soc_pct", "soh_pct", "soc_f32_pct") or canonical.startswith(("battery1_soc", "battery2_soc")):
        return _PERCENT
    if canonical.endswith("temperature_c"):
        return _TEMPERATURE
    return None


def power_w_max(*, rated_w: float, connection_w: float) -> float:
    """Return the magnitude beyond which a power is no measurement.

    Args:
        rated_w: Of everything whose power it can be; 0 where nobody said.
        connection_w: The fuse or contract of the site.
    """
    return BEYOND_FUSE * (rated_w or max(connection_w, CONNECTION_W_MIN))


def is_counter(canonical: str) -> bool:
    """Return whether a quantity is an energy that only ever rises."""
    if not canonical.endswith("_wh"):
        return False
    never = ("capacity_wh", "available_energy_wh", "usable_capacity_wh", "energy_today_wh", "energy_session_wh")
    return not (canonical in never or "today" in canonical)


@dataclass(slots=True)
class CounterGuard:
    """Believes a counter while it rises as slowly as the device can make it; what falls or jumps is quarantined.

    A level that several readings in a row confirm is believed again: the counter was replaced or reset, and whoever
    settles sees the gap in the qualities.

    Args:
        rated_w: The greatest power that the counter can count.
        habit: How it behaves where it does not simply rise.
    """

    rated_w: float
    habit: CounterHabit = RISES
    rounds_wh: float = 0.0
    value_wh: float | None = None
    at_s: float = 0.0
    _suspect_wh: float | None = None
    _suspect_at_s: float = 0.0
    _confirmed: int = 0

    def counted_wh(self, shown_wh: float) -> float | None:
        """Return the counter's level as one that only ever rises, its rounds added; None where it shows no value."""
        counted_wh = self.habit.counted_wh(shown_wh)
        return None if counted_wh is None else counted_wh + self.rounds_wh

    def accepts(self, value_wh: float, *, now_s: float) -> bool:
        """Return whether a level is believed, and remember it."""
        if self.value_wh is None or self._follows(self.value_wh, self.at_s, value_wh, now_s):
            self._take(value_wh, now_s)
            return True
        suspect_wh = self._suspect_wh
        if suspect_wh is not None and self._follows(suspect_wh, self._suspect_at_s, value_wh, now_s):
            self._confirmed += 1
        else:
            self._confirmed = 1
        self._suspect_wh, self._suspect_at_s = value_wh, now_s
        if self._confirmed > CONFIRMATIONS:
            self._take(value_wh, now_s)
            return True
        return False

    def went_round(self, level_wh: float, *, now_s: float) -> bool:
        """Return whether a level below the last one is a counter that began at zero again, and count its round."""
        if self.value_wh is None or self.habit.wraps_at_wh is None:
            return False
        room_wh = self._room_wh(self.at_s, now_s)
        if not self.habit.went_round(self.value_wh, level_wh, room_wh=room_wh):
            return False
        self.rounds_wh += self.habit.wraps_at_wh
        return True

    def _follows(self, before_wh: float, before_s: float, value_wh: float, now_s: float) -> bool:
        return 0 <= value_wh - before_wh <= self._room_wh(before_s, now_s)

    def _room_wh(self, since_s: float, now_s: float) -> float:
        return self.rated_w * max(0.0, now_s - since_s) / 3600 * JUMP_SHARE + JUMP_WH_MIN

    def _take(self, value_wh: float, now_s: float) -> None:
        # From the last rise: a counter in steps of 1 kWh may take one whenever its energy had the time to flow.
        if self.value_wh is None or value_wh != self.value_wh:
            self.at_s = now_s
        self.value_wh = value_wh
        self._suspect_wh, self._confirmed = None, 0


@dataclass(slots=True)
class ChargeGuard:
    """Holds back a state of charge that moved faster than any battery, until several samples in a row agree on it.

    A word lost on the way reads as an empty battery, and control would stop to discharge a full one.
    """

    value_pct: float | None = None
    at_s: float = 0.0
    _suspect_pct: float = 0.0
    _confirmed: int = 0

    def accepts(self, value_pct: float, *, now_s: float) -> bool:
        """Return whether the sample is believed, and remember it."""
        room_pct = SOC_STEP_PCT + SOC_PCT_PER_S * max(0.0, now_s - self.at_s)
        if self.value_pct is not None and abs(value_pct - self.value_pct) > room_pct:
            agrees = self._confirmed > 0 and abs(value_pct - self._suspect_pct) <= SOC_STEP_PCT
            self._confirmed = self._confirmed + 1 if agrees else 1
            self._suspect_pct = value_pct
            if self._confirmed < SOC_CONFIRMATIONS:
                return False
        self.value_pct, self.at_s, self._confirmed = value_pct, now_s, 0
        return True


@dataclass
class Quarantine:
    """What was discarded: how many readings of each quantity, and the last of each in one sentence."""

    counts: dict[str, int] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def add(self, canonical: str, value: float, why: str) -> None:
        """Count a reading that is not used."""
        self.counts[canonical] = self.counts.get(canonical, 0) + 1
        self.said[canonical] = f"{canonical} read {value:g}, {why}; the sample is not used"
