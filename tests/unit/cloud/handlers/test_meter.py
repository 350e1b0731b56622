"""Meter readings at the cloud's door: held against registers, telemetry and the feeder before they may settle."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.handlers import market_tick, meter, telemetry
from cloud.market import commands
from cloud.shell import services as shell_services
from cloud.shell.market.projection import READING_HELD
from cloud.shell.market.review import estimates
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.tables import Table
from contracts.metering import MeterReading
from contracts.topics import Up
from contracts.units import DELIVERY_INTERVAL, Quality, epoch_ms
from tests.support.cloud.sites import FEEDER, START, ZONE, batch, context, house_in, reading
from tests.support.cloud.sites import telemetry as message

NEXT = START + DELIVERY_INTERVAL
SITES = ("farm", "factory", "home-1", "home-2")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Services]:
    """A zone whose products are open, with a feeder to which nothing but its four sites is connected."""
    with house_in(tmp_path) as (plain, _):
        feeder = plain.registry.feeders[0].model_copy(update={"sites_complete": True})
        services = replace(plain, registry=plain.registry.model_copy(update={"feeders": (feeder,)}), memory={})
        shell_services.install(services)
        tick(START - timedelta(hours=1))
        yield services


def tick(at: datetime) -> None:
    """Let time pass in the zone's market."""
    market_tick.handler({"time": at.isoformat(), "zone": ZONE}, context())


def told(
    site: str,
    seq: int,
    start: datetime,
    net_wh: int,
    *,
    register_wh: int | None = None,
    quality: Quality = Quality.GOOD,
) -> MeterReading:
    """Return a reading of net energy; its import register ends the interval as given, else it began at zero."""
    made = reading(site, seq, start, import_wh=max(net_wh, 0), export_wh=max(-net_wh, 0))
    changes: dict[str, Any] = {"quality": quality}
    if register_wh is not None:
        changes["register_import_wh"] = register_wh
    return made.model_copy(update=changes)


def take(*readings: MeterReading) -> None:
    """Deliver readings in one batch, half a minute after the last of their intervals."""
    at = max(one.interval_start for one in readings) + DELIVERY_INTERVAL + timedelta(seconds=30)
    meter.handler(batch(Up.METER, *readings, at=at), context())


def power(
    site: str, power_w: float, *, start: datetime = START, minutes: int = 15, late: timedelta = timedelta()
) -> None:
    """Let a site's telemetry tell one power over minutes of an interval, so much later than it was measured."""
    for minute in range(minutes):
        at = start + timedelta(minutes=minute)
        told_by = message(site, 1 + minute, at, {"meter/active_power_w": [power_w] * 6}, step_s=10)
        telemetry.handler(batch(Up.TELEMETRY, told_by, at=at + timedelta(minutes=1) + late), context())


def held(services: Services, site: str, start: datetime = START) -> str | None:
    """Return why a site's reading was held, from the event that an operator sees; ``None`` where it was taken."""
    market = market_of(services, ZONE)
    assert market is not None
    product = market.fold(at_ms=epoch_ms(start)).engine.product(epoch_ms(start))
    assert product is not None
    found = services.stores.tables.query(Table.ENERGY_METRICS, keys.site_event(site, start, 0, 0).pk)
    reasons = [item.body["fields"]["reason"] for item in found if item.body["phrase"] == READING_HELD]
    ours = [item for item in found if item.body["fields"]["interval_start"] == start.isoformat()]
    assert bool(ours and reasons) is (site in product.held)
    return str(reasons[-1]) if site in product.held else None


def learning(services: Services, complete: bool | None) -> None:
    """Let the feeder's record say what it says by default, or that its sum says nothing."""
    feeder = services.registry.feeders[0].model_copy(update={"sites_complete": complete})
    plain = replace(services, registry=services.registry.model_copy(update={"feeders": (feeder,)}))
    shell_services.install(plain)


def money(services: Services, site: str) -> tuple[int, int]:
    """Return what a site owes and took."""
    market = market_of(services, ZONE)
    assert market is not None
    return market.fold(at_ms=0).engine.balances().get(site, (0, 0))


def waiting(services: Services) -> list[dict[str, Any]]:
    """Return what stands on an estimate for home-1 in the first interval."""
    found = estimates(services.stores.tables, ZONE)
    return [one for one in found if (one["site"], one["start"]) == ("home-1", START.isoformat())]


