"""What a site tells the market that it can do, so that no order is taken beyond it.

The connection bounds each interval, the energy in the batteries bounds them together. What is announced is what is
possible, not what is planned: energy that the plan takes from the site's own surplus may be sold later, energy that it
gives to the site's own load may be sold instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.market import Availability
from contracts.units import DELIVERY_INTERVAL_S
from edge.trading.model import Battery, PlanStep, Reach, SiteForecast
from edge.trading.orders import QUANTITY_DEAD_BAND_SHARE, QUANTITY_DEAD_BAND_WH

_H_PER_INTERVAL = DELIVERY_INTERVAL_S / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the last plan was made from; it is announced until the next one, so that orders and availability agree.

    Args:
        forecasts: Of the plan's intervals, in time order.
        batteries: As they stood; empty while none of the site's is heard, ``None`` for a site without.
        plan: Of the battery; empty without one.
    """

    forecasts: Sequence[SiteForecast]
    batteries: Sequence[Battery] | None
    plan: Sequence[PlanStep]


def reach_of(*, import_limit_w: float, export_limit_w: float, generation_w_max: float, discharge_w_max: float) -> Reach:
    """Return what a site can carry in one interval: its connection's limits, and no export that nothing could make."""
    return Reach(
        import_wh=int(import_limit_w * _H_PER_INTERVAL),
        export_wh=int(min(export_limit_w, generation_w_max + discharge_w_max) * _H_PER_INTERVAL),
    )


def availability_of(*, basis: Basis, forecasts: Sequence[SiteForecast], reach: Reach) -> Availability | None:
    """Return what the site can do from the plan's first interval to the last of the newest forecasts.

    Without a forecast there is no such interval: ``None``.

    A little is added to what the batteries can do: orders stand while they are near enough to what is wanted. Without
    that, orders that are meant well would be refused for a few Wh.

    Args:
        basis: Of the plan that the orders follow; its forecasts begin no later than the newest.
        forecasts: The newest, of the intervals that are ordered in.
        reach: Of the connection, in each interval.
    """
    newest = {each.start: each for each in forecasts}
    known = [
        newest.get(each.start, each) for each in basis.forecasts if forecasts and each.start <= forecasts[-1].start
    ]
    if not known:
        return None
    own = [each.net_wh for each in known]
    stored_wh: int | None = None
    room_wh: int | None = None
    if basis.batteries is not None:
        loose_wh = sum(max(QUANTITY_DEAD_BAND_WH, abs(net_wh) * QUANTITY_DEAD_BAND_SHARE) for net_wh in own)
        moved = {step.start: step.battery_wh for step in basis.plan}
        pairs = [(each.net_wh, moved.get(each.start, 0)) for each in known]
        taken_in_wh = sum(min(max(0, -net_wh), max(0, battery_wh)) for net_wh, battery_wh in pairs)
        given_wh = sum(min(max(0, net_wh), max(0, -battery_wh)) for net_wh, battery_wh in pairs)
        stored_wh = round(sum(_stored_wh(battery) for battery in basis.batteries) + taken_in_wh + loose_wh)
        room_wh = round(sum(_room_wh(battery) for battery in basis.batteries) + given_wh + loose_wh)
    return Availability(
        interval_start=known[0].start,
        import_wh=(reach.import_wh,) * len(known),
        export_wh=(reach.export_wh,) * len(known),
        own_net_wh=tuple(own) if basis.batteries is not None else (),
        stored_wh=stored_wh,
        room_wh=room_wh,
    )


def _stored_wh(battery: Battery) -> float:
    """Return what the battery can give at its terminals."""
    return battery.capacity_wh * max(0.0, battery.soc_percent - battery.soc_percent_min) / 100 * battery.efficiency


def _room_wh(battery: Battery) -> float:
    """Return what the battery can take at its terminals."""
    return battery.capacity_wh * max(0.0, battery.soc_percent_max - battery.soc_percent) / 100 / battery.efficiency
