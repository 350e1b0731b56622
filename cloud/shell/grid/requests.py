"""Requests to hold a feeder below a lower limit for a while; the grid agent looks at them in every step.

A request ends by itself. One that cannot be held (a registry may have changed since) counts for nothing, so that the
feeder's own limits hold whatever stands in the tables.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cloud.grid.model import Direction, GridSettings
from cloud.shell.intake import LOG
from cloud.stores import keys
from cloud.stores.tables import Tables
from contracts.units import SiteId, epoch_ms, instant


@dataclass(frozen=True, kw_only=True)
class LimitRequest:
    """A limit without sign in W for one direction, until when, and why."""

    direction: Direction
    limit_w: int
    until: datetime
    reason: str

    def body(self) -> dict[str, Any]:
        """Return the request as it is kept."""
        return {
            "direction": str(self.direction),
            "limit_w": self.limit_w,
            "until_ms": epoch_ms(self.until),
            "reason": self.reason,
        }


def limited(settings: GridSettings, direction: Direction, limit_w: int) -> GridSettings:
    """Return settings under a lower limit.

    Raises:
        ValueError: The limit is too low to be held with the feeder's margin.
    """
    name = "import_limit_w" if direction is Direction.REDUCE_IMPORT else "export_limit_w"
    return replace(settings, **{name: min(limit_w, getattr(settings, name))})


def request_at(tables: Tables, feeder: SiteId, *, at: datetime) -> LimitRequest | None:
    """Return the request that holds at an instant."""
    item = tables.get(keys.feeder_request(feeder))
    if item is None or instant(item.body["until_ms"]) <= at:
        return None
    return LimitRequest(
        direction=Direction(item.body["direction"]),
        limit_w=item.body["limit_w"],
        until=instant(item.body["until_ms"]),
        reason=item.body["reason"],
    )


def held(settings: GridSettings, request: LimitRequest | None) -> GridSettings:
    """Return the settings that the agent holds now."""
    if request is None:
        return settings
    try:
        return limited(settings, request.direction, request.limit_w)
    except ValueError as error:
        LOG.warning("limit request not held", extra={"feeder": settings.feeder, "error": str(error)})
        return settings
