"""What sites are owed for an event: what was ordered in each delivery interval, and what they would have used.

While an event lasts, the ordered change of each site is summed by interval. When it ends, the sums and the baselines
go to the market, which pays for what the meters confirm.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from cloud.grid.state import Event, EventState
from cloud.market import commands
from cloud.market.baseline import Baseline, pre_event
from cloud.stores import keys
from cloud.stores.registry import FeederRecord
from cloud.stores.tables import Tables
from contracts.units import DeliveryInterval, SiteId, epoch_ms

BASELINE_INTERVALS: Final = 4
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
    tables: Tables, feeder: FeederRecord, event: Event, ordered: Ordered, *, at: datetime
) -> commands.Command | None:
    """Return what the market is told of an ended event, ``None`` where nothing can be paid.

    A site whose meter was not heard of before the event has no baseline and is left out.

    Raises:
        StoreError: The tables failed.
    """
    first = DeliveryInterval.containing(event.detected_at)
    lines = []
    for site, by_interval in sorted(ordered.items()):
        baseline = _baseline(tables, site, first, count=len(by_interval))
        if baseline is None:
            continue
        for start, baseline_wh in zip(sorted(by_interval, key=int), baseline.intervals_wh, strict=True):
            committed_wh = round(by_interval[start])
            if committed_wh:
                lines.append(
                    commands.dr_line(
                        site=site,
                        interval_ms=int(start),
                        committed_wh=committed_wh,
                        baseline_wh=baseline_wh,
                        method=baseline.method,
                        flags=tuple(str(flag) for flag in baseline.flags),
                    )
                )
    if not lines:
        return None
    return commands.dr_event(
        event=event.event_id,
        price_mct_per_kwh=feeder.dr_price_mct_per_kwh,
        penalty_mct_per_kwh=feeder.dr_penalty_mct_per_kwh,
        lines=lines,
        at_ms=epoch_ms(at),
    )


def _baseline(tables: Tables, site: SiteId, first: DeliveryInterval, *, count: int) -> Baseline | None:
    """Return the mean of the metered intervals right before an event, for so many intervals."""
    begin = first.later(-BASELINE_INTERVALS)
    pk = [keys.meter_reading(site, begin.later(number).start) for number in range(BASELINE_INTERVALS)]
    items = [item for key in pk if (item := tables.get(key)) is not None]
    found = pre_event([_net_wh(item.body) for item in items], count=count)
    return found if isinstance(found, Baseline) else None


def _net_wh(reading: dict[str, Any]) -> int:
    return int(reading["import_wh"]) - int(reading["export_wh"])
