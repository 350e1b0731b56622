"""The inverter: how PV behind it is curtailed and what it asks of the battery behind it.

Pure. What a client wrote arrives as ``Orders``; registers and timers are the device's business, not the plant's.
"""

from dataclasses import dataclass

from firmware_sim.plant_config import Uncommanded


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What an inverter has been told, in W.

    ``output_w_max`` bounds the AC power fed out (``None``: its rating only). The battery stays between
    ``battery_w_min`` and ``battery_w_max`` (positive charging); a ``battery_w_min`` above zero forces charging at that
    power, a ``battery_w_max`` below zero forces discharging.
    """

    output_w_max: float | None = None
    battery_w_min: float | None = None
    battery_w_max: float | None = None
    grid_charge: bool = True
    reserve_percent: float = 0.0
    connected: bool = True


def pv_generation_w(*, available_w: float, output_w_max: float, battery_w: float) -> float:
    """Return what PV generates, zero or greater: no more than may be fed out and the battery takes."""
    return max(0.0, min(available_w, output_w_max + battery_w))


def battery_setpoint_w(
    orders: Orders,
    *,
    uncommanded: Uncommanded,
    residual_w: float,
    available_pv_w: float,
    rated_w: float,
    charge_w_max: float,
    discharge_w_max: float,
) -> float:
    """Return the power that the inverter asks of its battery, positive charging.

    Args:
        orders: What it has been told.
        uncommanded: What it does inside its bounds of its own accord.
        residual_w: Power at the connection point without the battery, positive import.
        available_pv_w: What PV behind this inverter could generate, zero or greater.
        rated_w: The inverter's AC rating, for either direction.
        charge_w_max: The battery's own bound.
        discharge_w_max: The battery's own bound, a magnitude.
    """
    if not orders.connected:
        return 0.0
    low_w = -discharge_w_max if orders.battery_w_min is None else orders.battery_w_min
    high_w = charge_w_max if orders.battery_w_max is None else orders.battery_w_max
    output_w_max = rated_w if orders.output_w_max is None else min(rated_w, orders.output_w_max)
    if low_w > 0 and high_w < 0:
        wanted_w = 0.0
    elif low_w > 0:
        wanted_w = min(low_w, high_w)
    elif high_w < 0:
        wanted_w = max(low_w, high_w)
    elif uncommanded is Uncommanded.HOLD:
        wanted_w = min(max(0.0, low_w), high_w)
    else:
        # PV that the output limit would curtail is stored instead, where there is room.
        surplus_w = max(-residual_w, available_pv_w - output_w_max)
        wanted_w = min(max(surplus_w, low_w), high_w)
    from_grid_w = rated_w if orders.grid_charge else 0.0
    return min(max(wanted_w, -output_w_max), available_pv_w + from_grid_w)
