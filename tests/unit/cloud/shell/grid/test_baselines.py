"""Baselines of demand-response events: from like days where there are any, named and flagged where there are not."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cloud.grid.model import Direction
from cloud.grid.state import Event
from cloud.local.report import dr_claims, ledger
from cloud.market import commands
from cloud.market.baseline import PRE_EVENT
from cloud.shell.grid.baselines import UsualUse, days_out, usual_use
from cloud.shell.grid.claims import claim
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.registry import HolidaysOf
from cloud.stores.tables import Put, Table, chunks, prefix
from contracts.units import DELIVERY_INTERVAL, Quality, epoch_ms
from tests.support.cloud.sites import FEEDER, START, ZONE, house_in, reading

SITE = "factory"
EVENT = "dr-1"
PER_DAY = 96
BERLIN = ZoneInfo("Europe/Berlin")


def _put(services: Services, site: str, start: datetime, wh: int, *, quality: Quality = Quality.GOOD) -> Put:
    told = reading(site, 1, start, import_wh=max(wh, 0), export_wh=max(-wh, 0)).model_copy(update={"quality": quality})
    return Put(key=keys.meter_reading(site, start), body=told.model_dump(mode="json", exclude={"v", "sent_at"}))


def _history(services: Services, *, days: int, wh: int, site: str = SITE, before: datetime = START) -> None:
    """Keep so many whole days before the day of an instant, of one use each, and that day up to the instant."""
    midnight = before.replace(hour=0, minute=0)
    count = days * PER_DAY + (before - midnight) // DELIVERY_INTERVAL
    begin = midnight - timedelta(days=days)
    puts = [_put(services, site, begin + number * DELIVERY_INTERVAL, wh) for number in range(count)]
    for part in chunks(puts):
        services.stores.tables.transact(part)


def _usual(
    services: Services, *starts: datetime, excluded: frozenset[date] = frozenset(), **zoned: object
) -> dict[datetime, UsualUse]:
    site, zone = services.registry.site(SITE), services.registry.zone(ZONE)
    assert site is not None and zone is not None
    return usual_use(
        services.stores.tables,
        zone=zone.model_copy(update=zoned),
        site=site,
        excluded=excluded,
        detected_at=min(starts) + timedelta(minutes=3),
        starts=starts,
    )


def _event(event_id: str = EVENT) -> Event:
    return Event(
        event_id=event_id,
        direction=Direction.REDUCE_IMPORT,
        detected_at=START + timedelta(minutes=3),
        limit_w=1,
        peak_w=2.0,
    )


def test_ten_like_days_make_the_baseline_where_there_are_enough(tmp_path: Path) -> None:
    """Fourteen days hold ten weekdays; their days are of another month, too."""
    with house_in(tmp_path) as (services, _):
        _history(services, days=25, wh=2_000)
        found = _usual(services, START, START + DELIVERY_INTERVAL)
        assert set(found) == {START, START + DELIVERY_INTERVAL}
        assert found[START] == UsualUse(baseline_wh=2_000, method="10-of-10/ratio", flags=())


def test_four_like_days_are_enough_for_the_second_method(tmp_path: Path) -> None:
    """START is a Tuesday, so six days hold a Monday and three days of the week before."""
    with house_in(tmp_path) as (services, _):
        _history(services, days=6, wh=2_000)
        assert _usual(services, START)[START].method == "high-4-of-5/additive"


def test_without_like_days_the_hour_before_counts_and_is_flagged(tmp_path: Path) -> None:
    """Someone must decide whether to pay on it."""
    with house_in(tmp_path) as (services, _):
        _history(services, days=0, wh=2_000)
        assert _usual(services, START)[START] == UsualUse(baseline_wh=2_000, method=PRE_EVENT, flags=("few-days",))


def test_a_meter_that_was_never_heard_of_has_no_baseline(tmp_path: Path) -> None:
    """Nothing is paid on a guess."""
    with house_in(tmp_path) as (services, _):
        assert _usual(services, START) == {}


def test_estimated_readings_make_no_like_day(tmp_path: Path) -> None:
    """A baseline of estimates would be paid as if it had been metered."""
    with house_in(tmp_path) as (services, _):
        _history(services, days=6, wh=2_000)
        for back in range(1, 7):
            start = START - timedelta(days=back, hours=3)
            services.stores.tables.put(_put(services, SITE, start, 2_000, quality=Quality.SUBSTITUTED))
        assert _usual(services, START)[START].method == PRE_EVENT


def test_a_load_raised_right_before_the_event_is_capped_and_flagged(tmp_path: Path) -> None:
    """Whoever uses more before an event in order to be paid for less must be seen."""
    with house_in(tmp_path) as (services, _):
        _history(services, days=25, wh=2_000)
        for number in range(8, 17):
            services.stores.tables.put(_put(services, SITE, START - number * DELIVERY_INTERVAL, 6_000))
        found = _usual(services, START)[START]
        assert found.baseline_wh == 2_400
        assert set(found.flags) == {"capped", "high-adjustment-load"}


def test_an_event_over_midnight_is_judged_day_by_day(tmp_path: Path) -> None:
    """Its second part belongs to another local day, perhaps another month, and to that day's like days."""
    with house_in(tmp_path) as (services, _):
        last = datetime(2026, 3, 31, 22, 45, tzinfo=UTC)  # A quarter to one local time, two hours east of here.
        _history(services, days=25, wh=1_500, before=last)
        found = _usual(services, last - timedelta(hours=1), last, last + DELIVERY_INTERVAL, timezone="Europe/Berlin")
        assert {one.baseline_wh for one in found.values()} == {1_500}
        assert len(found) == 3


