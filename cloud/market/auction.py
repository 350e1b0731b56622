"""The call auction: one uniform price for everyone, found by one sweep over both curves.

Of all allocations this takes the one with the greatest welfare and, among those, the greatest volume: equal limits
trade. Every price in ``[low, high]`` clears; the order that leaves no choice is named.

Source: clearing interval and middle price as EUPHEMIA's public description (maximise welfare, then volume, then the
middle of the interval); ties by time as continuous intraday rules, pro rata by largest remainder as futures markets.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from contracts.market import Side

# Stands for a demand that takes whatever there is; never part of a price.
_ANY_PRICE = None


class Tie(StrEnum):
    """Who is served first among equal limits: the earlier, all in proportion, or the drawn."""

    TIME = "time"
    PRO_RATA = "pro-rata"
    LOT = "lot"


class PriceRule(StrEnum):
    """Which price of the clearing interval is paid."""

    MIDDLE = "middle"
    LOW = "low"
    HIGH = "high"
    REFERENCE = "reference"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuctionOrder:
    """One order of a call. ``sequence`` is the sequencer's number: the smaller came first."""

    order_id: str
    agent: str
    side: Side
    quantity_wh: int
    limit_mct_per_kwh: int
    sequence: int
    zone: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuctionTrade:
    """One pair of a clearing."""

    buy_id: str
    sell_id: str
    quantity_wh: int
    price_mct_per_kwh: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearingPrice:
    """The interval of prices that clear, the price paid, and the orders that bound the interval.

    An end is ``None`` where nothing bounds it. ``paid`` is ``None`` where nothing trades: then ``low`` is the best bid
    and ``high`` the best offer.
    """

    low: int | None
    high: int | None
    paid: int | None
    low_by: str | None
    high_by: str | None
    pinned_by: str | None

    @property
    def middle(self) -> int | None:
        """Return the middle of the interval, rounded down; ``None`` where nothing trades."""
        if self.paid is None or self.low is None:
            return None
        return self.low if self.high is None else (self.low + self.high) // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Clearing:
    """What a call decided. Every order is in ``fills``, those with nothing too."""

    volume_wh: int
    welfare_uct: int
    price: ClearingPrice
    fills: dict[str, int]
    trades: tuple[AuctionTrade, ...]
    short_wh: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """Where one curve was cut: the last level that trades, what of it trades, the first level with something left."""

    last: int | None
    last_filled_wh: int
    left: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """The crossing of both curves, level by level."""

    volume_wh: int
    bids: Margin
    offers: Margin
    short_wh: int = 0


def sweep(bids: Sequence[tuple[int, int]], offers: Sequence[tuple[int, int]], *, must_buy_wh: int = 0) -> Sweep:
    """Cross two curves of ``(limit, quantity)`` levels, bids from the dearest, offers from the cheapest.

    Args:
        bids: Levels in falling order of limit, each limit once, quantities above zero.
        offers: Levels in rising order of limit, each limit once, quantities above zero.
        must_buy_wh: Demand without a limit, served before every bid.
    """
    volume = 0
    i = j = 0
    bid_left = bids[0][1] if bids else 0
    offer_left = offers[0][1] if offers else 0
    must_left = must_buy_wh
    while must_left and j < len(offers):
        step = min(must_left, offer_left)
        must_left -= step
        offer_left -= step
        volume += step
        if not offer_left:
            j += 1
            offer_left = offers[j][1] if j < len(offers) else 0
    while i < len(bids) and j < len(offers) and bids[i][0] >= offers[j][0]:
        step = min(bid_left, offer_left)
        volume += step
        bid_left -= step
        offer_left -= step
        if not bid_left:
            i += 1
            bid_left = bids[i][1] if i < len(bids) else 0
        if not offer_left:
            j += 1
            offer_left = offers[j][1] if j < len(offers) else 0
    return Sweep(
        volume_wh=volume, bids=_margin(bids, i, bid_left), offers=_margin(offers, j, offer_left), short_wh=must_left
    )


