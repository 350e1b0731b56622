"""Whether a battery's energy lasts over every interval that its site has traded.

What a site sells beyond its own generation leaves the battery, what it buys beyond its own load enters it. The walk
goes through the intervals in order of delivery and takes the worst: every open order of the asked side trades, none of
the other. Losses are the site's to leave out of what it announces.
"""

from itertools import takewhile
from typing import NamedTuple

from cloud.market.product import INTERVAL_MS
from cloud.market.state import Product, Storage


class Breach(NamedTuple):
    """The first interval in which the battery would be empty, or full, and by how much energy it would be off."""

    interval_ms: int
    missing_wh: int


def battery_wh(*, net_wh: int, own_net_wh: int) -> int:
    """Return what enters the battery (positive) for a net position, both positive for import.

    ``own_net_wh`` is the site's load less its generation. Load that was not bought is imbalance, not discharge.
    """
    if net_wh > 0:
        return max(0, net_wh - max(0, own_net_wh))
    return min(0, net_wh + max(0, -own_net_wh))


def first_breach(
    storage: Storage,
    products: dict[int, Product],
    site: str,
    *,
    buy: bool,
    start_ms: int,
    more_wh: int = 0,
    open_wh: int = 0,
    until_ms: int | None = None,
) -> Breach | None:
    """Return where one order would make the battery fail if all open orders of its side traded, ``None`` for nowhere.

    What fails without the order too, because the battery turned out smaller than it was when its site traded, is
    imbalance and no reason to refuse a load what it needs.

    Args:
        storage: The site's last announcement; intervals before it are not looked at.
        products: All products by their start, in the order of time, in which they are opened.
        site: Whose positions count.
        buy: Whether the room is asked for, by buying, or else the energy, by selling.
        start_ms: The order's interval.
        more_wh: What the order would add to those that are open, in Wh.
        open_wh: What of it is open already, in Wh.
        until_ms: The last interval to look at.
    """
    full_wh = storage.stored_wh + storage.room_wh
    sign = 1 if buy else -1
    level_wh = without_wh = storage.stored_wh
    for start in _ahead(products, storage.interval_ms):
        if until_ms is not None and start > until_ms:
            break
        position = products[start].positions.get(site)
        net_wh = 0
        if position is not None:
            net_wh = position.net_wh + (position.open_buy_wh if buy else -position.open_sell_wh)
        step = (start - storage.interval_ms) // INTERVAL_MS
        own_wh = storage.own_net_wh[step] if step < len(storage.own_net_wh) else 0
        here = start == start_ms
        level_wh += battery_wh(net_wh=net_wh + sign * more_wh * here, own_net_wh=own_wh)
        without_wh += battery_wh(net_wh=net_wh - sign * open_wh * here, own_net_wh=own_wh)
        missing_wh = _missing_wh(level_wh, full_wh, buy=buy) - _missing_wh(without_wh, full_wh, buy=buy)
        if missing_wh > 0:
            return Breach(start, missing_wh)
        level_wh, without_wh = min(max(level_wh, 0), full_wh), min(max(without_wh, 0), full_wh)
    return None


def _ahead(products: dict[int, Product], first_ms: int) -> list[int]:
    """Return the starts from one on, in order; forty days of past products are not looked at for each order."""
    found = list(takewhile(lambda start: start >= first_ms, reversed(products)))
    found.reverse()
    return found


def _missing_wh(level_wh: int, full_wh: int, *, buy: bool) -> int:
    return max(0, level_wh - full_wh if buy else -level_wh)
