"""Questions to the grid optimisation agent."""

from pydantic import Field

from contracts.grid import Disturbance, FeederState
from contracts.skills.base import Form
from contracts.units import Instant, SiteId

EVENTS_MAX = 20
EVIDENCE_MAX = 500


class GridQuestion(Form):
    """Which feeder, and how many of its last events."""

    feeder: SiteId
    events: int = Field(default=3, ge=0, le=EVENTS_MAX)


class EventAnswer(Form):
    """One demand-response event.

    ``places`` are the limits within the feeder's network that called for relief, ``left`` those that no offer brings
    back.
    """

    event_id: str
    detected_at: Instant
    limit_w: int
    peak_w: float
    sites: tuple[SiteId, ...]
    commands: int
    effective: int
    delivered_wh: int
    released: bool
    places: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class SupplyValue(Form):
    """What the feeder's meter last said of the supply: ``frequency_hz`` or a voltage (``voltage_l1_v``)."""

    name: str
    value: float
    at: Instant


class NetworkPlace(Form):
    """A limit within a network that is passed or near; ``beyond_pu`` is negative inside it."""

    place: str
    beyond_pu: float


class NetworkStatus(Form):
    """Whether a feeder's network is known and calculated, and how it stands, per unit; ``reason`` says it in words.

    ``sites`` have a node in the network, ``sites_without_node`` count among what the feeder carries beside them.
    """

    known: bool
    calculated: bool
    reason: str
    sites: int
    sites_without_node: int
    at: Instant | None = None
    voltage_pu_min: float | None = None
    voltage_pu_max: float | None = None
    line_loading_max: float | None = None
    transformer_loading_max: float | None = None
    near: tuple[NetworkPlace, ...] = ()


class GridStatus(Form):
    """How a feeder stands. ``supply`` has what its meter can tell, and nothing where it tells none."""

    feeder: SiteId
    state: FeederState | None
    power_w: float | None
    limit_w: int | None
    loading_percent: float | None
    at: Instant | None
    disturbances: tuple[Disturbance, ...]
    supply: tuple[SupplyValue, ...] = ()
    network: NetworkStatus | None = None
    events: tuple[EventAnswer, ...]


class EvidenceQuestion(Form):
    """Which event of which feeder, and from which record of its evidence on."""

    feeder: SiteId
    event_id: str = Field(min_length=1, max_length=128)
    first: int = Field(default=0, ge=0)
    count: int = Field(default=100, ge=1, le=EVIDENCE_MAX)


class EvidenceRecord(Form):
    """One record: what happened, when, at which site, with its figures."""

    number: int
    kind: str
    at: Instant
    site: SiteId | None
    fields: dict[str, str | int | float | bool | None]


class EvidenceAnswer(Form):
    """An event's evidence in its order; ``next`` is where to read on, ``None`` at the end."""

    event_id: str
    records: tuple[EvidenceRecord, ...]
    next: int | None
