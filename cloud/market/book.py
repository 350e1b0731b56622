"""The continuous book: price first, then time; a trade happens at the resting order's price.

One dictionary of price levels per side, each level an insertion-ordered dictionary of order to open quantity, and a
heap of prices that is cleaned only where it is read. A level that empties stays until it is the best one, so that
cancelling costs two look-ups whatever the depth.

An order is anything that can be the key of a dictionary: its name, or an object that stands for itself.
"""

from collections.abc import Collection, Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from cloud.market.rules import SelfTrade
from contracts.market import Side, TimeInForce

K = TypeVar("K", bound=Hashable)

# What one resting order gave to the incoming one: the resting order, its price, the quantity.
Fill = tuple[K, int, int]

_NONE: tuple[()] = ()
# Enum members by name cost as much as a dictionary each time, so the usual one is tried first.
_GTC = TimeInForce.GTC
_IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
# A level is packed anew after so many services, and an eighth of its length more.
_SERVED_MIN = 32


class Level(dict[K, int], Generic[K]):
    """The resting orders of one price and side, the earliest first."""

    __slots__ = ("buy", "price", "served")

    def __init__(self, price: int, buy: bool) -> None:
        self.served = 0
        self.price = price
        self.buy = buy


class Placement(NamedTuple, Generic[K]):
    """What became of an incoming order.

    ``resting`` is what stands in the book, ``cancelled`` what was given up; ``removed`` are quantities that
    self-trade prevention took off resting orders. ``crossed`` says that a post-only order was refused.
    """

    fills: list[Fill[K]] | tuple[()] = _NONE
    resting: int = 0
    cancelled: int = 0
    removed: list[tuple[K, int]] | tuple[()] = _NONE
    crossed: bool = False


class Resting(NamedTuple, Generic[K]):
    """One order in the book."""

    order_id: K
    side: Side
    price: int
    quantity: int


class Standing(NamedTuple, Generic[K]):
    """What a supplier of last resort offers or wants: after every other order of its price and better ones."""

    order_id: K
    key: int
    price: int
    quantity: int


