"""Orders to the market and what became of them.

Energy is whole Wh in one delivery interval, prices are whole thousandths of a cent per kWh, money is whole millionths
of a cent (Wh x price is exact). Nothing here is a float.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.topics import Up
from contracts.units import (
    ORDER_WH_MAX,
    Count,
    Id,
    Instant,
    MoneyUct,
    Number,
    PriceMct,
    Remark,
    SiteId,
    Text,
    Whole,
    ZoneId,
)
from contracts.wire import Message, SiteMessage


class SiteAgent(StrEnum):
    """What a site's agent does in the market; a monitor only measures."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    MONITOR = "monitor"


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


AVAILABILITY_INTERVALS_MAX: Final = 96
LINES_MAX: Final = 10_000  # Of one message to one site.
AREAS_MAX: Final = 1000


class Availability(BaseModel):
    """What a site can do from a delivery interval on: the market takes no order beyond it.

    Columns of one value for each interval, from ``interval_start``. What a later announcement says replaces what an
    earlier one said of the same interval, and all that was said of the battery.

    Args:
        interval_start: Of the first interval.
        import_wh: The most that the connection and what stands behind it can take; a site's registered limit holds too.
        export_wh: The most that it can give.
        own_net_wh: Expected load less generation, positive for import; only what the battery does is judged by it.
        stored_wh: What the battery can give from the first interval on, losses left out and energy that it takes in of
            the site's own included; absent without a battery that is known.
        room_wh: What the battery can take, counted in the same way.
    """

    model_config = ConfigDict(frozen=True)

    interval_start: Instant
    import_wh: tuple[Annotated[int, Field(ge=0, le=ORDER_WH_MAX)], ...] = Field(max_length=AVAILABILITY_INTERVALS_MAX)
    export_wh: tuple[Annotated[int, Field(ge=0, le=ORDER_WH_MAX)], ...] = Field(max_length=AVAILABILITY_INTERVALS_MAX)
    own_net_wh: tuple[Annotated[int, Field(ge=-ORDER_WH_MAX, le=ORDER_WH_MAX)], ...] = Field(
        default=(), max_length=AVAILABILITY_INTERVALS_MAX
    )
    stored_wh: int | None = Field(default=None, ge=0, le=ORDER_WH_MAX)
    room_wh: int | None = Field(default=None, ge=0, le=ORDER_WH_MAX)

    @model_validator(mode="after")
    def _columns(self) -> Self:
        lengths = len(self.import_wh), len(self.export_wh), len(self.own_net_wh) or len(self.import_wh)
        if len(set(lengths)) > 1:
            raise ValueError(f"columns of {lengths[0]}, {lengths[1]} and {lengths[2]} intervals")
        if (self.stored_wh is None) is not (self.room_wh is None):
            raise ValueError("stored_wh and room_wh come together")
        return self


class OrderMessage(SiteMessage):
    """An order of a site's agent; the site owns it. ``order_id`` is the agent's own and makes a repeat harmless.

    ``ability`` is what the site can do as its agent knew it when it decided on the order; the market takes it in before
    the order. It travels with orders because they are judged by it, and only where it changed since the last one.
    """

    channel: ClassVar[str] = Up.ORDERS

    order_id: Id
    op: OrderOp = OrderOp.NEW
    interval_start: Instant
    side: Side
    quantity_wh: int = Field(gt=0, le=ORDER_WH_MAX)
    price_mct_per_kwh: PriceMct
    time_in_force: TimeInForce = TimeInForce.GTC
    good_till: Instant | None = None
    post_only: bool = False
    issued_at: Instant
    ability: Availability | None = None


class OrderStatus(StrEnum):
    """What became of an order."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FILLED = "filled"
    PARTLY_FILLED = "partly_filled"
    UNFILLED = "unfilled"
    CANCELLED = "cancelled"


class OrderResult(BaseModel):
    """The market's answer to one order.

    ``reason`` is set where it was rejected or cancelled: a code of the market's rules, a colon, and a sentence.
    """

    model_config = ConfigDict(frozen=True)

    order_id: Id
    status: OrderStatus
    reason: Remark | None = None
    traded_wh: Count = 0

    @property
    def code(self) -> str | None:
        """Return the reason's code, ``None`` without a reason."""
        return self.reason.partition(":")[0] if self.reason else None


class TradeLine(BaseModel):
    """One trade from the view of one of its two sites."""

    model_config = ConfigDict(frozen=True)

    trade_id: Text = Field(min_length=1, max_length=200)
    order_id: Id
    side: Side
    quantity_wh: Number
    price_mct_per_kwh: PriceMct


class SettlementLine(BaseModel):
    """What one site owes (positive) or is owed (negative) for one delivery interval, in millionths of a cent."""

    model_config = ConfigDict(frozen=True)

    metered_wh: Whole
    traded_wh: Whole
    imbalance_wh: Whole
    trades_uct: MoneyUct
    imbalance_uct: MoneyUct
    demand_response_uct: MoneyUct = 0
    estimated: bool = False
    version: Number = 1


class TradesMessage(Message):
    """What the market tells one site about one delivery interval; ``seq`` rises by one per site within an epoch."""

    zone: ZoneId
    site: SiteId
    interval_start: Instant
    issued_at: Instant
    epoch: Count
    seq: Number
    results: tuple[OrderResult, ...] = Field(default=(), max_length=LINES_MAX)
    trades: tuple[TradeLine, ...] = Field(default=(), max_length=LINES_MAX)
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
    """The public state of one delivery interval.

    In a market whose lines join several areas, ``price_mct_per_kwh`` is the mean of what buyers pay, and
    ``area_prices_mct_per_kwh`` has what each area pays.
    """

    zone: ZoneId
    interval_start: Instant
    issued_at: Instant
    state: ProductState
    price_mct_per_kwh: PriceMct | None = None
    price_low_mct_per_kwh: PriceMct | None = None
    price_high_mct_per_kwh: PriceMct | None = None
    volume_wh: Count = 0
    trades: Count = 0
    area_prices_mct_per_kwh: Annotated[dict[Id, PriceMct | None], Field(max_length=AREAS_MAX)] | None = None
