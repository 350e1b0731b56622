"""What a device is left with when the gateway falls silent."""

import pytest

from edge.control.fallback import alone_s, holds_bound
from edge.control.lease import HOLD_S, REVERT_S
from edge.control.model import Capability, Reason, Setpoint

NEVER, ALWAYS = float("-inf"), float("inf")


def _setpoint(*, ends_s: float, bound_until_s: float) -> Setpoint:
    return Setpoint(
        asset="pv",
        capability=Capability.LIMIT_GENERATION,
        value_w=0.0,
        reason=Reason.GRID_LIMIT,
        requester="dso",
        expires_s=ends_s,
        order_ends_s=ends_s,
        bound_until_s=bound_until_s,
    )


@pytest.mark.parametrize(
    ("ends_s", "bound_until_s", "lifts", "alone"),
    [
        (900.0, NEVER, True, REVERT_S),  # A price: the owner has it back in a minute and a half.
        (40.0, NEVER, True, 40.0),  # Never beyond its order.
        (900.0, 900.0, True, 900.0),  # A grid operator's limit that the device would lift.
        (900.0, 900.0, False, REVERT_S),  # One that it falls below: it may fall.
        (60.0, ALWAYS, True, HOLD_S),  # A failsafe limit, a contact, the site's own.
        (0.0, NEVER, True, 0.0),
    ],
)
def test_the_reason_and_the_devices_own_way_pick_the_time(
    ends_s: float, bound_until_s: float, lifts: bool, alone: float
) -> None:
    """Losing a price is harmless, losing a grid operator is not."""
    setpoint = _setpoint(ends_s=ends_s, bound_until_s=bound_until_s)
    assert alone_s(setpoint, lifts=lifts, now_s=0.0) == alone
    assert holds_bound(setpoint, lifts=lifts, now_s=0.0) is (lifts and bound_until_s > 0)
