"""How a change becomes an order that a site understands, and how long it may stand."""

import hashlib
from collections.abc import Mapping

from cloud.grid.actions import OrderAction
from cloud.grid.model import Direction, FlexibleSite, Means, OrderBy
from cloud.grid.offers import Natural
from contracts.control import BatteryPower, LimitExport, LimitImport


def action_for(
    site: FlexibleSite, *, changes_w: Mapping[Means, float], natural: Natural, direction: Direction
) -> OrderAction:
    """Return the order that moves a site by the sum of the changes.

    A battery alone is ordered by its power where the site asks for that; everything else by a limit at the meter,
    which the site holds with whatever it has, also when its load rises meanwhile.
    """
    total_w = sum(changes_w.values())
    beyond_battery_w = total_w - changes_w.get(Means.BATTERY, 0.0)
    if site.order_by is OrderBy.BATTERY_POWER and site.battery_capacity_wh and beyond_battery_w < 1:
        return BatteryPower(power_w=round(natural.battery_w + direction.sign * total_w))
    bound_w = -direction.sign * natural.connection_w - total_w
    if direction is Direction.REDUCE_IMPORT:
        return LimitImport(max_w=max(0, int(bound_w)))
    return LimitExport(max_w=max(0, int(bound_w)))


def value_w(action: OrderAction) -> int:
    """Return the number that an order carries."""
    return action.power_w if isinstance(action, BatteryPower) else action.max_w


def eased(action: OrderAction, *, by_w: float, direction: Direction) -> OrderAction:
    """Return an order that asks for ``by_w`` less change than this one."""
    if isinstance(action, BatteryPower):
        return BatteryPower(power_w=round(action.power_w - direction.sign * by_w))
    bound_w = max(0, round(action.max_w + by_w))
    return LimitImport(max_w=bound_w) if isinstance(action, LimitImport) else LimitExport(max_w=bound_w)


def eased_by_w(old: OrderAction, new: OrderAction, *, direction: Direction) -> float:
    """Return by how much a new order asks for less than an old one of its kind; zero where it asks for more."""
    if old.kind != new.kind:
        return 0.0
    change_w = value_w(new) - value_w(old)
    return max(0.0, -direction.sign * change_w if isinstance(new, BatteryPower) else float(change_w))


def release_delay_s(event_id: str, site: str, *, spread_s: float) -> float:
    """Return how long after the others a site begins to take its change back, from 0 to ``spread_s``.

    Drawn from the names, so that it is scattered over the sites, differs from event to event, and is the same
    whenever it is asked for. Source: randomised return against rebound peaks, OpenADR 3 ``randomizeStart``.
    """
    digest = hashlib.sha256(f"{event_id}/{site}".encode()).digest()
    return int.from_bytes(digest[:4]) / 2**32 * spread_s


def held_fraction(*, elapsed_s: float, steps: int, step_s: float) -> float:
    """Return the fraction of a change that is still held some seconds after its release began, 1 down to 0."""
    if elapsed_s < 0:
        return 1.0
    return max(0.0, 1 - (int(elapsed_s // step_s) + 1) / steps)