def test_days_with_other_events_are_left_out_and_holidays_are_no_weekdays(tmp_path: Path) -> None:
    """On such a day nobody used what is usual of a weekday."""
    with house_in(tmp_path) as (services, _):
        feeder, zone = services.registry.feeder(FEEDER), services.registry.zone(ZONE)
        assert feeder is not None and zone is not None
        for event_id, day in ((EVENT, 17), ("dr-0", 12)):
            begin = datetime(2026, 3, day, 23, 50, tzinfo=UTC)
            body = {
                "event_id": event_id,
                "detected_at": begin.isoformat(),
                "ended_at": (begin + timedelta(minutes=40)).isoformat(),
            }
            services.stores.tables.put(Put(key=keys.grid_event(FEEDER, event_id), body=body))
        zone = zone.model_copy(update={"holidays": (date(2026, 3, 9),)})
        out = days_out(services.stores.tables, zone=zone, feeder=feeder, event_id=EVENT)
        assert out == {date(2026, 3, 12), date(2026, 3, 13)}
        _history(services, days=9, wh=2_000)
        assert _usual(services, START, excluded=out)[START].method == "high-4-of-5/additive"
        assert _usual(services, START, excluded=out, holidays=zone.holidays)[START].method == PRE_EVENT


def _by_the_wall(services: Services, *, until: datetime, days: int = 30) -> None:
    """Keep a site that uses 1000 Wh a quarter from 17 to 19 h by Berlin's clock, else 200."""
    begin = until.astimezone(UTC).replace(hour=0, minute=0) - timedelta(days=days)
    count = (until - begin) // DELIVERY_INTERVAL
    starts = [begin + number * DELIVERY_INTERVAL for number in range(count)]
    puts = [_put(services, SITE, at, 1_000 if at.astimezone(BERLIN).hour in (17, 18) else 200) for at in starts]
    for part in chunks(puts):
        services.stores.tables.transact(part)


@pytest.mark.parametrize(
    ("begin", "wh"),
    [
        (datetime(2025, 10, 24, 16, tzinfo=BERLIN), 200),
        (datetime(2025, 10, 26, 18, tzinfo=BERLIN), 1_000),
        (datetime(2025, 10, 28, 16, tzinfo=BERLIN), 200),
        (datetime(2025, 3, 30, 19, tzinfo=BERLIN), 200),
    ],
    ids=str,
)
def test_a_clock_change_leaves_the_baseline_as_good_as_before(tmp_path: Path, begin: datetime, wh: int) -> None:
    """By a fixed offset the evening's use was the afternoon's: 920 Wh where 200 is real."""
    with house_in(tmp_path) as (services, _):
        _by_the_wall(services, until=begin.astimezone(UTC))
        start = begin.astimezone(UTC)
        starts = [start + number * DELIVERY_INTERVAL for number in range(4)]
        found = _usual(services, *starts, timezone="Europe/Berlin")
        assert [found[at].baseline_wh for at in starts] == [wh] * 4
        assert "unadjusted" not in found[start].flags


@pytest.mark.parametrize("offset_s", [0, 3_600, 7_200])
@pytest.mark.parametrize("hour", [16, 18])
def test_like_days_of_a_zone_without_a_timezone_are_flagged(tmp_path: Path, offset_s: int, hour: int) -> None:
    """An offset does not say when clocks change: 920 Wh where 200 is real must not be paid before someone looked."""
    with house_in(tmp_path) as (services, _):
        start = datetime(2025, 10, 28, hour, tzinfo=BERLIN).astimezone(UTC)
        _by_the_wall(services, until=start)
        found = _usual(services, start, timezone="", utc_offset_s=offset_s)[start]
        assert "fixed-clock" in found.flags
        assert "fixed-clock" not in _usual(services, start, timezone="Europe/Berlin")[start].flags


