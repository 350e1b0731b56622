"""How far the sites have moved, and how loaded the feeder would be if they had not.

Two measures of one thing. *Moved* follows the devices: it answers whether orders may be taken back. *Metered* is the
connection point against the baseline: it answers what was delivered, and is what evidence and payment rest on.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from cloud.grid.model import Direction, SiteObservation
from cloud.grid.offers import Natural
from cloud.grid.state import Baseline, Event, Moved, Participation
from contracts.control import BatteryPower

# A reading counts for no longer than this; beyond it nothing is known. A gateway is silent about a value that stays
# within its dead band, for up to five minutes, and its message may wait another one.
STEP_S_MAX = 400.0
TRAIL_MAX = 32  # Of a site's observations that wait for the feeder's meter; more of them lose the oldest.


def baseline_after(baseline: Baseline | None, *, seen: SiteObservation, window_s: float) -> Baseline | None:
    """Return a baseline with one more observation in it; the newest weighs most.

    Source: meter-before/meter-after baseline (NAESB WEQ-015 measurement and verification), as a running mean.
    """
    if seen.connection_power_w is None or (baseline is not None and seen.at <= baseline.at):
        return baseline
    now = Baseline(
        site=seen.site,
        at=seen.at,
        connection_w=seen.connection_power_w,
        battery_w=seen.battery_power_w or 0.0,
        pv_w=seen.pv_power_w or 0.0,
    )
    if baseline is None:
        return now
    weight = min(1.0, (seen.at - baseline.at).total_seconds() / window_s)
    return replace(
        now,
        connection_w=baseline.connection_w + weight * (now.connection_w - baseline.connection_w),
        battery_w=baseline.battery_w + weight * (now.battery_w - baseline.battery_w),
        pv_w=baseline.pv_w + weight * (now.pv_w - baseline.pv_w),
    )


def moved_w(part: Participation, *, seen: SiteObservation, direction: Direction) -> float:
    """Return how far a site's devices have moved against its baseline, at or above zero.

    A battery's part is measured at the battery. What is left at the connection point may be load and sun as well as
    an effect, so no more of it counts than was ordered beyond the battery: a load that falls behind a limit which only
    a battery was to hold would otherwise look held down, and the limit would never be let go.
    """
    if seen.connection_power_w is None:
        return 0.0
    ordered_w = part.order.change_w if part.order is not None else 0.0
    if seen.battery_power_w is None:
        change_w = direction.sign * (seen.connection_power_w - part.baseline.connection_w)
        return min(max(0.0, change_w), ordered_w)
    battery_w = max(0.0, direction.sign * (seen.battery_power_w - part.baseline.battery_w))
    if part.order is None or isinstance(part.order.action, BatteryPower):
        return battery_w
    rest_w = direction.sign * (
        (seen.connection_power_w - seen.battery_power_w) - (part.baseline.connection_w - part.baseline.battery_w)
    )
    beyond_w = min(part.order.beyond_battery_w, max(0.0, ordered_w - battery_w))
    return battery_w + min(max(0.0, rest_w), beyond_w)


def take_observation(
    part: Participation, *, seen: SiteObservation, direction: Direction, feeder_at: datetime | None
) -> Participation:
    """Return a part with a newer observation in it; an older or empty one changes nothing.

    What lies before the feeder's newest sample is forgotten, but for the observation that held then.
    """
    if seen.connection_power_w is None or (part.latest is not None and seen.at <= part.latest.at):
        return part
    moved = moved_w(part, seen=seen, direction=direction)
    ordered_w = part.order.change_w if part.order is not None else 0.0
    # Load that happens to fall is no delivery: no more counts than was asked for or than the devices moved.
    metered_w = direction.sign * (seen.connection_power_w - part.baseline.connection_w)
    metered_w = min(max(0.0, metered_w), max(ordered_w, moved))
    delivered_wh = part.delivered_wh
    if part.latest is not None and part.order is not None:
        elapsed_s = min((seen.at - part.latest.at).total_seconds(), STEP_S_MAX)
        delivered_wh += (part.metered_w + metered_w) / 2 * elapsed_s / 3600
    trail = (*part.trail, Moved(at=seen.at, moved_w=moved, connection_w=seen.connection_power_w))
    if feeder_at is not None:
        held = sum(1 for point in trail if point.at <= feeder_at)
        trail = trail[max(0, held - 1) :]
    return replace(part, trail=trail[-TRAIL_MAX:], metered_w=metered_w, delivered_wh=delivered_wh)


def moved_at(part: Participation, at: datetime) -> float:
    """Return how far a site had moved when the feeder was read, rather less than more.

    An effect that the feeder's meter cannot show yet must not be counted: it would look like new load, and be ordered
    again. So of the two observations around the instant the smaller counts, and what an order has eased since the
    last one is taken off. A site that reported its order effective and has not been observed since is believed; one
    that stays silent is counted at its last value. Without an order nothing counts.
    """
    order = part.order
    if order is None:
        return 0.0
    index = sum(1 for point in part.trail if point.at <= at) - 1
    held = part.trail[index] if index >= 0 else None
    moved = held.moved_w if held is not None else 0.0
    if index + 1 < len(part.trail):
        return min(moved, part.trail[index + 1].moved_w)
    if held is None or held.at <= order.ordered_at:
        if order.effective_at is not None and at >= order.effective_at:
            return max(order.change_w, moved - order.eased_w)
        return max(0.0, moved - order.eased_w)
    return moved


def delivered_until(part: Participation, now: datetime) -> float:
    """Return the energy delivered until now in Wh, the last reading held as long as a reading counts."""
    if part.latest is None or part.order is None:
        return part.delivered_wh
    held_s = min(max(0.0, (now - part.latest.at).total_seconds()), STEP_S_MAX)
    return part.delivered_wh + part.metered_w * held_s / 3600


def uncurtailed_w(event: Event, *, power_w: float, at: datetime) -> float:
    """Return the loading without any order, in W beyond which the limit of the event's direction counts."""
    return -event.direction.sign * power_w + sum(moved_at(part, at) for part in event.parts)


def natural_of(
    part: Participation | None, *, seen: SiteObservation, baseline: Baseline | None, direction: Direction
) -> Natural:
    """Return what a site would do without an order: its baseline where it moves, its reading where it does not."""
    connection_w = seen.connection_power_w or 0.0
    if part is None or part.order is None:
        reference = baseline
        return Natural(
            connection_w=connection_w,
            battery_w=reference.battery_w if reference is not None else seen.battery_power_w or 0.0,
            pv_w=seen.pv_power_w or 0.0,
        )
    moved = part.latest.moved_w if part.latest is not None else 0.0
    return Natural(
        connection_w=connection_w - direction.sign * moved,
        battery_w=part.baseline.battery_w,
        pv_w=part.baseline.pv_w,
    )


def fresh_observations(
    observations: Iterable[SiteObservation], *, now: datetime, stale_s: float
) -> dict[str, SiteObservation]:
    """Return the observations that are young enough to act on and hold a number, by site."""
    return {
        seen.site: seen
        for seen in observations
        if seen.connection_power_w is not None and (now - seen.at).total_seconds() <= stale_s
    }