class Book(Generic[K]):
    """The open orders of one product."""

    __slots__ = ("_heaps", "_levels", "_standing", "_stands", "_where", "self_trade")

    def __init__(self, self_trade: SelfTrade = SelfTrade.CANCEL_RESTING) -> None:
        self.self_trade = self_trade
        # Index 0 holds offers under their price, index 1 bids under their negated price: the least key is the best.
        self._levels: tuple[dict[int, Level[K]], dict[int, Level[K]]] = ({}, {})
        self._heaps: tuple[list[int], list[int]] = ([], [])
        self._where: dict[K, Level[K]] = {}
        self._standing: tuple[Standing[K] | None, Standing[K] | None] = (None, None)
        self._stands = False

    def __len__(self) -> int:
        """Return how many orders rest."""
        return len(self._where)

    def __contains__(self, order_id: K) -> bool:
        """Return whether an order rests, or stands behind all others."""
        return order_id in self._where or any(one is not None and one.order_id == order_id for one in self._standing)

    def add(self, order_id: K, buy: bool, quantity: int, price: int) -> list[Fill[K]] | tuple[()]:
        """Trade a plain limit order as far as it goes and rest what is left; the shortest path through the book.

        The caller has checked that the id is not resting and the quantity is above zero.
        """
        heap = self._heaps[not buy]
        fills: list[Fill[K]] | tuple[()] = _NONE
        if heap:
            reach = price if buy else -price
            if heap[0] <= reach:
                fills, quantity = self._take(buy, quantity, reach)
                if not quantity:
                    return fills
        key = -price if buy else price
        levels = self._levels[buy]
        level = levels.get(key)
        if level is None:
            level = levels[key] = Level(price, buy)
            heappush(self._heaps[buy], key)
        level[order_id] = quantity
        self._where[order_id] = level
        return fills

    def place(
        self,
        order_id: K,
        buy: bool,
        quantity: int,
        price: int,
        *,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        own: Collection[K] = _NONE,
    ) -> Placement[K]:
        """Place an order with every condition: post-only never takes, IOC never rests, FOK is all or nothing.

        Self-trade prevention comes before everything that could trade; ``own`` are the orders of the same owner.
        """
        if not self.meets(buy, price):
            if tif is not _GTC and tif in _IMMEDIATE:
                return Placement(cancelled=quantity)
            self.rest(order_id, buy, quantity, price)
            return Placement(resting=quantity)
        reach = price if buy else -price
        standing = self._reached(buy, reach)
        if post_only and (standing is not None or self._crosses(buy, reach)):
            return Placement(cancelled=quantity, crossed=True)
        if tif is TimeInForce.FOK and self._available(buy, reach, quantity, own, standing) < quantity:
            return Placement(cancelled=quantity)
        if tif in _IMMEDIATE:
            fills, _, removed, _ = self._take_all(buy, quantity, reach, own)
            resting = 0
        else:
            fills, resting, removed = self.enter(order_id, buy, quantity, price, own)
        return Placement(fills, resting, quantity - sum(step for _, _, step in fills) - resting, removed)

    def enter(
        self, order_id: K, buy: bool, quantity: int, price: int, own: Collection[K]
    ) -> tuple[list[Fill[K]], int, list[tuple[K, int]]]:
        """Trade an order without conditions as far as it goes and rest what is left.

        Returns the fills, what rests, and what self-trade prevention took off orders of the same owner, ``own``.
        """
        fills, quantity, removed, stopped = self._take_all(buy, quantity, price if buy else -price, own)
        if not quantity or stopped:
            return fills, 0, removed
        self.rest(order_id, buy, quantity, price)
        return fills, quantity, removed

    def meets(self, buy: bool, price: int) -> bool:
        """Return whether an order at this price may meet another; ``False`` is certain, ``True`` may be an empty level.

        Where it meets none, ``rest`` is all that ``place`` would do with an order that may rest.
        """
        reach = price if buy else -price
        heap = self._heaps[not buy]
        return bool(heap and heap[0] <= reach) or (self._stands and self._reached(buy, reach) is not None)

    def stand(self, order_id: K, buy: bool, quantity: int, price: int) -> None:
        """Let an order of nobody stand behind everyone else at its price, as a supplier of last resort does.

        One such order stands on each side; a new one replaces it. It is none of ``orders`` and cannot be changed.
        """
        standing = None if not quantity else Standing(order_id, -price if buy else price, price, quantity)
        self._standing = (self._standing[0], standing) if buy else (standing, self._standing[1])
        self._stands = any(self._standing)

    def rest(self, order_id: K, buy: bool, quantity: int, price: int) -> None:
        """Put an order at the back of its level without trading, as during a call."""
        key = -price if buy else price
        levels = self._levels[buy]
        level = levels.get(key)
        if level is None:
            level = levels[key] = Level(price, buy)
            heappush(self._heaps[buy], key)
        level[order_id] = quantity
        self._where[order_id] = level

    def cancel(self, order_id: K) -> int:
        """Take an order out and return what was open, 0 where it does not rest."""
        level = self._where.pop(order_id, None)
        if level is None:
            return 0
        return level.pop(order_id)

    def reduce(self, order_id: K, quantity: int) -> None:
        """Lower a resting order's open quantity in its place.

        Raises:
            ValueError: The quantity is not below the open one, or not above zero.
        """
        level = self._where[order_id]
        if not 0 < quantity <= level[order_id]:
            raise ValueError(f"order {order_id} has {level[order_id]} open, {quantity} is not less; unchanged")
        level[order_id] = quantity

    def modify(self, order_id: K, quantity: int, price: int) -> list[Fill[K]] | tuple[()] | None:
        """Change a plain order: less quantity at the same price keeps its place, all else goes to the back.

        Returns the fills of the changed order, ``None`` where it does not rest. Where own orders count,
        ``cancel`` and ``place`` do the same.
        """
        level = self._where.get(order_id)
        if level is None:
            return None
        if level.price == price and quantity <= level[order_id]:
            level[order_id] = quantity
            return _NONE
        del level[order_id], self._where[order_id]
        return self.add(order_id, level.buy, quantity, price)

    def get(self, order_id: K) -> Resting[K] | None:
        """Return a resting order."""
        level = self._where.get(order_id)
        if level is None:
            return None
        return Resting(order_id, Side.BUY if level.buy else Side.SELL, level.price, level[order_id])

    def best(self, side: Side) -> int | None:
        """Return the best price of a side, with who stands behind it; ``None`` where it is empty."""
        buy = side is Side.BUY
        key, standing = self._best_key(buy), self._standing[buy]
        if standing is not None and (key is None or standing.key < key):
            key = standing.key
        return None if key is None else -key if buy else key

    def orders(self) -> Iterator[Resting[K]]:
        """Yield every resting order: bids from the dearest, then offers from the cheapest, the earlier first."""
        for buy in (True, False):
            side = Side.BUY if buy else Side.SELL
            levels = self._levels[buy]
            for key in sorted(levels):
                level = levels[key]
                for order_id, quantity in level.items():
                    yield Resting(order_id, side, level.price, quantity)

    def tidy(self) -> None:
        """Forget levels without orders; costs one pass over the levels."""
        for levels, heap in zip(self._levels, self._heaps, strict=True):
            for key in [key for key, level in levels.items() if not level]:
                del levels[key]
            heap[:] = list(levels)
            heapify(heap)

    def _best_key(self, buy: bool) -> int | None:
        levels, heap = self._levels[buy], self._heaps[buy]
        while heap:
            if levels[heap[0]]:
                return heap[0]
            del levels[heappop(heap)]
        return None

    def _crosses(self, buy: bool, reach: int) -> bool:
        best = self._best_key(not buy)
        return best is not None and best <= reach

    def _take(self, buy: bool, quantity: int, reach: int) -> tuple[list[Fill[K]], int]:
        """Trade against the other side up to a key; return the fills and what is left to trade."""
        levels, heap = self._levels[not buy], self._heaps[not buy]
        fills: list[Fill[K]] = []
        while quantity and heap and heap[0] <= reach:
            level = levels[heap[0]]
            price = level.price
            spent: list[K] = []
            for maker, open_quantity in level.items():
                if open_quantity > quantity:
                    level[maker] = open_quantity - quantity
                    fills.append((maker, price, quantity))
                    quantity = 0
                    break
                fills.append((maker, price, open_quantity))
                spent.append(maker)
                quantity -= open_quantity
                if not quantity:
                    break
            if spent:
                self._drop(level, spent)
            if not level:
                del levels[heappop(heap)]
        return fills, quantity

    def _take_owned(
        self, buy: bool, quantity: int, reach: int, own: Collection[K]
    ) -> tuple[list[Fill[K]], int, list[tuple[K, int]], bool]:
        """Trade as ``_take`` does, but never with an order of the same owner.

        Returns the fills, what is left, what was taken off own resting orders, and whether the rest is given up.
        """
        if not own:
            found, left = self._take(buy, quantity, reach)
            return found, left, [], False
        levels, heap, mode = self._levels[not buy], self._heaps[not buy], self.self_trade
        fills: list[Fill[K]] = []
        removed: list[tuple[K, int]] = []
        stopped = False
        while quantity and not stopped and heap and heap[0] <= reach:
            level = levels[heap[0]]
            price = level.price
            spent: list[K] = []
            for maker, open_quantity in level.items():
                if maker in own:
                    if mode is SelfTrade.CANCEL_INCOMING:
                        stopped = True
                        break
                    less = min(open_quantity, quantity) if mode is SelfTrade.DECREMENT else open_quantity
                    removed.append((maker, less))
                    if less == open_quantity:
                        spent.append(maker)
                    else:
                        level[maker] = open_quantity - less
                    if mode is SelfTrade.DECREMENT:
                        quantity -= less
                    stopped = mode is SelfTrade.CANCEL_BOTH
                elif open_quantity > quantity:
                    fills.append((maker, price, quantity))
                    level[maker] = open_quantity - quantity
                    quantity = 0
                else:
                    fills.append((maker, price, open_quantity))
                    spent.append(maker)
                    quantity -= open_quantity
                if stopped or not quantity:
                    break
            if spent:
                self._drop(level, spent)
            if not level:
                del levels[heappop(heap)]
        return fills, quantity, removed, stopped

    def _take_all(
        self, buy: bool, quantity: int, reach: int, own: Collection[K]
    ) -> tuple[list[Fill[K]], int, list[tuple[K, int]], bool]:
        """Trade as ``_take_owned`` does, with the order of last resort in its place."""
        standing = self._reached(buy, reach) if self._stands else None
        if standing is None:
            return self._take_owned(buy, quantity, reach, own)
        fills, quantity, removed, stopped = self._take_owned(buy, quantity, standing.key, own)
        if stopped or not quantity:
            return fills, quantity, removed, stopped
        step = min(quantity, standing.quantity)
        fills.append((standing.order_id, standing.price, step))
        quantity -= step
        self.stand(standing.order_id, not buy, standing.quantity - step, standing.price)
        if not quantity:
            return fills, 0, removed, False
        more, quantity, taken_off, stopped = self._take_owned(buy, quantity, reach, own)
        return fills + more, quantity, removed + taken_off, stopped

    def _reached(self, buy: bool, reach: int) -> Standing[K] | None:
        """Return the order of last resort that an order with this limit would meet."""
        standing = self._standing[not buy]
        return standing if standing is not None and standing.key <= reach else None

    def _drop(self, level: Level[K], spent: list[K]) -> None:
        """Forget orders that are wholly served.

        A dictionary keeps the holes of deleted keys and walks over them to its first live one, so a long queue that is
        served from the front is packed anew from time to time.
        """
        where = self._where
        for maker in spent:
            del level[maker], where[maker]
        level.served += 1
        if level.served > _SERVED_MIN + len(level) // 8:
            rest = dict(level)
            level.clear()
            level.update(rest)
            level.served = 0

    def _available(self, buy: bool, reach: int, wanted: int, own: Collection[K], standing: Standing[K] | None) -> int:
        """Return how much could trade at once, counted no further than ``wanted``; own orders do not count.

        Unless own orders are cancelled to make way, the first of them ends the count.
        """
        levels, heap = self._levels[not buy], self._heaps[not buy]
        ends = self.self_trade is not SelfTrade.CANCEL_RESTING
        passed: list[int] = []
        found = 0
        stopped = False
        while heap and heap[0] <= reach and found < wanted and not stopped:
            if standing is not None and heap[0] > standing.key:
                found, standing = found + standing.quantity, None
                continue
            key = heappop(heap)
            passed.append(key)
            for maker, open_quantity in levels[key].items():
                if maker in own:
                    if ends:
                        stopped = True
                        break
                    continue
                found += open_quantity
                if found >= wanted:
                    break
        for key in passed:
            heappush(heap, key)
        return found if stopped or standing is None else found + standing.quantity