def _margin(levels: Sequence[tuple[int, int]], index: int, left: int) -> Margin:
    if index < len(levels):
        limit, quantity = levels[index]
        if left < quantity:
            return Margin(last=limit, last_filled_wh=quantity - left, left=limit)
        before = levels[index - 1] if index else None
        return Margin(last=before and before[0], last_filled_wh=before[1] if before else 0, left=limit)
    if not levels:
        return Margin(last=None, last_filled_wh=0, left=None)
    return Margin(last=levels[-1][0], last_filled_wh=levels[-1][1], left=None)


def interval(crossing: Sweep) -> tuple[int | None, int | None]:
    """Return the least and the greatest price at which nobody wants more or less than they got.

    Low is the greater of the last accepted offer and the best bid left, high the lesser of the last accepted bid and
    the best offer left; a partly filled order counts on both sides and so pins the price to its limit.
    """
    low = _greatest(crossing.offers.last, crossing.bids.left)
    high = _least(crossing.bids.last, crossing.offers.left)
    return low, high


def choose_price(
    low: int | None,
    high: int | None,
    *,
    rule: PriceRule = PriceRule.MIDDLE,
    reference: int | None = None,
    tick: int = 1,
) -> int | None:
    """Return the price to pay within ``[low, high]``: by default the middle, rounded down to the tick.

    A reference (such as the last continuous trade) is moved into the interval; without one the middle is taken.
    """
    if low is None or high is None:
        return low if high is None else high
    if rule is PriceRule.LOW:
        return low
    if rule is PriceRule.HIGH:
        return high
    if rule is PriceRule.REFERENCE and reference is not None:
        return min(max(reference, low), high)
    middle = (low + high) // 2
    return max(low, middle - middle % tick)


def clear(
    orders: Iterable[AuctionOrder],
    *,
    tie: Tie = Tie.TIME,
    rule: PriceRule = PriceRule.MIDDLE,
    reference: int | None = None,
    tick: int = 1,
    product: str = "",
    must_buy_wh: int = 0,
    must_buyer: str = "demand",
) -> Clearing:
    """Clear a call at one price.

    Args:
        orders: Of one product; ids are unique, quantities above zero.
        tie: Who is served first among equal limits.
        rule: Which price of the interval is paid.
        reference: The price for ``PriceRule.REFERENCE``.
        tick: The price paid is a multiple of it where the interval allows.
        product: Names the product in a lot.
        must_buy_wh: Demand without a limit (merit order); what finds no offer is ``short_wh``.
        must_buyer: Order id under which that demand appears in trades.
    """
    allocation = _allocate(orders, tie=tie, product=product, must_buy_wh=must_buy_wh)
    low, high = allocation.low, allocation.high
    paid = choose_price(low, high, rule=rule, reference=reference, tick=tick) if allocation.volume_wh else None
    return _result(allocation, paid, lambda _bid, _offer: paid or 0, must_buy_wh=must_buy_wh, must_buyer=must_buyer)


def pay_as_bid(orders: Iterable[AuctionOrder], *, tie: Tie = Tie.TIME, product: str = "") -> Clearing:
    """Clear with the same allocation as ``clear``, each pair at its buyer's limit, which its seller receives.

    Pairs form from the dearest bid and the cheapest offer down, so every pair is worth trading and money balances.
    """
    allocation = _allocate(orders, tie=tie, product=product, must_buy_wh=0)
    return _result(allocation, None, _bid_price, must_buy_wh=0, must_buyer="")


def merit_order(
    orders: Iterable[AuctionOrder], *, demand_wh: int, tie: Tie = Tie.TIME, product: str = "", buyer: str = "demand"
) -> Clearing:
    """Serve a fixed demand from the cheapest offers, every one at the limit of the last that is needed.

    Bids that are in the book too compete for what the demand leaves. Where offers fall short, ``short_wh`` says by how
    much and the interval has no upper end.
    """
    return clear(orders, tie=tie, rule=PriceRule.LOW, product=product, must_buy_wh=demand_wh, must_buyer=buyer)


