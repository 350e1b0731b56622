"""The question for a zone's day, and what a day came to."""

from datetime import date

from pydantic import Field

from contracts.skills.base import Form
from contracts.units import Instant, SiteId, ZoneId

# Sums over fewer sites would tell what a single household did.
SITES_MIN = 3


class DayQuestion(Form):
    """Which zone, and which local day of it."""

    zone: ZoneId
    day: date


class DayEvent(Form):
    """One demand-response event of the day; ``sites`` is how many were asked."""

    feeder: SiteId
    event_id: str
    detected_at: Instant
    limit_w: int
    peak_w: float
    sites: int = Field(ge=0)
    commands: int
    effective: int
    delivered_wh: int
    released: bool


class DaySums(Form):
    """What all settled sites of the day came to together; energy without sign, money positive where sites pay."""

    import_wh: int
    export_wh: int
    imbalance_wh: int
    imbalance_uct: int
    demand_response_uct: int


class DayAnswer(Form):
    """A zone's local day ``[since, until)``.

    Prices are those of trades: ``mean`` weighed by energy, over the delivery intervals the dearest and the cheapest
    mean. ``sums`` is ``None`` where fewer than ``SITES_MIN`` sites were settled. ``sound``, ``halted`` and
    ``waiting_claims`` are how the market stands now.
    """

    zone: ZoneId
    day: date
    since: Instant
    until: Instant
    intervals: int
    trades: int
    volume_wh: int
    mean_mct_per_kwh: int | None
    dearest_at: Instant | None
    dearest_mct_per_kwh: int | None
    cheapest_at: Instant | None
    cheapest_mct_per_kwh: int | None
    settled_sites: int
    settlements: int
    estimated: int
    sums: DaySums | None
    events: tuple[DayEvent, ...]
    sound: bool
    halted: str | None
    waiting_claims: int
