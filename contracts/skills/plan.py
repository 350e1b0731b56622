"""Questions about what a site is going to do: its battery, its loads, and what the grid asked of it."""

from pydantic import Field

from contracts.forecast import ForecastSeries
from contracts.skills.base import Form
from contracts.units import Instant, SiteId

STEPS_MAX = 96
ORDERS_MAX = 100


class PlanQuestion(Form):
    """Which site, and over how many delivery intervals."""

    site: SiteId
    intervals: int = Field(default=16, ge=1, le=STEPS_MAX)


class PlanStep(Form):
    """One delivery interval; energies in Wh, positive into the site, for the battery positive when it charges.

    ``battery_wh`` is what the battery must do so that the site keeps what it traded; ``level_wh`` is what it can still
    give afterwards.
    """

    interval_start: Instant
    own_net_wh: int
    traded_wh: int
    battery_wh: int
    level_wh: int


class SitePlan(Form):
    """A battery's plan from what the site's gateway last announced; no steps where it announced none."""

    site: SiteId
    announced_from: Instant | None
    stored_wh: int | None
    room_wh: int | None
    steps: tuple[PlanStep, ...]


class ReserveRequest(Form):
    """Keep a battery's lowest level at so many percent, for an outage; the site's own file may keep more, never less.

    The reason is kept with the call.
    """

    site: SiteId
    reserve_percent: int = Field(ge=0, le=90)
    reason: str = Field(min_length=3, max_length=200)


class ReserveSent(Form):
    """What the gateway was told, and the version of the wish; its answer stands among its settings."""

    site: SiteId
    reserve_percent: int
    version: int


class LoadSchedule(Form):
    """What a consumer's loads are expected to draw (W, with a band), and what of it can be shed on request."""

    site: SiteId
    sheddable_w: int
    load: ForecastSeries | None


class ResponsesQuestion(Form):
    """Which site, and how many of its last orders."""

    site: SiteId
    count: int = Field(default=20, ge=1, le=ORDERS_MAX)


class GridOrder(Form):
    """One order of the grid to the site, and the last thing that its gateway said to it."""

    command_id: str
    event_id: str | None
    kind: str
    issued_at: Instant
    expires_at: Instant
    stage: str | None
    reason: str | None


class ResponsesAnswer(Form):
    """The newest orders first."""

    site: SiteId
    orders: tuple[GridOrder, ...]
