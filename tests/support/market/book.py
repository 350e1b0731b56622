"""A slow book to judge the fast one by: one list, scanned for every match."""

from dataclasses import dataclass, field

from cloud.market.book import Fill, Placement
from cloud.market.rules import SelfTrade
from contracts.market import TimeInForce


@dataclass
class Row:
    """One resting order."""

    order_id: str
    buy: bool
    quantity: int
    price: int
    owner: str | None


@dataclass
class ListBook:
    """The rules of the continuous book, written down without any thought of speed."""

    self_trade: SelfTrade = SelfTrade.CANCEL_RESTING
    rows: list[Row] = field(default_factory=list)

    def place(
        self,
        order_id: str,
        buy: bool,
        quantity: int,
        price: int,
        *,
        tif: TimeInForce,
        post_only: bool,
        owner: str | None,
    ) -> Placement[str]:
        """Place an order as the book's documentation says."""
        if post_only and self._crossing(buy, price):
            return Placement(cancelled=quantity, crossed=True)
        if tif is TimeInForce.FOK and self._tradable(buy, price, owner) < quantity:
            return Placement(cancelled=quantity)
        left = quantity
        fills: list[Fill[str]] = []
        removed: list[tuple[str, int]] = []
        stopped = False
        for row in self._crossing(buy, price):
            if not left or stopped:
                break
            if owner is not None and row.owner == owner:
                match self.self_trade:
                    case SelfTrade.CANCEL_INCOMING:
                        stopped = True
                    case SelfTrade.CANCEL_RESTING:
                        removed.append((row.order_id, row.quantity))
                        row.quantity = 0
                    case SelfTrade.CANCEL_BOTH:
                        removed.append((row.order_id, row.quantity))
                        row.quantity = 0
                        stopped = True
                    case SelfTrade.DECREMENT:
                        less = min(left, row.quantity)
                        removed.append((row.order_id, less))
                        row.quantity -= less
                        left -= less
                continue
            step = min(left, row.quantity)
            fills.append((row.order_id, row.price, step))
            row.quantity -= step
            left -= step
        self.rows = [row for row in self.rows if row.quantity]
        resting = 0 if stopped or tif in (TimeInForce.IOC, TimeInForce.FOK) else left
        if resting:
            self.rows.append(Row(order_id, buy, resting, price, owner))
        traded = sum(step for _, _, step in fills)
        return Placement(fills, resting, quantity - traded - resting, removed)

    def cancel(self, order_id: str) -> int:
        """Take an order out."""
        gone = sum(row.quantity for row in self.rows if row.order_id == order_id)
        self.rows = [row for row in self.rows if row.order_id != order_id]
        return gone

    def modify(self, order_id: str, quantity: int, price: int) -> list[Fill[str]] | None:
        """Change an order: less at the same price keeps its place."""
        for row in self.rows:
            if row.order_id == order_id:
                if row.price == price and quantity <= row.quantity:
                    row.quantity = quantity
                    return []
                self.rows.remove(row)
                placed = self.place(
                    order_id, row.buy, quantity, price, tif=TimeInForce.GTC, post_only=False, owner=None
                )
                return list(placed.fills)
        return None

    def orders(self) -> list[tuple[str, bool, int, int]]:
        """Return what rests: bids from the dearest, then offers from the cheapest, the earlier first."""
        bids = sorted((row for row in self.rows if row.buy), key=lambda row: -row.price)
        offers = sorted((row for row in self.rows if not row.buy), key=lambda row: row.price)
        return [(row.order_id, row.buy, row.price, row.quantity) for row in (*bids, *offers)]

    def _crossing(self, buy: bool, price: int) -> list[Row]:
        sign = 1 if buy else -1
        crossing = [row for row in self.rows if row.buy is not buy and sign * row.price <= sign * price]
        return sorted(crossing, key=lambda row: sign * row.price)

    def _tradable(self, buy: bool, price: int, owner: str | None) -> int:
        total = 0
        for row in self._crossing(buy, price):
            if owner is not None and row.owner == owner:
                if self.self_trade is not SelfTrade.CANCEL_RESTING:
                    break
                continue
            total += row.quantity
        return total
