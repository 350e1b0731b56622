"""What cannot be true: values outside what the quantity allows, counters that fall or run away. Pure."""

from dataclasses import dataclass

# Canonical names (or their ends) and the range outside which a reading is discarded.
# Source: commissioning checks of field practice: 85 to 300 V, 45 to 65 Hz, 0 to 100 percent.
_VOLTAGE = (85.0, 300.0)
_LINE_VOLTAGE = (147.0, 520.0)  # The same, between phases.
_FREQUENCY = (45.0, 65.0)
_PERCENT = (0.0, 100.0)
_TEMPERATURE = (-60.0, 200.0)
JUMP_SHARE = 1.5  # A counter that rises faster than rated power by this factor is not believed.
JUMP_WH_MIN = 50.0  # Resolution and rounding of counters, whatever the time.
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
    """

    rated_w: float
    value_wh: float | None = None
    at_s: float = 0.0
    _suspect_wh: float | None = None
    _suspect_at_s: float = 0.0
    _confirmed: int = 0

    def accepts(self, value_wh: float, *, now_s: float) -> bool:
        """Return whether the reading is believed, and remember it."""
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

    def _follows(self, before_wh: float, before_s: float, value_wh: float, now_s: float) -> bool:
        room_wh = self.rated_w * max(0.0, now_s - before_s) / 3600 * JUMP_SHARE + JUMP_WH_MIN
        return 0 <= value_wh - before_wh <= room_wh

    def _take(self, value_wh: float, now_s: float) -> None:
        # From the last rise: a counter in steps of 1 kWh may take one whenever its energy had the time to flow.
        if self.value_wh is None or value_wh != self.value_wh:
            self.at_s = now_s
        self.value_wh = value_wh
        self._suspect_wh, self._confirmed = None, 0
