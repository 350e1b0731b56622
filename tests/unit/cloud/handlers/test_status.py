"""A gateway's word that it is online: kept, and answered with what it has traded and may not have heard."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.handlers import market_tick, orders, status
from cloud.shell.services import Services
from cloud.stores import keys
from contracts.market import OrderStatus, Side, TradesMessage
from contracts.telemetry import StatusMessage
from contracts.topics import Up
from edge.trading.orders import OwnOrders, heard
from tests.support.cloud.sites import START, ZONE, Recorder, batch, context, house_in, order

BEFORE = START - timedelta(hours=1)


@pytest.fixture
def traded(tmp_path: Path) -> Iterator[tuple[Services, Recorder]]:
    """A market in which farm has sold 5 kWh to factory for the interval that begins at noon."""
    with house_in(tmp_path) as (services, publisher):
        market_tick.handler({"time": BEFORE.isoformat(), "zone": ZONE}, context())
        sale = order("farm", 1, START, Side.SELL, 5_000, 10_000, at=BEFORE)
        purchase = order("factory", 1, START, Side.BUY, 5_000, 30_000, at=BEFORE)
        orders.handler(batch(Up.ORDERS, sale, purchase, at=BEFORE), context())
        yield services, publisher


def comes_online(site: str, publisher: Recorder, *, minutes: int, online: bool = True) -> list[TradesMessage]:
    """Let a site say whether it is online, minutes after its order; return what it is told."""
    publisher.sent.clear()
    at = BEFORE + timedelta(minutes=minutes)
    status.handler(batch(Up.STATUS, StatusMessage(site=site, online=online, at=at), at=at), context())
    return [TradesMessage.decode(payload) for payload in publisher.on(f"{site}/trades")]


@pytest.mark.parametrize(("site", "side"), [("farm", Side.SELL), ("factory", Side.BUY)])
def test_who_comes_online_hears_again_what_it_has_traded(
    traded: tuple[Services, Recorder], site: str, side: Side
) -> None:
    """A killed broker forgets what waited for a site; the ledger does not, and the site must deliver."""
    services, publisher = traded
    first = [TradesMessage.decode(payload) for payload in publisher.on(f"{site}/trades")]
    (again,) = comes_online(site, publisher, minutes=5)
    assert services.stores.tables.get(keys.site_state(site, keys.STATUS)) is not None
    assert again.interval_start == START
    assert [(line.side, line.quantity_wh) for line in again.trades] == [(side, 5_000)]
    assert [(result.status, result.traded_wh) for result in again.results] == [(OrderStatus.FILLED, 5_000)]

    own = OwnOrders()
    for message in [again, *first, again]:
        own = heard(own, start=message.interval_start, results=message.results, trades=message.trades)
    assert own.positions == {START: 5_000 if side is Side.BUY else -5_000}, "whatever order it hears them in"


def test_nobody_is_told_what_is_over_or_is_not_his(traded: tuple[Services, Recorder]) -> None:
    """Only who comes online, only his own, and only what is still to be delivered."""
    _, publisher = traded
    assert comes_online("home-1", publisher, minutes=5) == []
    assert comes_online("farm", publisher, minutes=5, online=False) == []
    assert len(comes_online("farm", publisher, minutes=74)) == 1, "the interval is being delivered"
    assert comes_online("farm", publisher, minutes=75) == []
