"""What a site would have used had there been no event: by the best method that its meter readings allow.

Ten like days before, else four of five, else the mean of the hour before the event, which is flagged. Days with other
events of the feeder are left out, holidays are like weekends. Days are local, by the zone's clock: days of 92 and 100
intervals are compared by the hour that the wall showed. A zone that names no ``timezone`` does not say when its clocks
change, and a baseline from its like days is flagged.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

from cloud.market.baseline import (
    HIGH_FOUR_OF_FIVE,
    TEN_OF_TEN,
    Baseline,
    Method,
    TooFewDays,
    baseline,
    pre_event,
)
from cloud.market.flags import Flag
from cloud.stores import keys
from cloud.stores.registry import FeederRecord, SiteRecord, ZoneRecord
from cloud.stores.tables import Table, Tables, prefix
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, DeliveryInterval, Quality, SiteId, instant
from domain.calendar.wall import quarters_of

METHODS: Final[tuple[Method, ...]] = (TEN_OF_TEN, HIGH_FOUR_OF_FIVE)
BEFORE_INTERVALS: Final = 4
LOOK_BACK_D: Final = max(method.look_back_days for method in METHODS)

History = dict[date, list[int | None]]


@dataclass(frozen=True, kw_only=True)
class UsualUse:
    """Net import in Wh (positive for import) that one interval would have had, by which method, and what looks odd."""

    baseline_wh: int
    method: str
    flags: tuple[str, ...]


def usual_use(
    tables: Tables,
    *,
    zone: ZoneRecord,
    site: SiteRecord,
    excluded: frozenset[date],
    detected_at: datetime,
    starts: Sequence[datetime],
) -> dict[datetime, UsualUse]:
    """Return what a site would have used in each interval; nothing where its meter was not heard of before the event.

    Args:
        tables: Where the readings are.
        zone: Its clock tells the local days, its calendar the holidays.
        site: Whose connection point it is.
        excluded: Local days with events.
        detected_at: The beginning of the event: readings from then on are not usual.
        starts: Beginnings of the intervals in question.

    Raises:
        StoreError: The tables failed.
    """
    local = zone.clock
    begin = DeliveryInterval.containing(detected_at)
    history = _history(tables, site.id, until=begin.start, local=local)
    connection_wh = site.import_limit_w * DELIVERY_INTERVAL_S // 3600
    found: dict[datetime, UsualUse] = {}
    for day, of_day in _by_day(starts, local).items():
        first, last = _index(of_day[0], local), _index(of_day[-1], local)
        # The hours before the event, not before midnight, tell how the day went.
        since = (_midnight(day, local) - begin.start) // DELIVERY_INTERVAL
        made = _made(
            history,
            day=day,
            first=first,
            count=last - first + 1,
            anchor=min(first, -since),
            excluded=excluded,
            zone=zone,
            connection_wh=connection_wh,
        )
        if isinstance(made, TooFewDays):
            before = _before(tables, site.id, begin)
            made = pre_event(before, count=last - first + 1, connection_wh=connection_wh)
        if isinstance(made, TooFewDays):
            continue
        # The hour before the event is the same by every clock; like days after a clock change are an hour off.
        unclear = (Flag.FIXED_CLOCK,) if made.days and not zone.timezone else ()
        flags = tuple(flag.value for flag in (*made.flags, *unclear))
        for start in of_day:
            wh = made.intervals_wh[_index(start, local) - first]
            found[start] = UsualUse(baseline_wh=wh, method=made.method, flags=flags)
    return found


def days_out(tables: Tables, *, zone: ZoneRecord, feeder: FeederRecord, event_id: str) -> frozenset[date]:
    """Return the local days with other events of a feeder.

    Raises:
        StoreError: The tables failed.
    """
    local = zone.clock
    found: set[date] = set()
    for item in tables.query(Table.GRID_METRICS, keys.feeder_state(feeder.id).pk, **prefix(keys.GRID_EVENTS)):
        if item.body["event_id"] == event_id:
            continue
        begin = datetime.fromisoformat(item.body["detected_at"]).astimezone(local).date()
        ended_at = item.body["ended_at"]
        end = datetime.fromisoformat(ended_at).astimezone(local).date() if ended_at else begin
        found |= {begin + timedelta(days=number) for number in range((end - begin).days + 1)}
    return frozenset(found)


def _made(
    history: History,
    *,
    day: date,
    first: int,
    count: int,
    anchor: int,
    excluded: frozenset[date],
    zone: ZoneRecord,
    connection_wh: int,
) -> Baseline | TooFewDays:
    """Return the baseline of the first method that has enough like days."""
    made: Baseline | TooFewDays = TooFewDays(found=0, needed=1)
    calendar, local = zone.calendar, zone.clock

    def clock(day: date, _: int) -> list[int]:
        return quarters_of(day, local)

    for method in METHODS:
        made = baseline(
            history,
            event_day=day,
            first=first,
            count=count,
            method=method,
            excluded=excluded,
            holidays=calendar,
            clock=clock,
            anchor=anchor,
            connection_wh=connection_wh,
        )
        if isinstance(made, Baseline):
            return made
    return made


def _by_day(starts: Sequence[datetime], local: tzinfo) -> dict[date, list[datetime]]:
    days: dict[date, list[datetime]] = defaultdict(list)
    for start in sorted(starts):
        days[start.astimezone(local).date()].append(start)
    return days


def _midnight(day: date, local: tzinfo) -> datetime:
    """Return the instant at which a local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=local).astimezone(UTC)


def _index(start: datetime, local: tzinfo) -> int:
    """Return which interval of its local day begins at an instant, counted from midnight through any clock change."""
    return (start - _midnight(start.astimezone(local).date(), local)) // DELIVERY_INTERVAL


def _history(tables: Tables, site: SiteId, *, until: datetime, local: tzinfo) -> History:
    """Return the local days of good readings before an instant; what was estimated is no reading."""
    first = until - timedelta(days=LOOK_BACK_D + 1)
    history: History = {}
    for reading in _readings(tables, site, first=first, last=until - DELIVERY_INTERVAL):
        if reading["quality"] == Quality.GOOD:
            start = instant(reading["interval_start"])
            day = start.astimezone(local).date()
            values = history.setdefault(day, [None] * len(quarters_of(day, local)))
            values[_index(start, local)] = _net_wh(reading)
    return history


def _before(tables: Tables, site: SiteId, begin: DeliveryInterval) -> list[int]:
    """Return the intervals right before an event, as far as there are readings."""
    first, last = begin.later(-BEFORE_INTERVALS).start, begin.later(-1).start
    found = _readings(tables, site, first=first, last=last)
    return [_net_wh(reading) for reading in found if reading["quality"] not in (Quality.INVALID, Quality.UNKNOWN)]


def _readings(tables: Tables, site: SiteId, *, first: datetime, last: datetime) -> list[dict[str, Any]]:
    """Return the readings of the intervals from one start to another, both included."""
    begin, end = keys.meter_reading(site, first), keys.meter_reading(site, last)
    found: list[dict[str, Any]] = []
    month = first
    while True:
        pk = keys.meter_reading(site, month).pk
        found += [item.body for item in tables.query(begin.table, pk, first=begin.sk, last=end.sk)]
        if pk == end.pk:
            return found
        month = (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def _net_wh(reading: Mapping[str, Any]) -> int:
    return int(reading["import_wh"]) - int(reading["export_wh"])
