"""What the grid agent asks its caller to do: commands, a broadcast, evidence. Values only; the caller acts."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cloud.grid.model import Direction
from contracts.control import BatteryPower, LimitExport, LimitImport
from contracts.grid import FeederState, GridBroadcast
from contracts.units import SiteId

OrderAction = LimitImport | LimitExport | BatteryPower
EvidenceValue = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class SendCommand:
    """Sign and send an order that ends at ``expires_at``; a later one of the same kind to the site supersedes it."""

    command_id: str
    site: SiteId
    action: OrderAction
    issued_at: datetime
    expires_at: datetime
    event_id: str


@dataclass(frozen=True, kw_only=True)
class ReleaseCommand:
    """Sign and send the early end of the order ``releases``."""

    command_id: str
    site: SiteId
    releases: str
    issued_at: datetime
    expires_at: datetime
    event_id: str


@dataclass(frozen=True, kw_only=True)
class Broadcast:
    """Tell the zone how the feeder stands."""

    message: GridBroadcast


class EvidenceKind(StrEnum):
    """What a piece of evidence shows."""

    DETECTED = "detected"
    STATE = "state"
    ORDERED = "ordered"
    ACKNOWLEDGED = "acknowledged"
    METERED = "metered"
    FAILED = "failed"
    SHORTFALL = "shortfall"
    RELEASED = "released"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class RecordEvidence:
    """Append a piece of evidence to an event's record; never drop it."""

    event_id: str
    kind: EvidenceKind
    at: datetime
    site: SiteId | None = None
    fields: dict[str, EvidenceValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RecordEvent:
    """Keep the summary of an event, in place of the one before.

    ``commands`` counts orders and their renewals, ``applied`` and ``effective`` how many of those came that far.
    ``delivered_wh`` is metered against each site's baseline; ``effect_ms`` the time from each new order, renewals
    left out, to the meter showing its effect. ``places`` are the limits within the network that called for relief,
    ``left`` those that the offers do not bring back.
    """

    event_id: str
    feeder: SiteId
    direction: Direction
    state: FeederState
    detected_at: datetime
    limit_w: int
    peak_w: float
    need_w: float
    shortfall_w: float
    sites: tuple[SiteId, ...]
    commands: int
    applied: int
    effective: int
    rejected: int
    delivered_wh: int
    effective_at: datetime | None
    effect_ms: tuple[int, ...]
    released: bool
    ended_at: datetime | None
    places: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


GridAction = SendCommand | ReleaseCommand | Broadcast | RecordEvidence | RecordEvent