def test_a_zone_that_names_no_timezone_says_what_to_add(tmp_path: Path) -> None:
    """The cloud and the registration of a stack print it before anything is settled."""
    with house_in(tmp_path) as (services, _):
        zone = services.registry.zone(ZONE)
        assert zone is not None and services.registry.warnings == ()
        for offset_s, words in ((0, "+0 h"), (3_600, "+1 h"), (-12_600, "-3.5 h")):
            old = zone.model_copy(update={"timezone": "", "utc_offset_s": offset_s})
            (warning,) = services.registry.model_copy(update={"zones": (old,)}).warnings
            assert words in warning and "add timezone" in warning and ZONE in warning


def test_a_holiday_is_compared_with_weekends(tmp_path: Path) -> None:
    """A factory that stands still on Epiphany has left out nothing."""
    with house_in(tmp_path) as (services, _):
        holiday = datetime(2026, 1, 6, 11, tzinfo=UTC)
        begin = datetime(2025, 12, 1, tzinfo=UTC)
        rest = {date(2026, 1, 6), date(2026, 1, 1), date(2025, 12, 25), date(2025, 12, 26)}
        puts = []
        for number in range((holiday - begin) // DELIVERY_INTERVAL):
            at = begin + number * DELIVERY_INTERVAL
            day = at.astimezone(BERLIN).date()
            puts.append(_put(services, SITE, at, 10 if day.weekday() >= 5 or day in rest else 500))
        for part in chunks(puts):
            services.stores.tables.transact(part)
        bavaria = HolidaysOf(country="DE", subdivision="BY")
        found = _usual(services, holiday, timezone="Europe/Berlin", holidays=bavaria)[holiday]
        assert (found.baseline_wh, found.method) == (10, "10-of-10/ratio")
        assert _usual(services, holiday, timezone="Europe/Berlin")[holiday].baseline_wh > 200


def test_an_event_before_dawn_is_adjusted_by_the_evening_before(tmp_path: Path) -> None:
    """Its adjustment hours lie before midnight."""
    with house_in(tmp_path) as (services, _):
        begin = START.replace(hour=2)
        _history(services, days=25, wh=2_000, before=begin)
        for number in range(8, 17):
            services.stores.tables.put(_put(services, SITE, begin - number * DELIVERY_INTERVAL, 2_200))
        found = _usual(services, begin)[begin]
        assert found.baseline_wh == 2_200 and "unadjusted" not in found.flags
        services.stores.tables.put(
            _put(services, SITE, begin - 10 * DELIVERY_INTERVAL, 2_200, quality=Quality.SUBSTITUTED)
        )
        assert "unadjusted" in _usual(services, begin)[begin].flags


def test_a_second_claim_for_the_same_interval_is_refused_and_kept(tmp_path: Path) -> None:
    """A site is paid once for what it left out once, and who claimed twice is on record."""
    with house_in(tmp_path) as (services, _):
        feeder = services.registry.feeder(FEEDER)
        market = market_of(services, ZONE)
        assert feeder is not None and market is not None
        paying = feeder.model_copy(update={"dr_price_mct_per_kwh": 20_000, "dr_penalty_mct_per_kwh": 5_000})
        _history(services, days=25, wh=2_000)
        begin = epoch_ms(START - timedelta(hours=1))
        market.submit([commands.tick(at_ms=begin)], at_ms=begin)
        ordered = {SITE: {str(epoch_ms(START)): 499.7, str(epoch_ms(START + DELIVERY_INTERVAL)): 0.2}}
        end = START + timedelta(minutes=20)
        for name in (EVENT, EVENT, "dr-2"):
            claimed = claim(services, paying, replace(_event(), event_id=name), ordered, at=end)
            assert claimed is not None
            market.submit([claimed], at_ms=epoch_ms(end))
        told = reading(SITE, 1, START, import_wh=1_700)
        command = commands.meter(told, at_ms=epoch_ms(end))
        assert command is not None
        late = epoch_ms(START + timedelta(hours=1))
        market.submit([command, commands.tick(at_ms=late)], at_ms=late)
        tables = services.stores.tables
        items = tables.query(Table.TRADE_DATA, keys.market(ZONE, START), **prefix(keys.CLAIM))
        assert [(item.body["event"], item.body["taken"]) for item in items] == [(EVENT, True), ("dr-2", False)]
        assert "is paid for event dr-1" in items[1].body["reason"]
        assert (items[0].body["method"], items[0].body["committed_wh"]) == ("10-of-10/ratio", 500)
        # 300 Wh of 500 were delivered at 20 ct/kWh, 200 Wh are missing at 5 ct/kWh.
        assert [one["paid_uct"] for one in dr_claims(tables, ZONE)] == [-300 * 20_000 + 200 * 5_000, 0]
        sums = ledger(tables, [ZONE])
        assert (sums["sum"], sums["energy_sum"]) == (0, 0)
