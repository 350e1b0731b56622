"""Clearing over several zones: the flows with the greatest welfare, and a price in each zone that proves them.

Everything is decided in integers. Each zone begins alone, as an ordinary sweep; then units move along the cheapest path
of links with room left, from where one more unit costs least to where it is worth most, until no move gains. That is
the optimum of the linear program, without its rounding, and it takes a third of a solver's time; the tests hold it
against one.

Zone prices are the least and the greatest potentials of the same graph: the exact effect of one unit more or less. The
middle of both, rounded down, keeps every difference between zones within its bound, because the bounds are integers.

Source: successive shortest paths with potentials, as in textbooks on network flows (Ahuja, Magnanti, Orlin, ch. 9).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cloud.market.auction import AuctionOrder, Margin, Tie, levels, serve, sweep
from contracts.market import Side

Levels = list[tuple[int, int]]
# A bid counts a quarter of a price unit more than its limit: enough to prefer volume, too little to cost welfare.
_SCALE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A line between two zones: so many Wh either way in one interval, at a fee per unit of flow."""

    origin: str
    target: str
    capacity_wh: int
    fee_mct_per_kwh: int = 0

    @property
    def name(self) -> str:
        """Return ``origin>target``; a negative flow runs against it."""
        return f"{self.origin}>{self.target}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ZonePrice:
    """The prices that clear one zone; ``paid`` is ``None`` where an end is open, which only happens without trade."""

    low: int | None
    high: int | None
    paid: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkTrade:
    """One pair; buyer and seller pay and get their own zones' prices."""

    buy_id: str
    sell_id: str
    quantity_wh: int
    buy_mct_per_kwh: int
    sell_mct_per_kwh: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkClearing:
    """What the zones decided together.

    Buyers' payments less sellers' receipts equal ``fees_uct`` plus ``rent_uct``; the welfare is net of fees.
    """

    volume_wh: int
    welfare_uct: int
    fills: dict[str, int]
    trades: tuple[NetworkTrade, ...]
    zones: dict[str, ZonePrice]
    flows: dict[str, int]
    fees_uct: int
    rent_uct: int


def clear_network(
    orders: Iterable[AuctionOrder],
    links: Sequence[Link],
    *,
    zones: Iterable[str] = (),
    tie: Tie = Tie.TIME,
    product: str = "",
    tick: int = 1,
) -> NetworkClearing:
    """Clear orders of several zones, with the greatest welfare after fees and, among those, the greatest volume.

    Args:
        orders: Each in its ``zone``; ids are unique.
        links: Between zones that exist; several links between two zones add up.
        zones: Zones that may have no orders.
        tie: Who is served first among equal limits of one zone.
        product: Names the product in a lot.
        tick: Prices paid are multiples of it; limits and fees are too, or a price could leave its interval.

    Raises:
        ValueError: A link has a negative capacity or fee, or joins a zone to itself.
    """
    for link in links:
        if link.capacity_wh < 0 or link.fee_mct_per_kwh < 0 or link.origin == link.target:
            raise ValueError(f"link {link.name} with capacity {link.capacity_wh}, fee {link.fee_mct_per_kwh}: unusable")
    every = list(orders)
    ends = (end for link in links for end in (link.origin, link.target))
    names = sorted({order.zone for order in every} | set(zones) | set(ends))
    grid = _Grid(zones={name: _Zone.of([o for o in every if o.zone == name]) for name in names}, links=list(links))
    grid.solve()
    return _result(grid, every, tie=tie, product=product, tick=tick)


@dataclass(slots=True)
class _Curve:
    """One side of one zone: its levels, and how far they are used."""

    levels: Levels
    index: int = 0
    used: int = 0

    def left(self) -> tuple[int, int] | None:
        """Return limit and quantity of the first unit that is not used."""
        if self.index == len(self.levels):
            return None
        limit, quantity = self.levels[self.index]
        return limit, quantity - self.used

    def last(self) -> tuple[int, int] | None:
        """Return limit and quantity of the last unit that is used."""
        if self.used:
            return self.levels[self.index][0], self.used
        return self.levels[self.index - 1] if self.index else None

    def move(self, quantity: int) -> None:
        """Use more, or less where negative, within one level."""
        if quantity < 0 and not self.used:
            self.index -= 1
            self.used = self.levels[self.index][1]
        self.used += quantity
        if self.index < len(self.levels) and self.used == self.levels[self.index][1]:
            self.index += 1
            self.used = 0

    def use(self, total: int) -> None:
        """Use exactly so much from the front."""
        self.index = self.used = 0
        while total and self.index < len(self.levels):
            step = min(total, self.levels[self.index][1])
            self.move(step)
            total -= step
        assert not total, "more is used than there is"

    def total(self) -> int:
        """Return what is used."""
        return sum(quantity for _, quantity in self.levels[: self.index]) + self.used

    def margin(self) -> Margin:
        """Return where the curve is cut."""
        last, left = self.last(), self.left()
        return Margin(last=last and last[0], last_filled_wh=last[1] if last else 0, left=left and left[0])


