"""Orders to the market and what became of them.

Energy is whole Wh in one delivery interval, prices are whole thousandths of a cent per kWh, money is whole millionths
of a cent (Wh x price is exact). Nothing here is a float.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


ABILITY_INTERVALS_MAX: Final = 96
_WH_MAX: Final = 10**12


class Ability(BaseModel):
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
    import_wh: tuple[Annotated[int, Field(ge=0, le=_WH_MAX)], ...] = Field(max_length=ABILITY_INTERVALS_MAX)
    export_wh: tuple[Annotated[int, Field(ge=0, le=_WH_MAX)], ...]
    own_net_wh: tuple[Annotated[int, Field(ge=-_WH_MAX, le=_WH_MAX)], ...] = ()
    stored_wh: int | None = Field(default=None, ge=0, le=_WH_MAX)
    room_wh: int | None = Field(default=None, ge=0, le=_WH_MAX)

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
    ability: Ability | None = None


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

    order_id: str
    status: OrderStatus
    reason: str | None = None
    traded_wh: int = Field(default=0, ge=0)

    @property
    def code(self) -> str | None:
        """Return the reason's code, ``None`` without a reason."""
        return self.reason.partition(":")[0] if self.reason else None


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
    """The public state of one delivery interval.

    In a market whose lines join several areas, ``price_mct_per_kwh`` is the mean of what buyers pay, and
    ``area_prices_mct_per_kwh`` has what each area pays.
    """

    zone: ZoneId
    interval_start: Instant
    issued_at: Instant
    state: ProductState
    price_mct_per_kwh: int | None = None
    price_low_mct_per_kwh: int | None = None
    price_high_mct_per_kwh: int | None = None
    volume_wh: int = Field(default=0, ge=0)
    trades: int = Field(default=0, ge=0)
    area_prices_mct_per_kwh: dict[str, int | None] | None = None