@pytest.mark.parametrize(
    ("register_wh", "word"), [(10_500, None), (14_500, "jump"), (6_500, "fall"), (500, None), (10_550, None)]
)
def test_a_register_goes_on_from_where_the_interval_before_ended(
    house: Services, register_wh: int, word: str | None
) -> None:
    """An energy that its own counter does not show is settled by nobody; a new meter begins at zero."""
    take(told("home-1", 1, START, 400, register_wh=10_000))
    take(told("home-1", 2, NEXT, 500, register_wh=register_wh))
    assert held(house, "home-1") is None
    why = held(house, "home-1", NEXT)
    assert (why is None) if word is None else (why is not None and word in why)


def test_the_next_reading_is_not_held_against_one_that_was(house: Services) -> None:
    """One bad read costs one interval, in one batch as in two."""
    third = NEXT + DELIVERY_INTERVAL
    take(
        told("home-1", 1, START, 400, register_wh=10_000),
        told("home-1", 2, NEXT, 500, register_wh=90_000),
        told("home-1", 3, third, 500, register_wh=11_000),
    )
    assert (held(house, "home-1"), held(house, "home-1", third)) == (None, None)
    assert "jump" in str(held(house, "home-1", NEXT))


@pytest.mark.parametrize(
    ("site", "power_w", "net_wh", "word"),
    [
        ("home-1", 2_000, 520, None),
        ("home-1", 2_000, 3_000, "jump"),
        ("factory", 40_000, 0, "stuck"),
        ("farm", -100_000, -25_100, None),
        ("farm", -100_000, 25_000, "telemetry says -25000 Wh"),
    ],
)
def test_a_reading_is_held_against_its_quarters_telemetry(
    house: Services, site: str, power_w: float, net_wh: int, word: str | None
) -> None:
    """A counter that stands still or jumps beside a power that says otherwise is not believed."""
    power(site, power_w)
    take(told(site, 1, START, net_wh))
    why = held(house, site)
    assert (why is None) if word is None else (why is not None and word in why)


def test_telemetry_of_a_few_minutes_says_nothing(house: Services) -> None:
    """Half a quarter of power is no energy of a quarter."""
    power("home-1", 100, minutes=6)
    take(told("home-1", 1, START, 3_000))
    assert held(house, "home-1") is None


def test_the_sites_of_a_feeder_sum_to_its_own_meter(house: Services) -> None:
    """Each alone may be, together they are not; what telemetry confirms is not held for it."""
    power("farm", -40_000)
    take(told(FEEDER, 1, START, 2_000), told("farm", 1, START, -10_000))
    take(told("factory", 1, START, 11_000), told("home-1", 1, START, 500))
    take(told("home-2", 1, START, 4_000))
    assert "sum to 5500 Wh, its own meter counted 2000 Wh" in str(held(house, "home-2"))
    assert held(house, "farm") is None
    events = house.stores.tables.query(Table.ENERGY_METRICS, keys.site_event(FEEDER, START, 0, 0).pk)
    assert [item.body["phrase"] for item in events] == ["readings do not sum to the feeder's"]
    take(told(FEEDER, 2, NEXT, 2_000), *(told(site, 2, NEXT, 500) for site in SITES))
    assert [held(house, site, NEXT) for site in SITES] == [None] * 4


def test_what_a_feeder_carries_beside_its_sites_is_learned(house: Services) -> None:
    """A line with a neighbour who is no site: nobody says so, and a day of its readings tells what is usual."""
    learning(house, None)
    first = START - timedelta(days=1)
    for index in range(96):
        start = first + index * DELIVERY_INTERVAL
        neighbour_wh = 700 + 50 * (index % 5)
        take(
            *(told(site, 1 + index, start, 300) for site in SITES), told(FEEDER, 1 + index, start, 1_200 + neighbour_wh)
        )
    take(*(told(site, 100, START, 300) for site in SITES), told(FEEDER, 100, START, 1_950))
    assert [held(house, site) for site in SITES] == [None] * 4
    take(*(told(site, 101, NEXT, 300) for site in SITES if site != "home-2"), told(FEEDER, 101, NEXT, 1_900))
    take(told("home-2", 101, NEXT, 4_500))
    assert "beside its sites, in the days before it was 700 to 900 Wh" in str(held(house, "home-2", NEXT))


