"""What sites are owed for an event: what was ordered in each delivery interval, and what they would have used.

While an event lasts, the ordered change of each site is summed by interval. When it ends, the sums and the baselines
go to the market, which pays for what the meters confirm.
"""

from datetime import datetime, timedelta
from typing import Final

from cloud.grid.state import Event, EventState
from cloud.market import commands
from cloud.market.shapes import EventCommand
from cloud.shell.grid.baselines import days_out, usual_use
from cloud.shell.services import Services
from cloud.stores.registry import FeederRecord
from contracts.units import DeliveryInterval, epoch_ms, instant

# The agent is called every few seconds; a longer pause proves nothing about what was in force.
STEP_S_MAX: Final = 150.0

# By site and start of the interval in epoch milliseconds: ordered Wh, positive for a reduction of net import.
Ordered = dict[str, dict[str, float]]


def ordered_since(ordered: Ordered, state: EventState, *, since: datetime, now: datetime) -> Ordered:
    """Return the sums with what was in force from one call of the agent to the next, split at interval borders."""
    event = state.event
    if event is None:
        return ordered
    begin = max(since, now - timedelta(seconds=STEP_S_MAX))
    summed = {site: dict(by_interval) for site, by_interval in ordered.items()}
    for part in event.parts:
        if part.order is None:
            continue
        at = begin
        while at < now:
            interval = DeliveryInterval.containing(at)
            until = min(interval.end, now)
            wh = -event.direction.sign * part.order.change_w * (until - at).total_seconds() / 3600
            by_interval = summed.setdefault(part.site, {})
            start = str(epoch_ms(interval.start))
            by_interval[start] = by_interval.get(start, 0.0) + wh
            at = until
    return summed


def claim(
    services: Services, feeder: FeederRecord, event: Event, ordered: Ordered, *, at: datetime
) -> EventCommand | None:
    """Return what the market is told of an ended event, ``None`` where nothing can be paid.

    A site whose meter was not heard of before the event has no baseline and is left out.

    Raises:
        StoreError: The tables failed.
    """
    tables, zone = services.stores.tables, services.registry.zone(feeder.zone)
    assert zone is not None, "the registry proves that a feeder's zone is listed"
    excluded = days_out(tables, zone=zone, feeder=feeder, event_id=event.event_id)
    lines = []
    for name, by_interval in sorted(ordered.items()):
        site = services.registry.site(name)
        wanted = {instant(int(start)): round(wh) for start, wh in by_interval.items() if round(wh)}
        if site is None or not wanted:
            continue
        usual = usual_use(
            tables, zone=zone, site=site, excluded=excluded, detected_at=event.detected_at, starts=sorted(wanted)
        )
        lines += [
            commands.dr_line(
                site=name,
                interval_ms=epoch_ms(start),
                committed_wh=wanted[start],
                baseline_wh=one.baseline_wh,
                method=one.method,
                flags=one.flags,
            )
            for start, one in usual.items()
        ]
    if not lines:
        return None
    return commands.dr_event(
        event=event.event_id,
        price_mct_per_kwh=feeder.dr_price_mct_per_kwh,
        penalty_mct_per_kwh=feeder.dr_penalty_mct_per_kwh,
        lines=lines,
        at_ms=epoch_ms(at),
    )
