"""A statement's month is the local one: with a day of 25 hours or of 23, and the first interval in the right month."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cloud.market import commands
from cloud.shell.market.statements import statements
from cloud.shell.market.writer import market_of
from contracts.units import DELIVERY_INTERVAL, epoch_ms
from tests.support.cloud.sites import ZONE, house_in

QUARTER_WH, PRICE = 100, 30_000  # The zone's import tariff: nobody trades.


@pytest.mark.parametrize(
    ("place", "day", "quarters"),
    [
        ("Europe/Berlin", date(2026, 10, 25), 100),
        ("America/New_York", date(2026, 11, 1), 100),  # The first of a month, and a long day.
        ("Australia/Sydney", date(2026, 10, 4), 92),
        ("Asia/Kathmandu", date(2026, 10, 31), 96),  # 5 hours and 45 minutes from UTC.
    ],
)
def test_each_interval_is_in_the_local_day_and_month_that_it_began_in(
    tmp_path: Path, place: str, day: date, quarters: int
) -> None:
    """A day has the intervals of its clock, no month has another's, and the sum is the ledger's to the last unit."""
    clock = ZoneInfo(place)
    first, last = (
        datetime(one.year, one.month, one.day, tzinfo=clock).astimezone(UTC) for one in (day, day + timedelta(days=1))
    )
    with house_in(tmp_path) as (services, _):
        zone = services.registry.zone(ZONE)
        assert zone is not None
        zone = zone.model_copy(update={"timezone": place, "utc_offset_s": 0})
        registry = services.registry.model_copy(update={"zones": (zone,)})
        market = market_of(replace(services, registry=registry, memory={}), ZONE)
        assert market is not None
        begin, end = first - 2 * DELIVERY_INTERVAL, last + 2 * DELIVERY_INTERVAL
        opened_ms = epoch_ms(begin - timedelta(hours=1))
        market.submit([commands.tick(at_ms=opened_ms)], at_ms=opened_ms)
        inputs = []
        at = begin
        while at < end:
            closed_ms = epoch_ms(at + DELIVERY_INTERVAL)
            reading = {
                "op": "meter", "at_ms": closed_ms, "site": "home-1", "interval_ms": epoch_ms(at),
                "import_wh": QUARTER_WH, "export_wh": 0, "version": 1, "estimated": False,
            }  # fmt: skip
            inputs += [commands.tick(at_ms=closed_ms), reading]
            at += DELIVERY_INTERVAL
        inputs.append(commands.tick(at_ms=epoch_ms(end + timedelta(minutes=11))))
        market.submit(inputs, at_ms=epoch_ms(end + timedelta(minutes=11)))
        months = sorted({at.astimezone(clock).date().replace(day=1) for at in (begin, first, end)})
        told = [
            line
            for month in months
            for statement in statements(services.stores.tables, zone, month=month, site="home-1")
            for line in statement.lines
        ]
        assert len([line for line in told if line.at.date() == day]) == quarters
        assert len(told) == quarters + 4, "two intervals before the day and two after it, each in one month"
        assert len({line.number for line in told}) == len(told)
        balances = market.fold(at_ms=epoch_ms(end)).engine.balances()
        assert sum(line.money_uct for line in told) == balances["home-1"][0] == (quarters + 4) * QUARTER_WH * PRICE