def _bid_price(bid: int | None, offer: int | None) -> int:
    limit = offer if bid is None else bid
    assert limit is not None, "a pair without any limit"
    return limit


def payments(clearing: Clearing, agent_of: Callable[[str], str]) -> dict[str, int]:
    """Return what each agent pays (positive) or receives (negative) in millionths of a cent; sums to zero."""
    owed: dict[str, int] = {}
    for trade in clearing.trades:
        amount = trade.quantity_wh * trade.price_mct_per_kwh
        buyer, seller = agent_of(trade.buy_id), agent_of(trade.sell_id)
        owed[buyer] = owed.get(buyer, 0) + amount
        owed[seller] = owed.get(seller, 0) - amount
    return owed


@dataclass(frozen=True, kw_only=True, slots=True)
class _Allocation:
    """Both sides in serving order with what each order got."""

    volume_wh: int
    short_wh: int
    low: int | None
    high: int | None
    crossing: Sweep
    bids: list[AuctionOrder]
    offers: list[AuctionOrder]
    fills: dict[str, int]


def _allocate(orders: Iterable[AuctionOrder], *, tie: Tie, product: str, must_buy_wh: int) -> _Allocation:
    every = list(orders)
    bids = sorted((o for o in every if o.side is Side.BUY), key=lambda o: (-o.limit_mct_per_kwh, o.sequence))
    offers = sorted((o for o in every if o.side is Side.SELL), key=lambda o: (o.limit_mct_per_kwh, o.sequence))
    crossing = sweep(levels(bids), levels(offers), must_buy_wh=must_buy_wh)
    low, high = interval(crossing)
    fills = dict.fromkeys((order.order_id for order in every), 0)
    bids = serve(bids, crossing.bids, tie=tie, product=product, buying=True, fills=fills)
    offers = serve(offers, crossing.offers, tie=tie, product=product, buying=False, fills=fills)
    return _Allocation(
        volume_wh=crossing.volume_wh,
        short_wh=crossing.short_wh,
        low=low,
        high=high,
        crossing=crossing,
        bids=bids,
        offers=offers,
        fills=fills,
    )


def levels(orders: list[AuctionOrder]) -> list[tuple[int, int]]:
    """Return ``(limit, quantity)`` of orders that are sorted by limit, each limit once."""
    return [
        (limit, sum(order.quantity_wh for order in level))
        for limit, level in groupby(orders, key=lambda order: order.limit_mct_per_kwh)
    ]


def serve(
    side: list[AuctionOrder], margin: Margin, *, tie: Tie, product: str, buying: bool, fills: dict[str, int]
) -> list[AuctionOrder]:
    """Write the fills of one side, sorted by limit and time; return it in the order in which it was served."""
    last = margin.last
    if last is None:
        return side
    sign = -1 if buying else 1
    start = bisect_left(side, sign * last, key=lambda order: sign * order.limit_mct_per_kwh)
    for order in side[:start]:
        fills[order.order_id] = order.quantity_wh
    level = []
    for order in side[start:]:
        if order.limit_mct_per_kwh != last:
            break
        level.append(order)
    served = _by_lot(level, product) if tie is Tie.LOT else level
    if tie is Tie.PRO_RATA:
        shares = share([order.quantity_wh for order in level], margin.last_filled_wh)
        fills.update((order.order_id, got) for order, got in zip(level, shares, strict=True))
    else:
        rest = margin.last_filled_wh
        for order in served:
            got = min(rest, order.quantity_wh)
            fills[order.order_id] = got
            rest -= got
    return side[:start] + served + side[start + len(level) :]


def share(quantities: Sequence[int], total: int) -> list[int]:
    """Return ``total`` shared in proportion to quantities, whole units, the largest remainders first, then the earlier.

    Source: Hare quota with largest remainder; no one gets more than they asked for while ``total`` is within the sum.
    """
    whole = sum(quantities)
    if not whole:
        return [0] * len(quantities)
    parts = [divmod(quantity * total, whole) for quantity in quantities]
    given = [part for part, _ in parts]
    ranked = sorted(range(len(parts)), key=lambda index: (-parts[index][1], index))
    for index in ranked[: total - sum(given)]:
        given[index] += 1
    return given


