"""What the engine remembers: products, orders, positions, meters, postings; all of it plain and serialisable."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from cloud.market.book import Book
from cloud.market.ledger import Ledger, LedgerLine
from cloud.market.product import Times, times
from cloud.market.rules import MarketRules, Mechanism, Participant
from cloud.market.sharing import Share
from contracts.market import OrderStatus, ProductState, TimeInForce

OPEN = (OrderStatus.ACCEPTED, OrderStatus.PARTLY_FILLED)

_TIFS = {tif.value: tif for tif in TimeInForce}

# A new order as it was asked: site, order id, interval, side, quantity, price, time in force, good-till instant,
# post-only.
NewOrder = tuple[str, str, int, str, int, int, str, int | None, bool]
# The market's own orders, such as the utility's, were asked by nobody.
_UNASKED: NewOrder = ("", "", 0, "", 0, 0, TimeInForce.GTC.value, None, False)


class Reply(NamedTuple):
    """The market's answer to one order of one site; ``refusal`` is the code where it was refused or cancelled."""

    site: str
    interval_ms: int
    order_id: str
    status: OrderStatus
    refusal: str | None = None
    reason: str | None = None
    traded_wh: int = 0


@dataclass(slots=True, eq=False)
class Order:
    """One order from acceptance to its end. ``sequence`` is its place in time; losing the place means a new number.

    The site's account and its position in the order's product are at hand, because every fill changes both; the
    utility has neither. ``asked`` and ``answer`` are what a repeat of the order is compared with, and what it gets.
    """

    site: str
    order_id: str
    buy: bool
    price: int
    quantity_wh: int
    sequence: int
    asked: NewOrder = field(default=_UNASKED, repr=False)
    account: "Account | None" = field(default=None, repr=False)
    position: "Position | None" = field(default=None, repr=False)
    open_wh: int = 0
    traded_wh: int = 0
    cancelled_wh: int = 0
    status: OrderStatus = OrderStatus.ACCEPTED
    answer: Reply = field(init=False, repr=False)

    @property
    def key(self) -> str:
        """Return its identity as one text: the site and its own order id."""
        return f"{self.site}/{self.order_id}"

    @property
    def tif(self) -> TimeInForce:
        """Return how long it may stand."""
        return _TIFS[self.asked[6]]

    @property
    def good_till_ms(self) -> int | None:
        """Return until when it may stand, where that is an instant."""
        return self.asked[7]


class Rejected(NamedTuple):
    """A new order that was refused for good: what its site asked, and the answer that a repeat gets again."""

    account: "Account"
    asked: NewOrder
    answer: Reply


@dataclass(kw_only=True, slots=True)
class Position:
    """What one site bought, sold and holds open in one product; ``own`` are its owner's open orders."""

    own: dict[Order, None] = field(default_factory=dict)
    bought_wh: int = 0
    sold_wh: int = 0
    open_buy_wh: int = 0
    open_sell_wh: int = 0
    trades_uct: int = 0
    fees_uct: int = 0

    @property
    def net_wh(self) -> int:
        """Return bought minus sold, positive for import."""
        return self.bought_wh - self.sold_wh


class Meter(NamedTuple):
    """One version of a meter reading."""

    version: int
    import_wh: int
    export_wh: int
    estimated: bool

    @property
    def net_wh(self) -> int:
        """Return import minus export, positive for import."""
        return self.import_wh - self.export_wh


class Storage(NamedTuple):
    """What a site announced of its battery, as it will stand when an interval begins.

    ``stored_wh`` is what it can give from then on, ``room_wh`` what it can take, ``own_net_wh`` the site's load less
    its generation in that interval and those after it; what is not announced counts as zero.
    """

    interval_ms: int
    stored_wh: int
    room_wh: int
    own_net_wh: tuple[int, ...] = ()


class DrLine(NamedTuple):
    """What one site committed to change in one interval, for which event, against which baseline.

    ``committed_wh`` is positive for a reduction of net import and negative for an increase.
    """

    event: str
    committed_wh: int
    baseline_wh: int
    method: str
    price_mct_per_kwh: int
    penalty_mct_per_kwh: int
    flags: tuple[str, ...] = ()


