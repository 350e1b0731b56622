"""The public state of a feeder, and the record of a demand-response event."""

from enum import StrEnum

from contracts.units import Instant, SiteId, ZoneId
from contracts.wire import Message


class FeederState(StrEnum):
    """What the grid agent is doing about a feeder."""

    NORMAL = "normal"
    OVERLOADED = "overloaded"
    LIMITING = "limiting"
    RELEASING = "releasing"


class GridBroadcast(Message):
    """The state of one feeder; power is positive from the grid into the feeder."""

    zone: ZoneId
    feeder: SiteId
    at: Instant
    state: FeederState
    power_w: float | None = None
    limit_w: int
    event_id: str | None = None