def _by_lot(level: list[AuctionOrder], product: str) -> list[AuctionOrder]:
    """Draw lots from a hash over the product and every id of the level, so that no single id can be chosen to win."""
    seed = hashlib.sha256("\x1f".join([product, *sorted(order.order_id for order in level)]).encode()).digest()
    return sorted(level, key=lambda order: hashlib.sha256(seed + order.order_id.encode()).digest())


def _result(
    allocation: _Allocation,
    paid: int | None,
    price_of: Callable[[int | None, int | None], int],
    *,
    must_buy_wh: int,
    must_buyer: str,
) -> Clearing:
    fills = allocation.fills
    welfare = sum(fills[order.order_id] * order.limit_mct_per_kwh for order in allocation.bids)
    welfare -= sum(fills[order.order_id] * order.limit_mct_per_kwh for order in allocation.offers)
    buyers: list[tuple[str, int | None, int]] = [
        (order.order_id, order.limit_mct_per_kwh, fills[order.order_id])
        for order in allocation.bids
        if fills[order.order_id]
    ]
    if must_buy_wh > allocation.short_wh:
        buyers.insert(0, (must_buyer, _ANY_PRICE, must_buy_wh - allocation.short_wh))
    return Clearing(
        volume_wh=allocation.volume_wh,
        welfare_uct=welfare,
        price=_bounds(allocation, paid),
        fills=fills,
        trades=_pair(buyers, [order for order in allocation.offers if fills[order.order_id]], fills, price_of),
        short_wh=allocation.short_wh,
    )


def _pair(
    buyers: list[tuple[str, int | None, int]],
    sellers: list[AuctionOrder],
    fills: dict[str, int],
    price_of: Callable[[int | None, int | None], int],
) -> tuple[AuctionTrade, ...]:
    """Pair what both sides got, in serving order."""
    trades = []
    offers = iter(sellers)
    offer, left = None, 0
    for buy_id, limit, bought in buyers:
        wanted = bought
        while wanted:
            if not left:
                offer = next(offers)
                left = fills[offer.order_id]
            assert offer is not None
            step = min(wanted, left)
            trades.append(
                AuctionTrade(
                    buy_id=buy_id,
                    sell_id=offer.order_id,
                    quantity_wh=step,
                    price_mct_per_kwh=price_of(limit, offer.limit_mct_per_kwh),
                )
            )
            wanted -= step
            left -= step
    assert not left, "bought and sold quantities differ"
    return tuple(trades)


def _bounds(allocation: _Allocation, paid: int | None) -> ClearingPrice:
    low, high, fills = allocation.low, allocation.high, allocation.fills
    low_by = _bound_by(low, allocation, left=allocation.bids, taken=allocation.offers)
    high_by = _bound_by(high, allocation, left=allocation.offers, taken=allocation.bids)
    pinned = None
    if allocation.volume_wh and low is not None and low == high:
        partly = (
            order.order_id
            for order in (*allocation.bids, *allocation.offers)
            if order.limit_mct_per_kwh == low and 0 < fills[order.order_id] < order.quantity_wh
        )
        pinned = next(partly, low_by)
    return ClearingPrice(low=low, high=high, paid=paid, low_by=low_by, high_by=high_by, pinned_by=pinned)


def _bound_by(
    limit: int | None, allocation: _Allocation, *, left: list[AuctionOrder], taken: list[AuctionOrder]
) -> str | None:
    """Return the order that sets one end: the first with something left at the limit, else the last that was served."""
    fills = allocation.fills
    for order in left:
        if order.limit_mct_per_kwh == limit and fills[order.order_id] < order.quantity_wh:
            return order.order_id
    served = [order.order_id for order in taken if order.limit_mct_per_kwh == limit and fills[order.order_id]]
    return served[-1] if served else None


def _greatest(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)
