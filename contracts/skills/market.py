"""Questions to the market supervisor."""

from pydantic import Field

from contracts.market import MarketBroadcast, ProductState
from contracts.skills.base import Form
from contracts.units import Instant, ZoneId

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
    """One delivery interval that still trades."""

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


class HealthAnswer(Form):
    """Whether a market's parts agree, and how it does.

    ``sound`` says that the ledger sums to zero, that all entries but perhaps the one in hand are stored, and that no
    settlement is overdue.
    """

    zone: ZoneId
    sound: bool
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