@pytest.mark.parametrize("complete", [None, False])
def test_nothing_is_held_for_a_feeder_of_which_nothing_is_known(house: Services, complete: bool | None) -> None:
    """The first day of a line, and one whose owner says that its sum says nothing."""
    learning(house, complete)
    take(*(told(site, 1, START, 300) for site in SITES), told(FEEDER, 1, START, 9_000))
    assert [held(house, site) for site in SITES] == [None] * 4


def test_telemetry_that_comes_after_the_reading_takes_it_back(house: Services) -> None:
    """After an outage readings come first: what settled is corrected, and a person may release it all the same."""
    take(*(told(site, 1, START, 0) for site in SITES if site != "home-1"))
    take(told("home-1", 1, START, 3_000))
    tick(NEXT + timedelta(minutes=11))
    balance = money(house, "home-1")
    assert balance == (3_000 * 30_000, 3_000) and not waiting(house)
    power("home-1", 400, late=timedelta(hours=1))
    assert money(house, "home-1") == balance
    take(told("home-1", 2, NEXT, 100))
    assert "jump: 3000 Wh were counted where telemetry says 100 Wh" in str(held(house, "home-1"))
    assert held(house, "home-1", NEXT) is None
    (row,) = waiting(house)
    assert (row["method"], row["held"], row["metered_wh"]) == ("implausible", 3_000, 100)
    assert money(house, "home-1") == (100 * 30_000, 100)
    third = NEXT + DELIVERY_INTERVAL
    take(told("home-1", 3, third, 100))
    assert money(house, "home-1") == (200 * 30_000, 200)
    market = market_of(house, ZONE)
    assert market is not None
    at_ms = epoch_ms(third + timedelta(minutes=16))
    release = commands.release_reading(
        site="home-1", interval_ms=epoch_ms(START), by="ann", reason="its relay is slow", at_ms=at_ms
    )
    market.submit([release], at_ms=at_ms)
    assert money(house, "home-1") == (3_100 * 30_000, 3_100) and not waiting(house)
    assert market.fold(at_ms=at_ms).engine.ledger_sums() == (0, 0)


def test_late_telemetry_that_agrees_takes_nothing_back(house: Services) -> None:
    """A version that came meanwhile is judged by itself, and what is not settled yet is held as well."""
    take(told("home-1", 1, START, 110), told("home-2", 1, START, 3_000))
    power("home-1", 400, late=timedelta(hours=1))
    power("home-2", 400, late=timedelta(hours=1))
    take(told("home-2", 2, START, 120).model_copy(update={"version": 2}))
    take(told("home-1", 2, NEXT, 100))
    assert held(house, "home-1") is None
    market = market_of(house, ZONE)
    assert market is not None
    product = market.fold(at_ms=epoch_ms(NEXT)).engine.product(epoch_ms(START))
    assert product is not None and not product.held
    assert product.meters["home-2"].net_wh == 120


def test_a_held_reading_settles_as_an_estimate_until_a_person_releases_it(house: Services) -> None:
    """Others settle on time; who knows the meter may say that it is right, and the journal keeps who said it."""
    take(*(told(site, 1, START, 0) for site in SITES if site != "home-1"))
    take(told("home-1", 1, START, 6_000))
    tick(NEXT + timedelta(minutes=11))
    (row,) = waiting(house)
    assert (row["method"], row["held"], row["metered_wh"]) == ("implausible", 6_000, 0)
    market = market_of(house, ZONE)
    assert market is not None
    at_ms = epoch_ms(NEXT + timedelta(minutes=12))
    release = commands.release_reading(
        site="home-1", interval_ms=epoch_ms(START), by="ann", reason="a welder on a hired cable", at_ms=at_ms
    )
    market.submit([release], at_ms=at_ms)
    assert not waiting(house)
    assert market.fold(at_ms=at_ms).engine.balances()["home-1"] == (6_000 * 30_000, 6_000)


def test_an_estimate_is_no_measure_for_the_next(house: Services) -> None:
    """A gateway that filled a gap says so; what it filled is not compared."""
    take(told("home-1", 1, START, 400, register_wh=90_000, quality=Quality.SUBSTITUTED))
    take(told("home-1", 2, NEXT, 500, register_wh=10_000))
    assert held(house, "home-1", NEXT) is None
