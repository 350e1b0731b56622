"""What the grid agent remembers between two looks at a feeder: frozen, and the same after a trip through JSON."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from cloud.grid.actions import OrderAction
from cloud.grid.model import Direction
from cloud.grid.monitor import SustainState
from cloud.grid.supply import SupplyState
from contracts.control import AckStage
from contracts.grid import Disturbance, FeederState
from contracts.units import SiteId


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A site's recent powers without an order, averaged over a short window that ends at ``at``."""

    site: SiteId
    at: datetime
    connection_w: float
    battery_w: float = 0.0
    pv_w: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One command that was sent for an order or for the one before it, and how far its answers have come."""

    command_id: str
    ordered_at: datetime
    asked_at: datetime
    stage: AckStage | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order that a site carries now; a renewal gives it a new command and keeps ``ordered_at``.

    ``asked`` holds the last commands, the newest last: answers may come after a renewal was sent. ``effective_at`` is
    when the site first reported the change effective.
    ``change_w`` is the wanted change of the connection power without sign, ``full_change_w`` that before the release
    began to take it back; ``eased_w`` is by how much this order asks for less than the one before it.
    ``beyond_battery_w`` is the part of the change that load or sun must bring.
    """

    command_id: str
    action: OrderAction
    change_w: float
    full_change_w: float
    ordered_at: datetime
    issued_at: datetime
    expires_at: datetime
    asked: tuple[Asked, ...] = ()
    effective_at: datetime | None = None
    eased_w: float = 0.0
    beyond_battery_w: float = 0.0

    @property
    def stage(self) -> AckStage | None:
        """Return how far the newest command of this order that was answered has come."""
        answered = [each.stage for each in self.asked if each.ordered_at == self.ordered_at and each.stage]
        return answered[-1] if answered else None

    @property
    def unanswered_since_at(self) -> datetime | None:
        """Return when the oldest command was sent that no answer has followed, so that renewals extend no deadline."""
        since_at = None
        for each in reversed(self.asked):
            if each.stage is not None:
                break
            since_at = each.asked_at
        return since_at


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How far a site's devices had moved at an instant, in W of the wanted direction, and what its meter read."""

    at: datetime
    moved_w: float
    connection_w: float


@dataclass(frozen=True, kw_only=True)
class Participation:
    """One site's part in an event.

    ``cap_w`` is what the site has proven unable to exceed since ``capped_at``, ``refusals`` how often in a row it
    refused for a reason that passes. ``trail`` is how far the site had moved, in time order, from the feeder's own
    newest sample on, which may be older than the site's. ``delivered_wh`` is metered against the baseline.
    """

    site: SiteId
    baseline: Baseline
    order: Order | None = None
    cap_w: float | None = None
    capped_at: datetime | None = None
    refusals: int = 0
    trail: tuple[Moved, ...] = ()
    metered_w: float = 0.0
    delivered_wh: float = 0.0
    evidence_at: datetime | None = None

    @property
    def latest(self) -> Moved | None:
        """Return the newest observation, or ``None`` before the first."""
        return self.trail[-1] if self.trail else None


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a feeder carries beside ``sites``, and the voltage against neutral at its meter, as running means."""

    at: datetime
    sites: tuple[SiteId, ...]
    others_w: float
    meter_v: float | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One demand-response event from detection to release.

    ``places`` are the limits within the network that called for relief, ``left`` those that the offers cannot reach.
    """

    event_id: str
    direction: Direction
    detected_at: datetime
    limit_w: int
    peak_w: float
    need_w: float = 0.0
    shortfall_w: float = 0.0
    parts: tuple[Participation, ...] = ()
    issued: int = 0
    commands: int = 0
    applied: int = 0
    effective: int = 0
    rejected: int = 0
    effective_at: datetime | None = None
    effect_ms: tuple[int, ...] = ()
    calm_since_at: datetime | None = None
    release_started_at: datetime | None = None
    places: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def part(self, site: SiteId) -> Participation | None:
        """Return a site's part, or ``None`` where it has none."""
        return next((part for part in self.parts if part.site == site), None)


@dataclass(frozen=True, kw_only=True)
class EventState:
    """Everything that ``advance`` needs of the past of one feeder; its meter was last heard of at ``heard_at``.

    ``told`` is what was told last that the supply suffers from, a silent meter included. The watches of the network say
    whether a limit within it is passed that importing or exporting less would relieve.
    """

    state: FeederState = FeederState.NORMAL
    import_watch: SustainState = field(default_factory=SustainState)
    export_watch: SustainState = field(default_factory=SustainState)
    power_w: float | None = None
    power_at: datetime | None = None
    heard_at: datetime | None = None
    baselines: tuple[Baseline, ...] = ()
    event: Event | None = None
    broadcast_at: datetime | None = None
    supply: SupplyState = field(default_factory=SupplyState)
    told: tuple[Disturbance, ...] = ()
    network_import_watch: SustainState = field(default_factory=SustainState)
    network_export_watch: SustainState = field(default_factory=SustainState)
    surroundings: Surroundings | None = None

    def baseline(self, site: SiteId) -> Baseline | None:
        """Return a site's baseline, or ``None`` where it was never seen."""
        return next((baseline for baseline in self.baselines if baseline.site == site), None)


@cache
def _adapter() -> TypeAdapter[EventState]:
    return TypeAdapter(EventState)


def dump_state(state: EventState) -> dict[str, Any]:
    """Return a state as plain JSON values, for a store."""
    dumped: dict[str, Any] = _adapter().dump_python(state, mode="json")
    return dumped


def load_state(stored: dict[str, Any] | None) -> EventState:
    """Return the state that ``dump_state`` made, or a fresh one.

    Raises:
        pydantic.ValidationError: The stored value is of another shape.
    """
    return EventState() if stored is None else _adapter().validate_python(stored)
