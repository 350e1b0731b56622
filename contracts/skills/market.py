"""Questions to the market supervisor."""

from pydantic import Field

from contracts.market import MarketBroadcast, ProductState
from contracts.skills.base import Form
from contracts.units import Instant, SiteId, ZoneId

HOURS_MAX = 48


class MarketQuestion(Form):
    """Which zone, and how far around now."""

    zone: ZoneId
    hours_back: int = Field(default=2, ge=0, le=HOURS_MAX)
    hours_ahead: int = Field(default=2, ge=0, le=HOURS_MAX)


class MarketStatus(Form):
    """The delivery intervals of a zone's market, and why it is halted, if it is."""

    zone: ZoneId
    halted: str | None
    products: tuple[MarketBroadcast, ...]
    last_price_mct_per_kwh: int | None
    volume_wh: int


class PriceQuote(Form):
    """What one delivery interval that still trades is worth to those with orders in it; quantities are open ones."""

    interval_start: Instant
    state: ProductState
    last_price_mct_per_kwh: int | None
    best_buy_mct_per_kwh: int | None
    best_sell_mct_per_kwh: int | None
    buy_wh: int
    sell_wh: int
    volume_wh: int


class PriceDiscovery(Form):
    """What the intervals that still trade are worth, and what the last ones cleared at."""

    zone: ZoneId
    quotes: tuple[PriceQuote, ...]
    cleared: tuple[MarketBroadcast, ...]


class HealthQuestion(Form):
    """Which zone."""

    zone: ZoneId


class HealthFigures(Form):
    """Whether a market's parts agree, and how it does, at its own instant ``at``.

    ``entries`` were journalled, of which ``entries_stored`` are in the tables and at least ``entries_told`` were told
    to sites; the writer may be at the last one right now. Both ledger sums are zero, or something is broken.
    ``overdue`` products wait for meters beyond the deadline.
    Settlements are counted over the products that the market remembers, orders and refusals over those since a day.
    """

    at: Instant
    halted: str | None
    participants: int
    entries: int
    entries_stored: int
    entries_told: int
    commands: int
    state_hash: str
    ledger_lines: int
    ledger_sum_uct: int
    ledger_sum_wh: int
    states: dict[str, int]
    overdue: int
    settlements: int
    estimated: int
    corrected: int
    orders: int
    refused: int


class HealthAnswer(HealthFigures):
    """The figures of a zone's market.

    ``sound`` says that the ledger sums to zero, that all entries but perhaps the one in hand are stored, and that no
    settlement is overdue.
    """

    zone: ZoneId
    sound: bool


class HaltRequest(Form):
    """Stop trading in a zone; the reason is kept and shown."""

    zone: ZoneId
    reason: str = Field(min_length=3, max_length=200)


class ResumeRequest(Form):
    """Let a zone trade again."""

    zone: ZoneId


class TradingState(Form):
    """Whether a zone trades."""

    zone: ZoneId
    halted: str | None


class ReviewQuestion(Form):
    """Which zone."""

    zone: ZoneId


class WaitingClaim(Form):
    """A demand-response claim on a flagged baseline, which nobody has decided; paid ``claimed_uct`` at most."""

    event: str
    site: SiteId
    flags: tuple[str, ...]
    first_start: Instant
    intervals: int
    committed_wh: int
    claimed_uct: int


class ClaimsAnswer(Form):
    """What waits for a person."""

    zone: ZoneId
    claims: tuple[WaitingClaim, ...]


class ClaimDecision(Form):
    """Let a claim be paid for what the meter confirms, or neither paid nor charged; name and reason are journalled."""

    zone: ZoneId
    site: SiteId
    event: str = Field(min_length=1, max_length=120)
    approve: bool
    by: str = Field(min_length=1, max_length=80)
    reason: str = Field(min_length=3, max_length=200)


class EstimatedSettlement(Form):
    """An interval of a site that was settled without a reading; a reading before ``final_at`` still corrects it."""

    site: SiteId
    start: Instant
    method: str
    metered_wh: int
    imbalance_wh: int
    imbalance_uct: int
    final_at: Instant


class EstimatesAnswer(Form):
    """What stands on estimates."""

    zone: ZoneId
    settlements: tuple[EstimatedSettlement, ...]
