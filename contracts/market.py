"""Orders to the market and what became of them.

Energy is whole Wh in one delivery interval, prices are whole thousandths of a cent per kWh, money is whole millionths
of a cent (Wh x price is exact). Nothing here is a float.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from contracts.topics import Up
from contracts.units import Instant, SiteId, ZoneId
from contracts.wire import Message, SiteMessage


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "buy"
    SELL = "sell"


class OrderOp(StrEnum):
    """What an order message asks for."""

    NEW = "new"
    MODIFY = "modify"
    CANCEL = "cancel"


class TimeInForce(StrEnum):
    """How long an order stands: to gate closure, to an instant, or only now (in part, or all or nothing)."""

    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class OrderMessage(SiteMessage):
    """An order of a site's agent; the site owns it. ``order_id`` is the agent's own and makes a repeat harmless."""

    channel: ClassVar[str] = Up.ORDERS

    order_id: str = Field(min_length=1, max_length=64)
    op: OrderOp = OrderOp.NEW
    interval_start: Instant
    side: Side
    quantity_wh: int = Field(gt=0, le=10**12)
    price_mct_per_kwh: int = Field(ge=-(10**9), le=10**9)
    time_in_force: TimeInForce = TimeInForce.GTC
    good_till: Instant | None = None
    post_only: bool = False
    issued_at: Instant


class OrderStatus(StrEnum):
    """What became of an order."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FILLED = "filled"
    PARTLY_FILLED = "partly_filled"
    UNFILLED = "unfilled"
    CANCELLED = "cancelled"


class OrderResult(BaseModel):
    """The market's answer to one order. ``reason`` is set where it was rejected or cancelled."""

    model_config = ConfigDict(frozen=True)

    order_id: str
    status: OrderStatus
    reason: str | None = None
    traded_wh: int = Field(default=0, ge=0)


class TradeLine(BaseModel):
    """One trade from the view of one of its two sites."""

    model_config = ConfigDict(frozen=True)

    trade_id: str
    order_id: str
    side: Side
    quantity_wh: int = Field(gt=0)
    price_mct_per_kwh: int


class SettlementLine(BaseModel):
    """What one site owes (positive) or is owed (negative) for one delivery interval, in millionths of a cent."""

    model_config = ConfigDict(frozen=True)

    metered_wh: int
    traded_wh: int
    imbalance_wh: int
    trades_uct: int
    imbalance_uct: int
    demand_response_uct: int = 0
    estimated: bool = False
    version: int = 1


class TradesMessage(Message):
    """What the market tells one site about one delivery interval; ``seq`` rises by one per site within an epoch."""

    zone: ZoneId
    site: SiteId
    interval_start: Instant
    issued_at: Instant
    epoch: int = Field(ge=0)
    seq: int = Field(ge=1)
    results: tuple[OrderResult, ...] = ()
    trades: tuple[TradeLine, ...] = ()
    settlement: SettlementLine | None = None


class ProductState(StrEnum):
    """Where a delivery interval stands in its life."""

    OPENS = "opens"
    CONTINUOUS = "continuous"
    CALL = "call"
    CLEARED = "cleared"
    DELIVERED = "delivered"
    METERED = "metered"
    SETTLED = "settled"
    CORRECTED = "corrected"


class MarketBroadcast(Message):
    """The public state of one delivery interval."""

    zone: ZoneId
    interval_start: Instant
    issued_at: Instant
    state: ProductState
    price_mct_per_kwh: int | None = None
    price_low_mct_per_kwh: int | None = None
    price_high_mct_per_kwh: int | None = None
    volume_wh: int = Field(default=0, ge=0)
    trades: int = Field(default=0, ge=0)
