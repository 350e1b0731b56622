"""A valid but dishonest site: stamps ahead of time, too much of everything, debt without end."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.handlers import telemetry as function
from cloud.local.report import refusals
from cloud.shell import quotas as quotas_module
from cloud.shell.market.writer import default_credit_uct, market_of
from cloud.shell.quotas import Quotas
from cloud.shell.services import Services
from cloud.stores import keys
from contracts.topics import Up
from contracts.units import epoch_ms
from tests.support.cloud.sites import START, ZONE, batch, context, house_in, telemetry


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Everything that a function needs, on files."""
    with house_in(tmp_path) as (services, _):
        yield services


def _send(seq: int, *, ahead: timedelta, after: timedelta = timedelta(0), power_w: float = 500.0) -> None:
    message = telemetry("home-1", seq, START + after + ahead, {"meter/active_power_w": [power_w]})
    assert function.handler(batch(Up.TELEMETRY, message, at=START + after), context()) == {"batchItemFailures": []}


def test_stamp_far_ahead_is_refused_and_freezes_nothing(services: Services) -> None:
    """One stamp ten years ahead froze the newest value for good, and blinded the grid agent."""
    _send(1, ahead=timedelta(0))
    _send(2, ahead=timedelta(days=3650), power_w=99_999.0)
    _send(3, ahead=timedelta(minutes=4), after=timedelta(minutes=1), power_w=701.0)
    item = services.stores.tables.get(keys.site_state("home-1", "LATEST"))
    assert item is not None
    assert item.body["points"]["meter/active_power_w"][1] == 701.0
    assert refusals(services.stores.tables, "home-1") == 1


def test_site_that_sends_too_much_is_refused_until_its_quota_has_grown(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the shard wait for each of its messages; another site and time are not touched by it."""
    monkeypatch.setattr(quotas_module, "MESSAGES_BURST", 2)
    level = quotas_module.Level(at=START, messages=2.0)
    services.memory["quotas"] = Quotas({"home-1/telemetry": level})
    for seq in range(1, 6):
        _send(seq, ahead=timedelta(0))
    assert refusals(services.stores.tables, "home-1") == 3
    _send(6, ahead=timedelta(0), after=timedelta(seconds=10))
    assert refusals(services.stores.tables, "home-1") == 3


def test_quota_is_of_bytes_too() -> None:
    """Few large messages cost as much as many small ones."""
    quotas = Quotas()
    told = [quotas.take("home-1/acks", size_bytes=20 * 1024 * 1024, at=START) for _ in range(6)]
    assert told[:5] == [None] * 5
    assert told[5] is not None and "bytes" in told[5]


def test_every_account_has_a_credit_limit_from_its_connection(services: Services) -> None:
    """Debt was unlimited, since nobody ever set a limit."""
    market = market_of(services, ZONE)
    assert market is not None
    market.submit([], at_ms=epoch_ms(START))
    limits = {one.site: one.credit_limit_uct for one in market.fold(at_ms=epoch_ms(START)).engine.participants()}
    for site in services.registry.sites_in(ZONE):
        assert limits[site.id] == default_credit_uct(site) > 0
