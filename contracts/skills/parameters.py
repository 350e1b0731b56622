"""Questions about a running market's parameters, and bids that are only judged."""

from typing import Final

from pydantic import Field, model_validator

from contracts.market import OrderStatus, Side
from contracts.skills.base import Form
from contracts.units import Instant, SiteId, ZoneId

# The published bounds; what lies beyond is another market, for its file of rules.
FEE_MCT_MAX: Final = 5_000
QUANTITY_WH_MAX: Final = 10**9
_PRICE_MAX: Final = 10**9


class RulesQuestion(Form):
    """Which zone."""

    zone: ZoneId


class MarketParameters(Form):
    """What may be changed while a market runs, as it is in force; ``capped_free_uct`` in millionths of a cent."""

    fee_mct_per_kwh: int
    quantity_wh_min: int
    open_orders_max: int
    commands_per_minute: int
    implausible_permille: int
    capped_free_uct: int


class RulesAnswer(Form):
    """How a zone's market trades, and its parameters; each ledger line names the version that it was posted under."""

    zone: ZoneId
    edition: int
    version: int
    mechanism: str
    opening_s: int
    call_s: int
    gate_closure_s: int
    price_mct_per_kwh_min: int
    price_mct_per_kwh_max: int
    parameters: MarketParameters


class ParametersRequest(Form):
    """Change parameters of a running market from now on; what is not named stays. The reason is journalled."""

    zone: ZoneId
    fee_mct_per_kwh: int | None = Field(default=None, ge=0, le=FEE_MCT_MAX)
    quantity_wh_min: int | None = Field(default=None, ge=1, le=10_000)
    open_orders_max: int | None = Field(default=None, ge=16, le=10_000)
    commands_per_minute: int | None = Field(default=None, ge=60, le=60_000)
    implausible_permille: int | None = Field(default=None, ge=0, le=500)
    capped_free_uct: int | None = Field(default=None, ge=0, le=10**10)
    reason: str = Field(min_length=3, max_length=200)

    @model_validator(mode="after")
    def _asks_for_something(self) -> "ParametersRequest":
        if not self.changes:
            raise ValueError(f"names no parameter; there are {', '.join(MarketParameters.model_fields)}")
        return self

    @property
    def changes(self) -> dict[str, int]:
        """Return what is to be changed, by name."""
        return self.model_dump(exclude={"zone", "reason"}, exclude_none=True)


class BidQuestion(Form):
    """A bid of a site for one delivery interval; its own agent alone orders, so that two do not trade for one site."""

    site: SiteId
    interval_start: Instant
    side: Side
    quantity_wh: int = Field(gt=0, le=QUANTITY_WH_MAX)
    price_mct_per_kwh: int = Field(ge=-_PRICE_MAX, le=_PRICE_MAX)


class BidAnswer(Form):
    """What the market would say to a bid now, on a copy of itself; nothing is ordered.

    ``traded_wh`` at ``paid_uct`` (positive: the site pays) is what would have traded by the interval's gate closure if
    nobody else ordered anything more.
    """

    site: SiteId
    accepted: bool
    reason: str
    status: OrderStatus
    traded_wh: int
    paid_uct: int
