"""Calls over a cloud's tables: rights, keys and records, and the sites' agents on what was reported."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.agents.office import Office
from cloud.agents.rights import ALL, Caller
from cloud.errors import CallConflict, SkillDenied, SkillError
from cloud.handlers import forecast_tick, telemetry
from cloud.shell.agents_office import office_of
from cloud.shell.call_book import StoreCallBook
from cloud.shell.services import Services
from contracts.market import OrderStatus, Side, TradesMessage
from contracts.skills.base import Effect, Role
from contracts.topics import Up
from tests.support.cloud.sites import FEEDER, START, ZONE, Recorder, batch, house_in
from tests.support.cloud.sites import telemetry as message
from tests.support.market.shell import order_of, orders_at, run_events, story, tick_at

OPERATOR = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]), effects=frozenset(Effect))
HALT = {"zone": ZONE, "reason": "price feed wrong"}
POWER = "meter/active_power_w"


@contextmanager
def office_in(folder: Path) -> Iterator[tuple[Office, Services, Recorder]]:
    """Return an office beside a cloud whose market has begun."""
    with house_in(folder) as (services, publisher):
        run_events(services, [tick_at(0)])
        yield office_of(services.stores.tables, services.registry), services, publisher


def test_a_halt_with_a_key_acts_once_and_the_cloud_with_the_broker_tells_it(tmp_path: Path) -> None:
    """A repeat after a lost answer must not stop a market that was let go since."""
    with office_in(tmp_path) as (office, services, publisher):
        first = office.call(OPERATOR, "halt_market", HALT, door="test", key="k-1")
        assert first.answer["halted"] == "price feed wrong" and not first.repeated
        office.call(OPERATOR, "resume_market", {"zone": ZONE}, door="test", key="k-2")
        again = office.call(OPERATOR, "halt_market", HALT, door="test", key="k-1")
        assert again.repeated and again.answer == first.answer
        status = office.call(OPERATOR, "market_status", {"zone": ZONE}, door="test")
        assert status.answer["halted"] is None
        office.call(OPERATOR, "halt_market", HALT, door="test", key="k-3")
        run_events(services, [orders_at(1, order_of("home-1", 1, Side.BUY, 10, 20_000))])
        notices = [TradesMessage.decode(payload) for payload in publisher.on("/home-1/trades")]
        assert [result.status for one in notices for result in one.results] == [OrderStatus.REJECTED]


def test_a_key_stands_for_one_question(tmp_path: Path) -> None:
    """Another question under the same key is a mistake of the caller's."""
    with office_in(tmp_path) as (office, _, _):
        office.call(OPERATOR, "halt_market", HALT, door="test", key="k-1")
        with pytest.raises(CallConflict, match="used for another question"):
            office.call(OPERATOR, "halt_market", {**HALT, "reason": "another"}, door="test", key="k-1")
        beyond = {"feeder": FEEDER, "limit_w": 10**6, "reason": "works on the line"}
        for _ in range(2):  # A refusal does not use the key up.
            with pytest.raises(SkillError, match="asks for nothing"):
                office.call(OPERATOR, "open_event", beyond, door="test", key="k-4")
        opened = office.call(OPERATOR, "open_event", {**beyond, "limit_w": 120_000}, door="test", key="k-4")
        assert opened.answer["import_limit_w"] == 120_000
        with pytest.raises(SkillError, match="needs an idempotency key"):
            office.call(OPERATOR, "halt_market", HALT, door="test")


def test_every_call_is_recorded_with_who_asked_what_and_how_it_ended(tmp_path: Path) -> None:
    """Also the one that was refused."""
    with office_in(tmp_path) as (office, services, _):
        office.call(OPERATOR, "market_status", {"zone": ZONE, "hours_back": 0}, door="test")
        member = replace(OPERATOR, name="bert", role=Role.MEMBER)
        with pytest.raises(SkillDenied, match="bert is member"):
            office.call(member, "halt_market", HALT, door="test", key="k-1")
        with pytest.raises(SkillError):
            office.call(OPERATOR, "market_status", {"zone": "zone-9"}, door="test")
        asked, denied, unknown = StoreCallBook(services.stores.tables).of_day(START)
        assert (asked["caller"], asked["skill"], asked["effect"], asked["door"]) == (
            "anna", "market_status", "reads", "test",
        )  # fmt: skip
        assert asked["question"]["hours_back"] == 0 and asked["answer"]["zone"] == ZONE and asked["refused"] is None
        assert denied["answer"] is None and "bert is member" in denied["refused"] and denied["question"] == HALT
        assert "no zone" in unknown["refused"]
        # A refusal does not use the key up.
        assert office.call(OPERATOR, "halt_market", HALT, door="test", key="k-1").answer["halted"]


def test_a_sites_agent_tells_its_business_on_the_market(tmp_path: Path) -> None:
    """An owner sees each order, trade and settlement, and the sum of what is owed."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        office = office_of(services.stores.tables, services.registry)
        market = office.call(OPERATOR, "producer_market", {"site": "farm"}, door="test").answer
        assert {order["order_id"]: order["status"] for order in market["orders"]}
        assert market["trades"] and all(trade["side"] == "sell" for trade in market["trades"])
        bill = office.call(OPERATOR, "consumer_statement", {"site": "home-2"}, door="test").answer
        (line,) = bill["lines"]
        assert line["version"] == 2 and line["metered_wh"] == 80 and bill["total_uct"] > 0


def test_a_sites_agent_tells_what_the_gateway_reported_and_can_change(tmp_path: Path) -> None:
    """An offer is judged against this."""
    with office_in(tmp_path) as (office, services, _):
        silent = office.call(OPERATOR, "consumer_flexibility", {"site": "factory"}, door="test").answer
        assert silent["seen_at"] is None and silent["change_w_max"] == 0
        values = {POWER: [50_000.0], "inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]}
        told = message("factory", 1, START, values)
        event = batch(Up.TELEMETRY, told, at=START + timedelta(seconds=10))
        run_events(services, [(telemetry.handler, event)])
        status = office.call(OPERATOR, "consumer_status", {"site": "factory"}, door="test").answer
        assert {point["point"]: point["value"] for point in status["points"]}[POWER] == 50_000.0
        able = office.call(OPERATOR, "consumer_flexibility", {"site": "factory"}, door="test").answer
        assert able["change_w_max"] == 50_000 and able["parts"][0]["means"] == "battery"
        offer = {"site": "factory", "change_w": 60_000, "price_mct_per_kwh": 9_000}
        assert not office.call(OPERATOR, "consumer_response_offer", offer, door="test").answer["accepted"]


def test_a_score_without_meter_values_says_so(tmp_path: Path) -> None:
    """No number is better than one made of nothing."""
    with office_in(tmp_path) as (office, services, _):
        run_events(services, [(forecast_tick.handler, {"time": START.isoformat(), "zone": ZONE})])
        score = office.call(OPERATOR, "forecast_score", {"site": "home-1", "kind": "load"}, door="test").answer
        assert score["issues"] >= 1 and score["intervals"] == 0 and score["mean_error_w"] is None
