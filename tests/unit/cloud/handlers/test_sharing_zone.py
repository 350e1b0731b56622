"""A zone that shares: meters come in as in any other, members' bills have their share, charges and tax."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from cloud.handlers import market_tick, meter, orders
from cloud.shell import services as shell_services
from cloud.shell.market.statements import statements
from contracts.market import Side
from contracts.topics import Up
from contracts.units import DELIVERY_INTERVAL
from tests.support.cloud.sites import START, ZONE, batch, context, house_in, order, reading

MARKET = {
    "mechanism": "sharing",
    "sharing": {"key": "dynamic", "price_mct_per_kwh": 15_000},
    "charges": [{"name": "grid fee", "mct_per_kwh": 8_000}],
    "vat_permille": 190,
    "opening_s": 7200,
}


def test_a_zone_with_a_key_settles_from_meters_and_bills_its_members(tmp_path: Path) -> None:
    """The zone's rules alone make it a community; an order is refused, and the statement sums to the ledger."""
    with house_in(tmp_path) as (plain, publisher):
        zone = plain.registry.zones[0].model_copy(update={"market": MARKET})
        services = replace(plain, registry=plain.registry.model_copy(update={"zones": (zone,)}), memory={})
        shell_services.install(services)
        market_tick.handler({"time": (START - timedelta(hours=1)).isoformat(), "zone": ZONE}, context())
        asked = order("home-1", 1, START, Side.BUY, 500, 20_000, at=START - timedelta(minutes=50))
        orders.handler(batch(Up.ORDERS, asked, at=START - timedelta(minutes=50)), context())
        assert b"no-orders" in publisher.on("home-1/trades")[-1]
        told = [
            reading("farm", 1, START, export_wh=1000),
            reading("factory", 1, START, import_wh=1500),
            reading("home-1", 1, START, import_wh=500),
            reading("home-2", 1, START, import_wh=0),
        ]
        meter.handler(batch(Up.METER, *told, at=START + DELIVERY_INTERVAL + timedelta(minutes=1)), context())
        (bill,) = statements(services.stores.tables, zone, month=date(2026, 3, 1), site="home-1")
        energy_uct = 250 * 15_000 + 250 * 30_000
        charged_uct = 500 * 8_000
        assert bill.by_kind["share"] == (250, 250 * 15_000)
        assert bill.by_kind["grid fee"] == (0, charged_uct)
        assert bill.by_kind["vat"][1] == (energy_uct + charged_uct) * 190 // 1000
        assert bill.total_uct == (energy_uct + charged_uct) * 1190 // 1000
