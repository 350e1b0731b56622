"""Whether a battery's energy lasts over every interval that its site has traded.

What a site sells beyond its own generation leaves the battery, what it buys beyond its own load enters it. The walk
goes through the intervals in order of delivery and takes the worst: every open order of the asked side trades, none of
the other. Losses are the site's to leave out of what it announces.
"""

from collections.abc import Mapping
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
    products: Mapping[int, Product],
    site: str,
    *,
    buy: bool,
    start_ms: int = 0,
    more_wh: int = 0,
    until_ms: int | None = None,
) -> Breach | None:
    """Return where the battery would first fail if all open orders of one side traded, ``None`` where it never would.

    Args:
        storage: The site's last announcement; intervals before it are not looked at.
        products: All products by their start.
        site: Whose positions count.
        buy: Whether the room is asked for, by buying, or else the energy, by selling.
        start_ms: The interval in which ``more_wh`` would come on top.
        more_wh: The quantity of one more order, in Wh.
        until_ms: The last interval to look at.
    """
    full_wh = storage.stored_wh + storage.room_wh
    level_wh = storage.stored_wh
    for start in sorted(products):
        if start < storage.interval_ms or (until_ms is not None and start > until_ms):
            continue
        position = products[start].positions.get(site)
        net_wh = 0
        if position is not None:
            net_wh = position.net_wh + (position.open_buy_wh if buy else -position.open_sell_wh)
        if start == start_ms:
            net_wh += more_wh if buy else -more_wh
        step = (start - storage.interval_ms) // INTERVAL_MS
        own_wh = storage.own_net_wh[step] if step < len(storage.own_net_wh) else 0
        level_wh += battery_wh(net_wh=net_wh, own_net_wh=own_wh)
        if buy:
            level_wh = max(level_wh, 0)
            if level_wh > full_wh:
                return Breach(start, level_wh - full_wh)
        else:
            level_wh = min(level_wh, full_wh)
            if level_wh < 0:
                return Breach(start, -level_wh)
    return None