@dataclass(slots=True)
class _Zone:
    """Both curves of one zone. To export one more unit means another offer, or a bid less."""

    bids: _Curve
    offers: _Curve

    @classmethod
    def of(cls, orders: list[AuctionOrder]) -> "_Zone":
        bids = sorted((o for o in orders if o.side is Side.BUY), key=lambda o: -o.limit_mct_per_kwh)
        offers = sorted((o for o in orders if o.side is Side.SELL), key=lambda o: o.limit_mct_per_kwh)
        return cls(_Curve(levels(bids)), _Curve(levels(offers)))

    def settle(self) -> None:
        """Clear the zone alone."""
        volume = sweep(self.bids.levels, self.offers.levels).volume_wh
        self.bids.use(volume)
        self.offers.use(volume)

    def high(self) -> tuple[int, int, bool] | None:
        """Return the cost of one unit more to export, for how many units, and whether it is a new offer."""
        offer, bid = self.offers.left(), self.bids.last()
        if offer is not None and (bid is None or offer[0] <= bid[0]):
            return (*offer, True)
        return None if bid is None else (*bid, False)

    def low(self) -> tuple[int, int, bool] | None:
        """Return the worth of one unit more imported, for how many units, and whether it is a new bid."""
        bid, offer = self.bids.left(), self.offers.last()
        if bid is not None and (offer is None or bid[0] >= offer[0]):
            return (*bid, True)
        return None if offer is None else (*offer, False)


@dataclass(slots=True)
class _Grid:
    zones: dict[str, _Zone]
    links: list[Link]
    flows: list[int] = field(default_factory=list)

    def solve(self) -> None:
        """Clear every zone alone, then move units along the best path until none gains."""
        self.flows = [0] * len(self.links)
        for zone in self.zones.values():
            zone.settle()
        while self._improve():
            pass

    def _arcs(self) -> list[tuple[str, str, int, int, int]]:
        """Return what may still flow: from, to, cost per unit, how much, and the link (its sign the direction)."""
        arcs = []
        for index, (link, flow) in enumerate(zip(self.links, self.flows, strict=True), start=1):
            for sign, start, end in ((1, link.origin, link.target), (-1, link.target, link.origin)):
                along = sign * flow
                if along < 0:
                    arcs.append((start, end, -link.fee_mct_per_kwh, -along, sign * index))
                elif along < link.capacity_wh:
                    arcs.append((start, end, link.fee_mct_per_kwh, link.capacity_wh - along, sign * index))
        return arcs

    def _potentials(
        self, *, scale: int = _SCALE, bonus: int = 1
    ) -> tuple[dict[str, int], dict[str, tuple[str, int, int]]] | None:
        """Return the cheapest cost of one unit in each zone and the last arc of its path; ``None`` on a free lunch.

        Costs are scaled, and a bid is worth the bonus more than its limit, so that volume decides between equals.
        """
        cost: dict[str, int] = {}
        for name, zone in self.zones.items():
            high = zone.high()
            if high is not None:
                cost[name] = scale * high[0] + (0 if high[2] else bonus)
        before: dict[str, tuple[str, int, int]] = {}
        arcs = self._arcs()
        for _ in range(len(self.zones) + 1):
            changed = False
            for start, end, price, room, link in arcs:
                if start in cost and (end not in cost or cost[start] + scale * price < cost[end]):
                    cost[end] = cost[start] + scale * price
                    before[end] = (start, room, link)
                    changed = True
            if not changed:
                return cost, before
        return None

    def _improve(self) -> bool:
        """Move units along the path that gains most; return whether one did."""
        found = self._potentials()
        assert found is not None, "moving units along cheapest paths leaves no free cycle"
        cost, before = found
        best, gain = None, 0
        for name, zone in self.zones.items():
            low = zone.low()
            if low is not None and name in cost:
                more = _SCALE * low[0] + (1 if low[2] else 0) - cost[name]
                best, gain = (name, more) if more > gain else (best, gain)
        if best is not None:
            self._move(best, before)
        return best is not None

    def _move(self, end: str, before: Mapping[str, tuple[str, int, int]]) -> None:
        low = self.zones[end].low()
        assert low is not None
        amount, place, path = low[1], end, []
        while place in before:
            start, room, link = before[place]
            amount = min(amount, room)
            path.append(link)
            place = start
        high = self.zones[place].high()
        assert high is not None
        amount = min(amount, high[1])
        if high[2]:
            self.zones[place].offers.move(amount)
        else:
            self.zones[place].bids.move(-amount)
        if low[2]:
            self.zones[end].bids.move(amount)
        else:
            self.zones[end].offers.move(-amount)
        for link in path:
            self.flows[abs(link) - 1] += amount if link > 0 else -amount

    def prices(self) -> dict[str, tuple[int | None, int | None]]:
        """Return the least and the greatest price of each zone that all others can live with."""
        found = self._potentials(scale=1, bonus=0)
        assert found is not None, "prices of an optimum have no free cycle"
        high, _ = found
        low: dict[str, int] = {}
        for name, zone in self.zones.items():
            worth = zone.low()
            if worth is not None:
                low[name] = worth[0]
        arcs = self._arcs()
        for _ in self.zones:
            for start, end, price, _, _ in arcs:
                if end in low and (start not in low or low[end] - price > low[start]):
                    low[start] = low[end] - price
        return {name: (low.get(name), high.get(name)) for name in self.zones}