class SiteSettlement(NamedTuple):
    """What one site owes (positive) or is owed (negative) for one interval, and from what it follows.

    Energy is positive for import. ``demand_response_wh`` is the reduction that was delivered and paid: what the site
    had bought of it leaves the position, so that the imbalance does not pay it again.
    """

    site: str
    interval_ms: int
    version: int
    meter_version: int
    metered_wh: int
    traded_wh: int
    demand_response_wh: int
    imbalance_wh: int
    imbalance_mct_per_kwh: int
    trades_uct: int
    fees_uct: int
    imbalance_uct: int
    demand_response_uct: int
    estimated: bool
    method: str


class Trade(NamedTuple):
    """One trade. ``taker`` is the side that came in, ``call`` where neither did."""

    trade_id: str
    interval_ms: int
    buy_site: str
    buy_order: str
    sell_site: str
    sell_order: str
    quantity_wh: int
    price_mct_per_kwh: int
    taker: str


class AreaPrice(NamedTuple):
    """The prices that clear one area of a market with links; ``paid`` is ``None`` where nothing traded."""

    low: int | None
    high: int | None
    paid: int | None


class ProductView(NamedTuple):
    """The public state of one product; ``area_prices`` where links join the areas of the market."""

    interval_ms: int
    state: ProductState
    price: int | None
    low: int | None
    high: int | None
    volume_wh: int
    trades: int
    area_prices: dict[str, int | None] | None = None


@dataclass(kw_only=True, slots=True)
class Product:
    """One delivery interval of a zone and everything that happened to it.

    ``name`` is the zone's and the interval's; ``replies`` are those to changes and cancellations. ``trade_low`` and
    ``trade_high`` bound the prices of its trades. ``held`` are readings that cannot be; ``decided`` says by site
    whether a person lets a flagged claim be paid. ``shares`` are what members of a community gave one another.
    ``edition`` is that of the rules under which it settled, where the market has moved to another since.
    """

    name: str
    start_ms: int
    times: Times
    book: Book[Order]
    state: ProductState = ProductState.OPENS
    orders: list[Order] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    own: dict[str, dict[Order, None]] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    replies: dict[str, tuple[tuple[object, ...], Reply]] = field(default_factory=dict)
    caps: dict[str, tuple[int, int]] = field(default_factory=dict)
    meters: dict[str, Meter] = field(default_factory=dict)
    demand_response: dict[str, DrLine] = field(default_factory=dict)
    settled: dict[str, SiteSettlement] = field(default_factory=dict)
    posted: dict[str, list[LedgerLine]] = field(default_factory=dict)
    price: int | None = None
    low: int | None = None
    high: int | None = None
    last_price: int | None = None
    volume_wh: int = 0
    trades: int = 0
    imbalance_short: int | None = None
    imbalance_long: int | None = None
    areas: dict[str, AreaPrice] = field(default_factory=dict)
    area_imbalance: dict[str, tuple[int, int]] = field(default_factory=dict)
    trade_low: int | None = None
    trade_high: int | None = None
    held: dict[str, Meter] = field(default_factory=dict)
    decided: dict[str, bool] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    edition: int | None = None

    def position(self, account: "Account") -> Position:
        """Return a site's position, empty where it has none yet."""
        position = self.positions.get(account.site)
        if position is None:
            own = self.own.setdefault(account.owner, {})
            position = self.positions[account.site] = Position(own=own)
        return position

    def has_answers(self) -> bool:
        """Return whether anything is remembered here that a site could repeat."""
        return bool(self.replies or self.rejected) or any(order.account is not None for order in self.orders)

    def forget_answers(self) -> None:
        """Forget what sites could repeat, and with it the orders."""
        for order in self.orders:
            if order.account is not None:
                del order.account.known[order.order_id]
        for rejected in self.rejected:
            del rejected.account.known[rejected.asked[1]]
        self.orders.clear()
        self.rejected.clear()
        self.replies.clear()
        self.own.clear()

    def view(self) -> ProductView:
        """Return what everyone may know."""
        price = self.price if self.price is not None else self.last_price
        areas = {area: found.paid for area, found in self.areas.items()} or None
        return ProductView(self.start_ms, self.state, price, self.low, self.high, self.volume_wh, self.trades, areas)


