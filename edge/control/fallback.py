"""What a device is left with when this gateway falls silent, chosen by the reason behind its setpoint.

Losing a price signal may hand a device back to its owner within a minute; losing a grid operator must not hand back the
power that was limited. So a short time is armed where falling leads somewhere safe, and a long one where the device
would lift a bound of the grid operator or of the site. What a living gateway falls to needs no table: a request that
ended is not there any more, and the failsafe limit and self-consumption stand below.

Source: evidence in field reports that one controller falls three ways on three models (Victron dbus-fronius), and that
a limit released by a timer costs penalties (victronenergy/venus issue 1643).
"""

from edge.control.lease import HOLD_S, revert_s
from edge.control.model import Setpoint


def holds_bound(setpoint: Setpoint, *, lifts: bool, now_s: float) -> bool:
    """Say whether a bound of grid operator or site stands behind a setpoint that its device would lift by itself."""
    return lifts and setpoint.bound_until_s > now_s


def alone_s(setpoint: Setpoint, *, lifts: bool, now_s: float) -> float:
    """Return for how long a device may hold a setpoint alone, zero or greater.

    Args:
        lifts: Whether the device's own timer takes the restriction away.
    """
    short_s = revert_s(expires_s=setpoint.order_ends_s, now_s=now_s)
    if not holds_bound(setpoint, lifts=lifts, now_s=now_s):
        return short_s
    return max(short_s, revert_s(expires_s=setpoint.bound_until_s, now_s=now_s, longest_s=HOLD_S))
