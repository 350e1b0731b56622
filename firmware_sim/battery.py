"""The battery: what its power may be, how it follows a setpoint, what its state of charge becomes.

Power is measured on the AC side, positive charging. One efficiency holds each way, so that energy drawn, energy given
back and the change of what is stored always add up.
"""

import math
from dataclasses import dataclass

_WS_PER_WH = 3600.0


@dataclass(frozen=True, kw_only=True)
class Charge:
    """How a battery moved through one step: its mean power, its power at the end, and what is then stored."""

    mean_w: float
    end_w: float
    stored_wh: float


@dataclass(kw_only=True)
class Battery:
    """A battery and how full it is."""

    capacity_wh: float
    charge_w_max: float
    discharge_w_max: float
    stored_wh: float
    stored_wh_min: float
    stored_wh_max: float
    one_way_efficiency: float
    response_s: float
    power_w: float = 0.0
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0

    @property
    def soc_percent(self) -> float:
        """Return the state of charge in percent of the capacity."""
        return 100.0 * self.stored_wh / self.capacity_wh

    def step(self, *, setpoint_w: float, duration_s: float, reserve_wh: float = 0.0) -> float:
        """Follow a setpoint for a while and return the mean power of that time.

        Args:
            setpoint_w: Wanted power, positive charging; what the battery cannot do is cut off.
            duration_s: Greater than zero.
            reserve_wh: Stored energy below which it does not discharge.
        """
        moved = follow(self, setpoint_w=setpoint_w, duration_s=duration_s, reserve_wh=reserve_wh)
        energy_wh = moved.mean_w * duration_s / _WS_PER_WH
        if energy_wh > 0:
            self.energy_in_wh += energy_wh
        else:
            self.energy_out_wh -= energy_wh
        self.power_w, self.stored_wh = moved.end_w, moved.stored_wh
        return moved.mean_w


def follow(battery: Battery, *, setpoint_w: float, duration_s: float, reserve_wh: float = 0.0) -> Charge:
    """Return where a setpoint brings a battery, leaving it unchanged.

    The power approaches the setpoint as a first-order lag, whose mean over the step is exact; what would overfill or
    empty the battery is cut so that it ends exactly at the bound, with no power left.
    Source: step response of a first-order lag, p(t) = s + (p0 - s) exp(-t/T).
    """
    floor_wh = max(battery.stored_wh_min, min(reserve_wh, battery.stored_wh_max))
    wanted_w = min(max(setpoint_w, -battery.discharge_w_max), battery.charge_w_max)
    if wanted_w > 0 and battery.stored_wh >= battery.stored_wh_max:
        wanted_w = 0.0
    if wanted_w < 0 and battery.stored_wh <= floor_wh:
        wanted_w = 0.0
    if battery.response_s > 0:
        ratio = duration_s / battery.response_s
        gap_w = battery.power_w - wanted_w
        end_w = wanted_w + gap_w * math.exp(-ratio)
        mean_w = wanted_w - gap_w * math.expm1(-ratio) / ratio
    else:
        mean_w = end_w = wanted_w
    efficiency = battery.one_way_efficiency
    hours = duration_s / _WS_PER_WH
    if mean_w > 0:
        stored_wh = battery.stored_wh + mean_w * hours * efficiency
        if stored_wh >= battery.stored_wh_max:
            room_wh = max(0.0, battery.stored_wh_max - battery.stored_wh)
            return Charge(mean_w=room_wh / efficiency / hours, end_w=0.0, stored_wh=battery.stored_wh + room_wh)
    else:
        stored_wh = battery.stored_wh + mean_w * hours / efficiency
        if stored_wh <= floor_wh:
            left_wh = max(0.0, battery.stored_wh - floor_wh)
            return Charge(mean_w=-left_wh * efficiency / hours, end_w=0.0, stored_wh=battery.stored_wh - left_wh)
    return Charge(mean_w=mean_w, end_w=end_w, stored_wh=stored_wh)
