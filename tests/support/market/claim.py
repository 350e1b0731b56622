"""A market in which a flagged claim waits for a person, and one meter is mad."""

from collections.abc import Mapping
from datetime import UTC, datetime

from cloud.market import commands
from cloud.market.product import INTERVAL_MS
from cloud.market.shapes import MeterCommand, OrderCommand
from cloud.shell.market.fold import Input
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services
from contracts.units import epoch_ms

START_MS = epoch_ms(datetime(2026, 11, 10, 12, 0, tzinfo=UTC))
END_MS = START_MS + INTERVAL_MS


def with_claim(services: Services) -> Mapping[str, tuple[int, int]]:
    """Have the farm sell the factory 1000 Wh, home-1 trade nothing and home-2 read nonsense; return the balances."""
    market = market_of(services, "zone-1")
    assert market is not None
    line = commands.dr_line(
        site="factory", interval_ms=START_MS, committed_wh=300, baseline_wh=1000, method="m", flags=("few-days",)
    )
    event = commands.dr_event(
        event="e1", price_mct_per_kwh=40_000, penalty_mct_per_kwh=50_000, lines=[line], at_ms=END_MS
    )
    entries: list[list[Input]] = [
        [commands.tick(at_ms=START_MS - 4_000_000)],
        [_order("farm", "sell", 1000, 10_000), _order("factory", "buy", 1000, 20_000)],
        [commands.tick(at_ms=END_MS), event],
        [_meter("farm", -1000), _meter("factory", 700), _meter("home-1", 400), _meter("home-2", 10**9)],
        [commands.tick(at_ms=END_MS + 700_000)],
    ]
    for inputs in entries:
        market.submit(inputs, at_ms=inputs[0]["at_ms"])
    return market.fold(at_ms=END_MS + 700_000).engine.balances()


def _order(site: str, side: str, quantity_wh: int, price: int) -> OrderCommand:
    return {
        "op": "new",
        "at_ms": START_MS - 3_600_000,
        "site": site,
        "order_id": "a",
        "interval_ms": START_MS,
        "side": side,
        "quantity_wh": quantity_wh,
        "price_mct_per_kwh": price,
        "tif": "gtc",
    }


def _meter(site: str, net_wh: int) -> MeterCommand:
    return {
        "op": "meter",
        "at_ms": END_MS + 1000,
        "site": site,
        "interval_ms": START_MS,
        "import_wh": max(net_wh, 0),
        "export_wh": max(-net_wh, 0),
        "version": 1,
    }
