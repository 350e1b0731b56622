"""The skills on a zone's books, a site's plans, a zone's outlook and a feeder's requests, over the running store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.agents.skills import Ports, skill
from cloud.errors import SkillError
from cloud.handlers import acks, forecast_tick, grid, grid_tick, telemetry
from cloud.shell import services as shell_services
from cloud.shell.services import Services
from cloud.shell.skill_ports import ports_of, reading_ports
from cloud.stores.registry import read_registry
from contracts.control import AckStage, Command, CommandAck
from contracts.topics import Up
from tests.support.cloud import weather_answers as answers
from tests.support.cloud.providers import Answer, provider
from tests.support.cloud.sites import FEEDER, START, ZONE, Recorder, batch, context, house_in, registry_data
from tests.support.cloud.sites import telemetry as message
from tests.support.market.shell import INTERVAL, run_events, story

NOW = START + timedelta(minutes=35)
POWER = "meter/active_power_w"
REASON = "works on the line"


def asked(ports: Ports, name: str, *, at: datetime = NOW, **question: Any) -> Any:
    """Return the answer of a skill."""
    return skill(name).call(ports, question, now=at)


def test_the_books_show_every_order_match_settlement_and_month(tmp_path: Path) -> None:
    """The supervisor answers for the whole zone from what the market did."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        ports = ports_of(services)
        orders = asked(ports, "market_orders", zone=ZONE).orders
        assert {order.site for order in orders} == {"farm", "factory", "home-1"} and len(orders) == 6
        assert {order.status for order in orders} >= {"rejected"}
        trades = asked(ports, "market_matching", zone=ZONE).trades
        assert all(trade.interval_start == INTERVAL and trade.quantity_wh > 0 for trade in trades)
        status = asked(ports, "market_status", zone=ZONE)
        assert sum(trade.quantity_wh for trade in trades) == status.volume_wh
        settled = asked(ports, "market_settlement", zone=ZONE)
        assert {row.site: row.version for row in settled.settlements}["home-2"] == 2
        assert {row.site for row in settled.settlements} == {"farm", "factory", "home-1", "home-2"}
        bill = asked(ports, "consumer_statement", site="factory")
        (factory,) = [row for row in settled.settlements if row.site == "factory"]
        assert bill.lines[0].model_dump() == factory.model_dump(exclude={"site"})
        months = asked(ports, "market_statements", zone=ZONE, month="2026-03").sites
        assert {row.site for row in months} == {"farm", "factory", "home-1", "home-2"}
        assert {row.site: row.total_uct for row in months}["factory"] == bill.total_uct
        few = asked(ports, "market_orders", zone=ZONE, count=1)
        assert len(few.orders) == 1 and few.more
        with pytest.raises(SkillError, match="zone-9"):
            asked(ports, "market_orders", zone="zone-9")


def test_a_battery_plan_keeps_what_was_traded_within_what_was_announced(tmp_path: Path) -> None:
    """The owner sees why his battery will be empty."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        plan = asked(ports_of(services), "producer_battery_plan", at=START, site="farm")
        step = next(one for one in plan.steps if one.interval_start == INTERVAL)
        assert plan.stored_wh == 4_500 and step.traded_wh < 0
        assert step.battery_wh == step.traded_wh and step.level_wh == 4_500 + step.traded_wh
        assert asked(ports_of(services), "consumer_battery_plan", site="home-2").steps == ()
        with pytest.raises(SkillError, match="producer"):
            asked(ports_of(services), "consumer_battery_plan", site="farm")


def test_weather_demand_and_broadcast_are_what_the_forecast_was_made_of(tmp_path: Path) -> None:
    """A zone's outlook comes from the provider on the wire and the issue that sites were told."""
    sky = answers.open_meteo(START.replace(hour=0) - timedelta(days=3), 24 * 6, lambda at: (600.0, float(at.hour)))
    data = registry_data()
    with provider([Answer(body=sky)]) as server, house_in(tmp_path) as (house, _):
        data["zones"][0]["weather"] = {"provider": "open-meteo", "url": server.url}
        services = replace(house, registry=read_registry(data, where="test"))
        shell_services.install(services)
        ports = ports_of(services)
        assert asked(ports, "weather", at=START, zone=ZONE).hours == ()
        assert asked(ports, "demand", at=START, zone=ZONE).steps == ()
        forecast_tick.handler({"time": START.isoformat(), "zone": ZONE}, context())
        weather = asked(ports, "weather", at=START, zone=ZONE, hours_ahead=3)
        assert [hour.air_temperature_c for hour in weather.hours] == [12.0, 13.0, 14.0]
        assert weather.provider == "open-meteo" and weather.told_at == START
        demand = asked(ports, "demand", at=START, zone=ZONE)
        loads = [asked(ports, "forecast", at=START, zone=ZONE, kind="load", site=one) for one in ("factory", "home-1")]
        assert demand.forecast == demand.sites == 4
        assert demand.steps[0].load_w >= sum(one.forecast.p50[0] for one in loads)
        assert all(step.net_w == step.load_w + step.pv_w and step.pv_w <= 0 for step in demand.steps)
        told = asked(ports, "forecast_broadcast", at=START, zone=ZONE).forecasts
        assert {(one.kind, one.site) for one in told} >= {("load", "home-1"), ("pv", "farm")}
        assert all(one.issued_at == START < one.until for one in told)
        assert asked(ports, "consumer_load_schedule", at=START, site="home-1").load == loads[1].forecast