@dataclass(kw_only=True, slots=True)
class Account:
    """A participant with what counts against its limits.

    ``known`` are its orders by its own order ids, those that were refused for good among them, until they are
    forgotten. The owner and the limits are its participant's, at hand as plain values. ``left_ms`` is when the site
    left the market, ``None`` while it takes part.
    """

    participant: Participant
    open_cost_uct: int = 0
    minute: int = 0
    commands: int = 0
    halted: str | None = None
    last_metered_wh: int | None = None
    storage: Storage | None = None
    left_ms: int | None = None
    known: dict[str, Order | Rejected] = field(default_factory=dict, repr=False)
    site: str = field(init=False)
    owner: str = field(init=False)
    import_limit_wh: int = field(init=False)
    export_limit_wh: int = field(init=False)
    credit_limit_uct: int | None = field(init=False)

    def __post_init__(self) -> None:
        """Set the owner and the limits."""
        self.admit(self.participant)

    def admit(self, participant: Participant) -> None:
        """Take a participant's limits, those of a later registration too."""
        self.participant = participant
        self.site = participant.site
        self.owner = participant.account_owner
        self.import_limit_wh = participant.import_limit_wh
        self.export_limit_wh = participant.export_limit_wh
        self.credit_limit_uct = participant.credit_limit_uct


@dataclass(frozen=True, slots=True)
class Terms:
    """What every order is held against, at hand as plain values: reading it off the schema costs four times as much."""

    version: int
    price_mct_per_kwh_min: int
    price_mct_per_kwh_max: int
    tick_mct_per_kwh: int
    quantity_wh_min: int
    fee_mct_per_kwh: int
    commands_per_minute: int
    open_orders_max: int
    has_position_limits: bool
    takes_orders: bool

    @classmethod
    def of(cls, rules: MarketRules) -> Self:
        """Return the terms of a market's rules."""
        return cls(
            version=rules.version,
            price_mct_per_kwh_min=rules.price_mct_per_kwh_min,
            price_mct_per_kwh_max=rules.price_mct_per_kwh_max,
            tick_mct_per_kwh=rules.tick_mct_per_kwh,
            quantity_wh_min=rules.quantity_wh_min,
            fee_mct_per_kwh=rules.fee_mct_per_kwh,
            commands_per_minute=rules.commands_per_minute,
            open_orders_max=rules.open_orders_max,
            has_position_limits=bool(rules.position_limits),
            takes_orders=rules.mechanism is not Mechanism.SHARING,
        )


@dataclass(kw_only=True, slots=True)
class State:
    """Everything the engine of one zone knows."""

    rules: MarketRules
    ledger: Ledger = field(default_factory=Ledger)
    accounts: dict[str, Account] = field(default_factory=dict)
    products: dict[int, Product] = field(default_factory=dict)
    events: dict[str, str] = field(default_factory=dict)
    expiries: list[tuple[int, int, str]] = field(default_factory=list)
    now_ms: int = 0
    next_start_ms: int | None = None
    commands: int = 0
    sequence: int = 0
    halted: str | None = None
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        """Set the terms."""
        self.terms = Terms.of(self.rules)

    def order(self, key: str) -> Order | None:
        """Return an order by its identity, the site and its own order id, while it is remembered."""
        site, _, order_id = key.partition("/")
        account = self.accounts.get(site)
        known = None if account is None else account.known.get(order_id)
        return known if isinstance(known, Order) else None

    def next_sequence(self) -> int:
        """Return the next place in time."""
        self.sequence += 1
        return self.sequence


@dataclass(init=False, slots=True)
class Outcome:
    """Everything one command brought about, in order; the shell stores and sends it.

    ``replies`` go to the sites whose orders they concern; ``answers`` concern meter readings and demand-response lines
    and stay with the shell.
    """

    replies: list[Reply]
    answers: list[Reply]
    trades: list[Trade]
    lines: list[LedgerLine]
    settlements: list[SiteSettlement]
    broadcasts: list[ProductView]

    def __init__(self, *, replies: list[Reply] | None = None) -> None:
        """Begin with nothing, or with some replies; written out because every command makes one."""
        self.replies = [] if replies is None else replies
        self.answers = []
        self.trades = []
        self.lines = []
        self.settlements = []
        self.broadcasts = []


def new_product(rules: MarketRules, start_ms: int, **known: Any) -> Product:
    """Return a product with an empty book; ``known`` are its other fields, where there are any."""
    name = f"{rules.zone}:{start_ms}"
    return Product(name=name, start_ms=start_ms, times=times(rules, start_ms), book=Book(rules.self_trade), **known)
