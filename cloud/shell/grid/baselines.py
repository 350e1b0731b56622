"""What a site would have used had there been no event: by the best method that its meter readings allow.

Ten like days before, else four of five, else the mean of the hour before the event, which is flagged. Days with other
events of the feeder and holidays are left out. Days are local, at the zone's fixed offset.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from cloud.market.baseline import (
    HIGH_FOUR_OF_FIVE,
    INTERVALS_PER_DAY,
    TEN_OF_TEN,
    Baseline,
    Method,
    TooFewDays,
    baseline,
    pre_event,
)
from cloud.stores import keys
from cloud.stores.registry import FeederRecord, SiteRecord, ZoneRecord
from cloud.stores.tables import Table, Tables, prefix
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, DeliveryInterval, Quality, SiteId, instant

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
        zone: Its offset tells the local days.
        site: Whose connection point it is.
        excluded: Local days with events, and holidays.
        detected_at: The beginning of the event: readings from then on are not usual.
        starts: Beginnings of the intervals in question.

    Raises:
        StoreError: The tables failed.
    """
    local = timezone(timedelta(seconds=zone.utc_offset_s))
    begin = DeliveryInterval.containing(detected_at)
    history = _history(tables, site.id, until=begin.start, local=local)
    connection_wh = site.import_limit_w * DELIVERY_INTERVAL_S // 3600
    found: dict[datetime, UsualUse] = {}
    for day, of_day in _by_day(starts, local).items():
        first, last = _index(of_day[0], local), _index(of_day[-1], local)
        made = _made(
            history, day=day, first=first, count=last - first + 1, excluded=excluded, connection_wh=connection_wh
        )
        if isinstance(made, TooFewDays):
            before = _before(tables, site.id, begin)
            made = pre_event(before, count=last - first + 1, connection_wh=connection_wh)
        if isinstance(made, TooFewDays):
            continue
        flags = tuple(flag.value for flag in made.flags)
        for start in of_day:
            wh = made.intervals_wh[_index(start, local) - first]
            found[start] = UsualUse(baseline_wh=wh, method=made.method, flags=flags)
    return found


def days_out(tables: Tables, *, zone: ZoneRecord, feeder: FeederRecord, event_id: str) -> frozenset[date]:
    """Return the zone's holidays and the local days with other events of a feeder.

    Raises:
        StoreError: The tables failed.
    """
    local = timezone(timedelta(seconds=zone.utc_offset_s))
    found = set(zone.holidays)
    for item in tables.query(Table.GRID_METRICS, keys.feeder_state(feeder.id).pk, **prefix("EVENT#")):
        if item.body["event_id"] == event_id:
            continue
        begin = datetime.fromisoformat(item.body["detected_at"]).astimezone(local).date()
        ended_at = item.body["ended_at"]
        end = datetime.fromisoformat(ended_at).astimezone(local).date() if ended_at else begin
        found |= {begin + timedelta(days=number) for number in range((end - begin).days + 1)}
    return frozenset(found)


def _made(
    history: History, *, day: date, first: int, count: int, excluded: frozenset[date], connection_wh: int
) -> Baseline | TooFewDays:
    """Return the baseline of the first method that has enough like days."""
    made: Baseline | TooFewDays = TooFewDays(found=0, needed=1)
    for method in METHODS:
        made = baseline(
            history,
            event_day=day,
            first=first,
            count=count,
            method=method,
            excluded=excluded,
            connection_wh=connection_wh,
        )
        if isinstance(made, Baseline):
            return made
    return made


def _by_day(starts: Sequence[datetime], local: timezone) -> dict[date, list[datetime]]:
    days: dict[date, list[datetime]] = defaultdict(list)
    for start in sorted(starts):
        days[start.astimezone(local).date()].append(start)
    return days


def _index(start: datetime, local: timezone) -> int:
    """Return which interval of its local day begins at an instant."""
    at = start.astimezone(local)
    return (at.hour * 3600 + at.minute * 60) // DELIVERY_INTERVAL_S


def _history(tables: Tables, site: SiteId, *, until: datetime, local: timezone) -> History:
    """Return the local days of good readings before an instant; what was estimated is no reading."""
    first = until - timedelta(days=LOOK_BACK_D + 1)
    history: History = {}
    for reading in _readings(tables, site, first=first, last=until - DELIVERY_INTERVAL):
        if reading["quality"] == Quality.GOOD:
            start = instant(reading["interval_start"])
            day = history.setdefault(start.astimezone(local).date(), [None] * INTERVALS_PER_DAY)
            day[_index(start, local)] = _net_wh(reading)
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
