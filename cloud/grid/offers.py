"""What the sites can do for the feeder right now, as offers with a range and a price."""

from dataclasses import dataclass

from cloud.grid.model import Direction, FlexibleSite, Means, OrderBy, SiteObservation
from contracts.units import SiteId


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A change of a site's connection power, in the wanted direction, without sign."""

    site: SiteId
    means: Means
    change_w_max: float
    price_mct_per_kwh: int


@dataclass(frozen=True, kw_only=True)
class Natural:
    """What a site would do without an order: the powers that a change is counted from."""

    connection_w: float
    battery_w: float
    pv_w: float


def offers_of(
    site: FlexibleSite,
    *,
    seen: SiteObservation,
    natural: Natural,
    direction: Direction,
    duration_s: float,
    cap_w: float | None = None,
) -> tuple[Offer, ...]:
    """Return what a site can change for the duration, its own limits and stored energy respected.

    Args:
        site: What the site has agreed to.
        seen: Its latest telemetry; a battery without a state of charge offers nothing.
        natural: What it would do without an order.
        direction: Which way the change goes.
        duration_s: How long the change must last.
        cap_w: What the site has proven unable to exceed in this event, or ``None``.
    """
    parts = [
        (Means.BATTERY, _battery_w(site, seen, natural, direction, duration_s), site.battery_price_mct_per_kwh),
        (Means.LOAD, _load_w(site, natural, direction), site.load_price_mct_per_kwh),
        (Means.PV, _pv_w(site, natural, direction), site.pv_price_mct_per_kwh),
    ]
    to_zero_w = max(0.0, -direction.sign * natural.connection_w)
    left_w = to_zero_w if _by_limit(site) else float("inf")
    if cap_w is not None:
        left_w = min(left_w, cap_w)
    offers: list[Offer] = []
    for means, power_w, price in parts:
        if means is not Means.BATTERY:
            # More than the battery is asked for by a limit, whatever the site's way.
            left_w = min(left_w, max(0.0, to_zero_w - sum(offer.change_w_max for offer in offers)))
        usable_w = min(power_w, left_w)
        if usable_w >= 1:
            left_w -= usable_w
            offers.append(Offer(site=site.site, means=means, change_w_max=usable_w, price_mct_per_kwh=price))
    return tuple(offers)


def _battery_w(
    site: FlexibleSite, seen: SiteObservation, natural: Natural, direction: Direction, duration_s: float
) -> float:
    if not site.battery_capacity_wh or seen.soc_percent is None:
        return 0.0
    hours = duration_s / 3600
    wh_per_percent = site.battery_capacity_wh / 100
    if direction is Direction.REDUCE_IMPORT:
        stored_wh = max(0.0, seen.soc_percent - site.soc_percent_min) * wh_per_percent * site.efficiency_one_way
        change_w = min(site.battery_discharge_w_max, stored_wh / hours) + natural.battery_w
        if site.inverter_w_max is not None:
            # What the battery gives beyond the inverter's rating only holds the sun back.
            change_w = min(change_w, site.inverter_w_max + natural.battery_w + natural.pv_w)
        return max(0.0, change_w)
    room_wh = max(0.0, site.soc_percent_max - seen.soc_percent) * wh_per_percent / site.efficiency_one_way
    return max(0.0, min(site.battery_charge_w_max, room_wh / hours) - natural.battery_w)


def _load_w(site: FlexibleSite, natural: Natural, direction: Direction) -> float:
    if direction is not Direction.REDUCE_IMPORT:
        return 0.0
    load_w = natural.connection_w - natural.battery_w - natural.pv_w
    return max(0.0, min(site.sheddable_load_w, load_w))


def _pv_w(site: FlexibleSite, natural: Natural, direction: Direction) -> float:
    if direction is not Direction.REDUCE_EXPORT or not site.pv_curtailable:
        return 0.0
    return max(0.0, -natural.pv_w)


def _by_limit(site: FlexibleSite) -> bool:
    """Return whether a site is asked by a limit at its meter alone, which moves it to zero, never beyond."""
    return site.order_by is OrderBy.CONNECTION_LIMIT or not site.battery_capacity_wh
