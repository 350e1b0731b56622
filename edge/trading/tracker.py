"""During delivery: the power that the rest of an interval needs so that its energy meets what was traded."""

from contracts.units import DELIVERY_INTERVAL_S

# In the last seconds the power that is still needed grows beyond any sense: the rest counts as at least this long.
REST_S_MIN = 30.0
_S_PER_H = 3600.0


def schedule_power_w(
    *, position_wh: int, metered_wh: float, elapsed_s: float, import_w_max: float, export_w_max: float
) -> float | None:
    """Return the connection power to aim at, ``None`` where nothing was traded and no schedule binds the site.

    What was metered too much or too little so far is made good over what is left of the interval, so that the energy
    of the whole interval, which settlement looks at, comes out as traded.

    Args:
        position_wh: Net traded energy of the interval, bought positive.
        metered_wh: Net energy at the connection point since its beginning, import positive.
        elapsed_s: Since its beginning.
        import_w_max: What the connection can carry.
        export_w_max: The same, a magnitude.
    """
    if position_wh == 0:
        return None
    rest_s = max(DELIVERY_INTERVAL_S - elapsed_s, REST_S_MIN)
    power_w = (position_wh - metered_wh) * _S_PER_H / rest_s
    return min(max(power_w, -export_w_max), import_w_max)