@contextmanager
def feeder_at(folder: Path, power_w: float) -> Iterator[tuple[Services, Recorder, datetime]]:
    """Let a feeder and the factory on it speak for a minute and yield the instant after it."""
    with house_in(folder) as (services, publisher):
        yield services, publisher, speak(START, power_w)


def speak(at: datetime, power_w: float, *, seconds: int = 60) -> datetime:
    """Let the feeder and the factory tell their powers, and the grid agent look; return the instant after it."""
    for number in range(seconds // 10):
        values = {POWER: [50_000.0], "inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]}
        seq = int((at - START).total_seconds()) // 10 + number + 1
        told_at = at + timedelta(seconds=10 * number)
        feeder = message(FEEDER, seq, told_at, {POWER: [power_w] * 10})
        event = batch(
            Up.TELEMETRY, message("factory", seq, told_at, values), feeder, at=told_at + timedelta(seconds=10)
        )
        telemetry.handler(event, context())
        grid.handler(event, context())
    after = at + timedelta(seconds=seconds)
    grid_tick.handler({"time": after.isoformat(), "feeder": FEEDER, "zone": ZONE}, context())
    return after


def test_a_feeder_is_held_below_a_requested_limit_until_the_request_ends(tmp_path: Path) -> None:
    """A grid operator asks for less than the transformer's limit: sites get signed orders; without the request none."""
    with feeder_at(tmp_path, 150_000.0) as (services, publisher, at):
        ports = ports_of(services)
        assert not publisher.on("/commands")
        request = {"feeder": FEEDER, "limit_w": 120_000, "duration_s": 600, "reason": REASON}
        opened = asked(ports, "open_event", at=at, **request)
        assert (opened.import_limit_w, opened.export_limit_w) == (120_000, 200_000)
        assert opened.until == at + timedelta(seconds=600) and opened.reason == REASON
        with pytest.raises(SkillError, match=rf"held at 120000 W until .*{REASON}.*close that request first"):
            asked(ports, "open_event", at=at, **{**request, "limit_w": 100_000})
        later = speak(at, 150_000.0)
        orders = [Command.decode(payload) for payload in publisher.on("/commands")]
        assert orders and all(one.site in {"factory", "farm"} for one in orders)
        status = asked(ports, "grid_status", at=later, feeder=FEEDER)
        assert status.state == "overloaded" and status.limit_w == 120_000 and status.events[0].limit_w == 120_000
        closed = asked(ports, "close_event", at=later, feeder=FEEDER)
        assert closed.import_limit_w == 200_000 and closed.until is None
        after = asked(ports, "open_event", at=later, **request)
        late = after.until
        assert late is not None
        assert asked(ports, "grid_status", at=late, feeder=FEEDER).limit_w == 120_000
        grid_tick.handler({"time": late.isoformat(), "feeder": FEEDER, "zone": ZONE}, context())
        assert asked(ports, "close_event", at=late, feeder=FEEDER).import_limit_w == 200_000


def test_the_sites_own_view_shows_what_the_grid_ordered_and_what_was_answered(tmp_path: Path) -> None:
    """An owner finds out why his battery was discharged."""
    with feeder_at(tmp_path, 230_000.0) as (services, publisher, at):
        (order, *_) = [Command.decode(payload) for payload in publisher.on("/factory/commands")]
        ack = CommandAck(
            site="factory", epoch=1, seq=99, sent_at=at, command_id=order.command_id, event_id=order.event_id,
            stage=AckStage.ACCEPTED, at=at,
        )  # fmt: skip
        acks.handler(batch(Up.ACKS, ack, at=at), context())
        orders = asked(ports_of(services), "consumer_responses", site="factory").orders
        (shown,) = [one for one in orders if one.command_id == order.command_id]
        assert (shown.kind, shown.stage, shown.event_id) == (order.action.kind, "accepted", order.event_id)


def test_a_relief_is_shared_out_as_the_agent_would_and_nothing_is_ordered(tmp_path: Path) -> None:
    """What it would take, before anybody is asked."""
    with feeder_at(tmp_path, 150_000.0) as (services, publisher, at):
        ports = ports_of(services)
        good = asked(ports, "coordinate", at=at, feeder=FEEDER, need_w=20_000)
        assert good.accepted and sum(share.change_w for share in good.shares) == 20_000
        assert good.shares[0].site == "factory" and good.shares[0].means == "battery"
        short = asked(ports, "coordinate", at=at, feeder=FEEDER, need_w=900_000)
        assert not short.accepted and short.shortfall_w > 0 and "missing" in short.reason
        assert not publisher.on("/commands")


def test_a_request_that_asks_for_nothing_cannot_be_held_or_is_only_read_is_refused(tmp_path: Path) -> None:
    """The feeder's own limits hold whatever is asked."""
    with house_in(tmp_path) as (services, _):
        ports = ports_of(services)
        for limit_w, why in ((200_000, "asks for nothing"), (9_000, "cannot be held")):
            with pytest.raises(SkillError, match=why):
                asked(ports, "open_event", feeder=FEEDER, limit_w=limit_w, reason=REASON)
        with pytest.raises(SkillError, match="no feeder"):
            asked(ports, "coordinate", feeder="feeder-9", need_w=1)
        looking = reading_ports(services.stores.tables, services.registry)
        with pytest.raises(SkillError, match="only read"):
            asked(looking, "open_event", feeder=FEEDER, limit_w=120_000, reason=REASON)
