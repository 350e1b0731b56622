"""Questions about a zone's books: orders, trades, settlements and statements of everyone in it."""

from pydantic import Field

from contracts.market import OrderStatus
from contracts.skills.base import Form
from contracts.skills.site import StatementLine
from contracts.units import Instant, SiteId, ZoneId

HOURS_MAX = 48
ROWS_MAX = 1_000


class BookQuestion(Form):
    """Which zone, how far around now, and how many rows at most."""

    zone: ZoneId
    hours_back: int = Field(default=2, ge=0, le=HOURS_MAX)
    hours_ahead: int = Field(default=2, ge=0, le=HOURS_MAX)
    count: int = Field(default=200, ge=1, le=ROWS_MAX)


class OrderRow(Form):
    """What became of one order of one site."""

    interval_start: Instant
    site: SiteId
    order_id: str
    status: OrderStatus
    traded_wh: int
    reason: str | None


class OrdersAnswer(Form):
    """The zone's orders by delivery interval; ``more`` says that there are others, for a narrower question."""

    zone: ZoneId
    orders: tuple[OrderRow, ...]
    more: bool


class TradeRow(Form):
    """One match; ``taker`` is the side that came in, ``call`` where an auction matched both."""

    interval_start: Instant
    trade_id: str
    buy_site: str
    buy_order: str
    sell_site: str
    sell_order: str
    quantity_wh: int
    price_mct_per_kwh: int
    taker: str


class MatchingAnswer(Form):
    """The zone's trades by delivery interval; ``more`` says that there are others."""

    zone: ZoneId
    trades: tuple[TradeRow, ...]
    more: bool


class SettlementRow(StatementLine):
    """One site's settlement of a delivery interval, in its newest version."""

    site: SiteId


class SettlementAnswer(Form):
    """The zone's settlements by delivery interval; ``total_uct`` is what these sites owe together, negative: get."""

    zone: ZoneId
    settlements: tuple[SettlementRow, ...]
    total_uct: int
    more: bool


class StatementsQuestion(Form):
    """Which local month, such as 2026-11, of the whole zone."""

    zone: ZoneId
    month: str = Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")


class MonthRow(Form):
    """One site's month; ``plain_uct`` is what its metered energy would have cost at the zone's two tariffs alone."""

    site: SiteId
    total_uct: int
    bought_wh: int
    bought_uct: int
    sold_wh: int
    sold_uct: int
    metered_import_wh: int
    metered_export_wh: int
    intervals: int
    estimated: int
    plain_uct: int | None


class StatementsAnswer(Form):
    """Every site's month."""

    zone: ZoneId
    month: str
    sites: tuple[MonthRow, ...]