def _result(grid: _Grid, orders: list[AuctionOrder], *, tie: Tie, product: str, tick: int) -> NetworkClearing:
    fills = dict.fromkeys((order.order_id for order in orders), 0)
    served: dict[str, tuple[list[AuctionOrder], list[AuctionOrder]]] = {}
    for name, zone in grid.zones.items():
        sides = []
        for side, curve in ((Side.BUY, zone.bids), (Side.SELL, zone.offers)):
            sign = -1 if side is Side.BUY else 1
            ranked = sorted(
                (o for o in orders if o.zone == name and o.side is side),
                key=lambda o: (sign * o.limit_mct_per_kwh, o.sequence),
            )
            margin = curve.margin()
            sides.append(serve(ranked, margin, tie=tie, product=product, buying=side is Side.BUY, fills=fills))
        served[name] = (sides[0], sides[1])
    volume = sum(zone.bids.total() for zone in grid.zones.values())
    zones = {name: _zone_price(low, high, volume, tick) for name, (low, high) in grid.prices().items()}
    fees = sum(abs(flow) * link.fee_mct_per_kwh for link, flow in zip(grid.links, grid.flows, strict=True))
    rent = 0
    for link, flow in zip(grid.links, grid.flows, strict=True):
        start, end = zones[link.origin].paid, zones[link.target].paid
        if flow:
            assert start is not None, "a flow without a price"
            assert end is not None, "a flow without a price"
            rent += flow * (end - start) - abs(flow) * link.fee_mct_per_kwh
    worth = sum(fills[o.order_id] * o.limit_mct_per_kwh * (1 if o.side is Side.BUY else -1) for o in orders)
    flows: dict[str, int] = {}
    for link, flow in zip(grid.links, grid.flows, strict=True):
        flows[link.name] = flows.get(link.name, 0) + flow
    return NetworkClearing(
        volume_wh=volume,
        welfare_uct=worth - fees,
        fills=fills,
        trades=_pairs(served, fills, zones),
        zones=zones,
        flows=flows,
        fees_uct=fees,
        rent_uct=rent,
    )


def _zone_price(low: int | None, high: int | None, volume: int, tick: int) -> ZonePrice:
    paid = (low + high) // 2 // tick * tick if volume and low is not None and high is not None else None
    return ZonePrice(low=low, high=high, paid=paid)


def _pairs(
    served: Mapping[str, tuple[list[AuctionOrder], list[AuctionOrder]]],
    fills: Mapping[str, int],
    zones: Mapping[str, ZonePrice],
) -> tuple[NetworkTrade, ...]:
    """Pair within each zone first, then what is left across zones."""
    trades: list[NetworkTrade] = []
    left = {order_id: quantity for order_id, quantity in fills.items() if quantity}

    def pair(buyers: Sequence[AuctionOrder], sellers: Sequence[AuctionOrder]) -> None:
        offers = iter([order for order in sellers if order.order_id in left])
        offer = next(offers, None)
        for bid in buyers:
            while bid.order_id in left and offer is not None:
                step = min(left[bid.order_id], left[offer.order_id])
                buy_price, sell_price = zones[bid.zone].paid, zones[offer.zone].paid
                assert buy_price is not None
                assert sell_price is not None
                trades.append(
                    NetworkTrade(
                        buy_id=bid.order_id,
                        sell_id=offer.order_id,
                        quantity_wh=step,
                        buy_mct_per_kwh=buy_price,
                        sell_mct_per_kwh=sell_price,
                    )
                )
                for order in (bid, offer):
                    left[order.order_id] -= step
                    if not left[order.order_id]:
                        del left[order.order_id]
                if offer.order_id not in left:
                    offer = next(offers, None)

    for buyers, sellers in served.values():
        pair(buyers, sellers)
    pair([o for buyers, _ in served.values() for o in buyers], [o for _, sellers in served.values() for o in sellers])
    assert not left, "bought and sold quantities differ"
    return tuple(trades)
