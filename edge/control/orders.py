"""An accepted command as a request to the arbiter."""

import math
from datetime import datetime

from contracts.control import BatteryPower, Command, LimitExport, LimitImport, LimitLoad, Switch
from edge.control.keys import PERMISSIONS, Role
from edge.control.model import BATTERIES, CONNECTION, Reason, Request, load

_REASON = {
    Role.GRID_OPERATOR: Reason.GRID_LIMIT,
    Role.AGGREGATOR: Reason.SCHEDULE,
    Role.OWNER: Reason.OPERATOR,
    Role.INSTALLER: Reason.OPERATOR,
}
# Any power above zero says on; how much it then draws is left to the load.
_ON_W = 1.0


def requester_of(command: Command) -> str:
    """Name the holder of a command's request: a newer one of the same issuer and kind (and load) takes its place."""
    action = command.action
    load = f"/{action.device}" if isinstance(action, Switch | LimitLoad) else ""
    return f"{command.issuer}/{action.kind}{load}"


def request_of(command: Command, *, role: Role, now_s: float, now: datetime) -> Request | None:
    """Return what an accepted command asks of the arbiter, ``None`` where it asks for no power.

    The order's own expiry bounds it: wall time is turned into the monotonic clock's once, here, so that a later step of
    the wall clock neither extends nor cuts the order.

    Args:
        command: As the gate accepted it.
        role: Of its issuer.
        now_s: The monotonic clock, at the same moment as ``now``.
        now: The wall clock.
    """
    action = command.action
    resource, min_w, max_w = CONNECTION, float("-inf"), float("inf")
    preferred_w: float | None = None
    if isinstance(action, LimitImport):
        max_w = float(action.max_w)
    elif isinstance(action, LimitExport):
        min_w = -float(action.max_w)
    elif isinstance(action, BatteryPower):
        resource, min_w = BATTERIES, float(action.power_w)
        max_w = preferred_w = min_w
    elif isinstance(action, Switch):
        resource = load(action.device)
        min_w, max_w, preferred_w = (_ON_W, max_w, math.inf) if action.on else (0.0, 0.0, 0.0)
    elif isinstance(action, LimitLoad):
        resource, max_w = load(action.device), float(action.max_w)
    else:
        return None
    return Request(
        requester=requester_of(command),
        resource=resource,
        priority=PERMISSIONS[role].priority,
        reason=_REASON[role],
        expires_s=now_s + (command.expires_at - now).total_seconds(),
        min_w=min_w,
        max_w=max_w,
        preferred_w=preferred_w,
    )
