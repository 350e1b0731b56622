"""The agents' skills on the running store: what they show is what the market, the forecasts and the grid agent did."""

from datetime import timedelta
from pathlib import Path

import pytest

from cloud.agents.skills import skill
from cloud.errors import SkillError
from cloud.handlers import forecast_tick, grid, grid_tick, telemetry
from cloud.shell.skill_ports import ports_of, reading_ports
from contracts.market import OrderStatus, Side, TradesMessage
from contracts.topics import Up
from tests.support.cloud.sites import FEEDER, START, ZONE, batch, context, house_in
from tests.support.cloud.sites import telemetry as message
from tests.support.market.shell import INTERVAL, order_of, orders_at, run_events, story, tick_at

NOW = START + timedelta(minutes=35)
POWER = "meter/active_power_w"


def test_status_health_and_prices_are_those_of_the_store(tmp_path: Path) -> None:
    """A supervisor decides on these figures."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        for ports in (ports_of(services), reading_ports(services.stores.tables, services.registry)):
            status = skill("market_status").call(ports, {"zone": ZONE}, now=NOW)
            (traded,) = [product for product in status.products if product.trades]
            assert traded.interval_start == INTERVAL and traded.state == "corrected"
            assert status.volume_wh == traded.volume_wh > 0 and status.halted is None
            health = skill("market_health").call(ports, {"zone": ZONE}, now=NOW)
            assert health.sound and health.entries_stored == health.entries
            assert (health.ledger_sum_uct, health.ledger_sum_wh) == (0, 0)
            assert (health.participants, health.corrected, health.refused) == (4, 1, 1)
            assert health.estimated == 0 and health.settlements == 4


def test_price_discovery_shows_the_best_open_offers(tmp_path: Path) -> None:
    """What an interval is worth before anything has traded in it."""
    with house_in(tmp_path) as (services, _):
        sell, buy = order_of("farm", 1, Side.SELL, 400, 19_000), order_of("factory", 1, Side.BUY, 300, 12_000)
        run_events(services, [tick_at(0), orders_at(1, sell, buy)])
        found = skill("price_discovery").call(ports_of(services), {"zone": ZONE}, now=START)
        (quote,) = [one for one in found.quotes if one.interval_start == INTERVAL]
        # The utility's standing orders are always there and never the best of the two.
        assert (quote.best_buy_mct_per_kwh, quote.best_sell_mct_per_kwh) == (12_000, 19_000)
        assert found.cleared == ()


def test_a_halt_through_the_skill_refuses_orders_until_it_is_resumed(tmp_path: Path) -> None:
    """The kill switch goes through the one writer, so it stands for every process and after a restart."""
    with house_in(tmp_path) as (services, publisher):
        run_events(services, [tick_at(0)])
        at = START + timedelta(seconds=30)
        request = {"zone": ZONE, "reason": "price feed wrong"}
        assert skill("halt_market").call(ports_of(services), request, now=at).halted == "price feed wrong"
        run_events(services, [orders_at(1, order_of("home-1", 1, Side.BUY, 10, 20_000))])
        assert (
            skill("resume_market").call(ports_of(services), {"zone": ZONE}, now=START + timedelta(minutes=2)).halted
            is None
        )
        run_events(services, [orders_at(3, order_of("home-1", 2, Side.BUY, 10, 20_000))])
        notices = [TradesMessage.decode(payload) for payload in publisher.on("/home-1/trades")]
        statuses = [result.status for one in notices for result in one.results]
        assert statuses[0] is OrderStatus.REJECTED and statuses[1] is OrderStatus.ACCEPTED


def test_who_only_reads_cannot_act(tmp_path: Path) -> None:
    """A report opened beside a running market must not be able to stop it."""
    with house_in(tmp_path) as (services, _):
        run_events(services, [tick_at(0)])
        ports = reading_ports(services.stores.tables, services.registry)
        with pytest.raises(SkillError, match="only read"):
            skill("halt_market").call(ports, {"zone": ZONE, "reason": "why not"}, now=NOW)
        assert skill("market_status").call(ports, {"zone": ZONE}, now=NOW).halted is None


def test_a_zone_that_is_not_there_is_named_with_those_there_are(tmp_path: Path) -> None:
    """The sentence goes back to whoever asked, perhaps a model."""
    with house_in(tmp_path) as (services, _):
        with pytest.raises(SkillError, match="there are zone-1"):
            skill("market_health").call(ports_of(services), {"zone": "zone-9"}, now=NOW)
        with pytest.raises(SkillError, match="has not begun"):
            skill("market_health").call(ports_of(services), {"zone": ZONE}, now=NOW)


def test_forecasts_and_the_feeder_are_shown_as_they_were_kept(tmp_path: Path) -> None:
    """The other agents' skills stand on the same store."""
    with house_in(tmp_path) as (services, _):
        forecast_tick.handler({"time": START.isoformat(), "zone": ZONE}, context())
        question = {"zone": ZONE, "kind": "load", "site": "home-1"}
        found = skill("forecast").call(ports_of(services), question, now=START).forecast
        assert found is not None and len(found.p50) == 96
        assert skill("grid_status").call(ports_of(services), {"feeder": FEEDER}, now=START).state is None
        at = START
        for seq in range(1, 9):
            values = {POWER: [50_000.0], "inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]}
            feeder = message(FEEDER, seq, at, {POWER: [230_000.0] * 10, "meter/frequency_hz": [49.97]})
            for handler, told in (
                (telemetry, message("factory", seq, at, values)),
                (telemetry, feeder),
                (grid, feeder),
            ):
                event = batch(Up.TELEMETRY, told, at=at + timedelta(seconds=10))
                for record in event["Records"]:
                    record["kinesis"]["partitionKey"] = told.site
                handler.handler(event, context())
            at += timedelta(seconds=10)
        grid_tick.handler({"time": at.isoformat(), "feeder": FEEDER, "zone": ZONE}, context())
        status = skill("grid_status").call(ports_of(services), {"feeder": FEEDER}, now=at)
        assert status.loading_percent == 115.0
        assert [(one.name, one.value) for one in status.supply] == [("frequency_hz", 49.97)]
        assert status.state != "normal"
        (event,) = status.events
        assert event.commands >= 1 and not event.released
