"""Questions to a producer's or a consumer's agent, answered from what its gateway reported."""

from typing import Literal

from pydantic import Field

from contracts.market import OrderStatus, Side
from contracts.quality import Quality
from contracts.skills.base import Form
from contracts.units import Instant, SiteId, ZoneId

HOURS_MAX = 48
STATEMENT_DAYS_MAX = 31
_PRICE_MAX = 10**9


class SiteQuestion(Form):
    """Which site."""

    site: SiteId


class PointValue(Form):
    """The newest value of one point, at its source time; ``None`` is no number."""

    point: str
    at: Instant
    value: float | None
    quality: Quality


class SiteStatus(Form):
    """How a site stands as far as it told; ``heard_at`` is when its gateway last spoke.

    ``alarms`` are those that its gateway told last, at ``alarms_at``; ``None`` where it never told any.
    """

    site: SiteId
    zone: ZoneId
    agent: str
    online: bool | None
    software: str | None
    heard_at: Instant | None
    import_limit_w: int
    export_limit_w: int
    points: tuple[PointValue, ...]
    alarms: tuple[str, ...] | None = None
    alarms_at: Instant | None = None


class SiteMarketQuestion(Form):
    """Whose orders and trades, and how far around now."""

    site: SiteId
    hours_back: int = Field(default=4, ge=0, le=HOURS_MAX)
    hours_ahead: int = Field(default=4, ge=0, le=HOURS_MAX)


class SiteOrder(Form):
    """What became of one order."""

    interval_start: Instant
    order_id: str
    status: OrderStatus
    traded_wh: int
    reason: str | None


class SiteTrade(Form):
    """One trade of the site."""

    interval_start: Instant
    trade_id: str
    side: Side
    quantity_wh: int
    price_mct_per_kwh: int


class SiteMarket(Form):
    """The site's orders and trades, in the order of their delivery."""

    site: SiteId
    orders: tuple[SiteOrder, ...]
    trades: tuple[SiteTrade, ...]


class StatementQuestion(Form):
    """Whose settlements, over how many days up to now."""

    site: SiteId
    days: int = Field(default=7, ge=1, le=STATEMENT_DAYS_MAX)


class StatementLine(Form):
    """What the site owes (positive) or is owed for one delivery interval, in its newest version."""

    interval_start: Instant
    version: int
    metered_wh: int
    traded_wh: int
    imbalance_wh: int
    imbalance_mct_per_kwh: int
    trades_uct: int
    imbalance_uct: int
    fees_uct: int
    demand_response_uct: int
    estimated: bool


class Statement(Form):
    """The site's settlements; ``total_uct`` is what it owes over all of them, negative what it gets."""

    site: SiteId
    lines: tuple[StatementLine, ...]
    total_uct: int


class FlexibilityQuestion(Form):
    """What a site could change now, which way, for how long."""

    site: SiteId
    direction: Literal["reduce_import", "reduce_export"] = "reduce_import"
    duration_s: int = Field(default=900, ge=60, le=14_400)


class FlexibilityPart(Form):
    """One means of a site, by how much it can change the connection power, and its price."""

    means: str
    change_w_max: int
    price_mct_per_kwh: int


class Flexibility(Form):
    """What a site can change within its own limits and stored energy; nothing where it has not reported lately."""

    site: SiteId
    seen_at: Instant | None
    parts: tuple[FlexibilityPart, ...]
    change_w_max: int


class ResponseOffer(Form):
    """An offer to change a site's connection power on request, at a price for each kWh of change."""

    site: SiteId
    direction: Literal["reduce_import", "reduce_export"] = "reduce_import"
    change_w: int = Field(gt=0, le=10**9)
    duration_s: int = Field(default=900, ge=60, le=14_400)
    price_mct_per_kwh: int = Field(ge=0, le=_PRICE_MAX)


class OfferAnswer(Form):
    """Whether an offer would hold, judged against what the site can do now; nothing is ordered by it."""

    site: SiteId
    accepted: bool
    reason: str
    change_w_max: int
    cost_uct: int
