"""A statement's month is the local one: with a day of 25 hours or of 23, and the first interval in the right month."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cloud.market import commands
from cloud.market.shapes import MeterCommand, OrderCommand
from cloud.shell.market.fold import Input
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
        inputs: list[Input] = []
        at = begin
        while at < end:
            closed_ms = epoch_ms(at + DELIVERY_INTERVAL)
            reading: MeterCommand = {
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


def test_a_trade_that_is_not_settled_yet_is_no_loss_beside_the_tariffs(tmp_path: Path) -> None:
    """The demo told a factory that the market had cost it 12 EUR, which were tomorrow's energy, paid ahead."""
    noon = datetime(2026, 3, 17, 12, tzinfo=UTC)
    with house_in(tmp_path) as (services, _):
        zone = services.registry.zone(ZONE)
        assert zone is not None
        market = market_of(replace(services, memory={}), ZONE)
        assert market is not None

        def submit(*inputs: Input) -> None:
            market.submit(list(inputs), at_ms=inputs[-1]["at_ms"])

        def order(site: str, side: str, at: datetime, wh: int, price: int) -> OrderCommand:
            opened_ms = epoch_ms(noon - timedelta(minutes=50))
            return {
                "op": "new", "at_ms": opened_ms, "site": site, "order_id": f"{site}-{at:%H%M}",
                "interval_ms": epoch_ms(at), "side": side, "quantity_wh": wh, "price_mct_per_kwh": price, "tif": "gtc",
            }  # fmt: skip

        def reading(site: str, wh: int) -> MeterCommand:
            imported, exported = (max(wh, 0), max(-wh, 0))
            return {
                "op": "meter", "at_ms": epoch_ms(noon + timedelta(minutes=16)), "site": site,
                "interval_ms": epoch_ms(noon), "import_wh": imported, "export_wh": exported, "version": 1,
                "estimated": False,
            }  # fmt: skip

        later = noon + 2 * DELIVERY_INTERVAL
        submit(commands.tick(at_ms=epoch_ms(noon - timedelta(minutes=55))))
        submit(
            order("farm", "sell", noon, 1000, 20_000),
            order("factory", "buy", noon, 1000, 20_000),
            order("farm", "sell", later, 700, 20_000),
            order("home-1", "buy", later, 700, 20_000),
        )
        early = statements(services.stores.tables, zone, month=date(2026, 3, 1), site=None)
        assert [one.site for one in early] == ["factory", "farm", "home-1"], (
            "who traded has a statement, settled or not"
        )
        submit(commands.tick(at_ms=epoch_ms(noon + timedelta(minutes=15))), reading("farm", -1000))
        submit(reading("factory", 1000))
        submit(commands.tick(at_ms=epoch_ms(noon + timedelta(minutes=27))))
        told = {one.site: one for one in statements(services.stores.tables, zone, month=date(2026, 3, 1), site=None)}
        farm, home = told["farm"], told["home-1"]
        assert (farm.total_uct, farm.unsettled_uct, farm.unsettled_intervals) == (-34_000_000, -14_000_000, 1)
        assert farm.plain_uct == -1000 * 8_000
        assert farm.saved_uct == 12_000_000 == farm.answer()["saved_uct"]
        assert home.unsettled_uct == 14_000_000, "it has a settlement of 12:00 without a reading, and a trade ahead"
        assert told.keys() <= {site.id for site in services.registry.sites}
