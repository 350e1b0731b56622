"""The grid agent's shell: it sees the feeder, asks sites in signed words, and keeps the evidence."""

from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import PublishError, SetupError
from cloud.handlers import acks, grid, grid_tick, market_tick, meter, telemetry
from cloud.local.report import dr_events, evidence, ledger
from cloud.market import commands as market_commands
from cloud.market.settlement import imbalance_wh
from cloud.shell import services as shell_services
from cloud.shell.grid import agent as grid_agent
from cloud.shell.grid.view import power_samples, settings_of, supply_samples
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services
from cloud.shell.signing import Signer
from cloud.stores import keys
from cloud.stores.registry import read_registry
from cloud.stores.tables import Table, prefix
from contracts.control import AckStage, BatteryPower, Command, CommandAck, LimitImport
from contracts.grid import Disturbance, FeederState, GridBroadcast
from contracts.topics import Up
from contracts.units import epoch_ms
from tests.support.cloud.sites import FEEDER, START, Recorder, batch, context, house_in, reading, registry_data
from tests.support.cloud.sites import telemetry as message

POWER = "meter/active_power_w"


def _tell(*messages: Any, at: datetime) -> None:
    event = batch(Up.TELEMETRY, *messages, at=at)
    telemetry.handler(event, context())
    grid.handler(event, context())


def _tick(at: datetime) -> None:
    grid_tick.handler({"time": at.isoformat(), "feeder": FEEDER, "zone": "zone-1"}, context())


def _overload() -> datetime:
    """Let the sites speak and the transformer pass its limit; return the instant after it."""
    for seq, second in enumerate(range(0, 60, 10), start=1):
        at = START + timedelta(seconds=second)
        values = {POWER: [50_000.0], "inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]}
        _tell(message("factory", seq, at, values), message("farm", seq, at, values), at=at)
        _tell(message(FEEDER, seq, at, {POWER: [100_000.0] * 10}), at=at + timedelta(seconds=10))
    at = START + timedelta(seconds=60)
    _tell(message(FEEDER, 7, at, {POWER: [230_000.0] * 10}), at=at + timedelta(seconds=10))
    return at + timedelta(seconds=10)


def _commands(publisher: Recorder) -> list[Command]:
    return [Command.decode(payload) for payload in publisher.on("/commands")]


def _states(publisher: Recorder) -> list[FeederState]:
    return [GridBroadcast.decode(payload).state for payload in publisher.on("/broadcast/grid")]


def _check_signature(services: Services, command: Command) -> None:
    assert isinstance(services.signer, Signer)
    services.signer.key.public_key().verify(b64decode(command.signature), command.signing_bytes())


def test_an_overload_is_answered_with_signed_commands_that_expire(tmp_path: Path) -> None:
    """A gateway obeys nothing else, and nothing that it obeys may outlive the agent."""
    with house_in(tmp_path) as (services, publisher):
        at = _overload()
        commands = _commands(publisher)
        assert commands
        for command in commands:
            _check_signature(services, command)
            assert command.issuer == "grid-agent"
            assert isinstance(command.action, BatteryPower | LimitImport)
            assert at < command.expires_at <= at + timedelta(seconds=300)
        assert {command.seq for command in commands} == {1}
        assert FeederState.OVERLOADED in _states(publisher)
        (event,) = dr_events(services.stores.tables, services.registry)
        assert event["limit_w"] == 200_000
        assert evidence(services.stores.tables, event["event_id"])[0]["kind"] == "detected"


@pytest.mark.parametrize(("farm_mct", "asked"), [(3_000, "farm"), (9_000, "factory")])
def test_who_asks_less_for_relief_is_asked_first(tmp_path: Path, farm_mct: int, asked: str) -> None:
    """Both could give all that is missing; the factory's battery asks 5 ct a kWh, the farm what its record says."""
    data = registry_data()
    data["sites"][0]["relief_prices"] = {"battery_mct_per_kwh": farm_mct}
    with house_in(tmp_path) as (services, publisher):
        shell_services.install(replace(services, registry=read_registry(data, where="test")))
        _overload()
        assert {command.site for command in _commands(publisher)} == {asked}


def test_more_actions_than_a_transaction_holds_are_all_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feeder with many sites must not be the one that cannot be helped."""
    monkeypatch.setattr(grid_agent, "TRANSACT_MAX", 2)
    with house_in(tmp_path) as (services, publisher):
        _overload()
        commands = _commands(publisher)
        assert len({command.site for command in commands}) == len(commands) >= 1
        for command in commands:
            assert services.stores.tables.get(keys.command(command.site, command.command_id)) is not None
        (event,) = dr_events(services.stores.tables, services.registry)
        assert evidence(services.stores.tables, event["event_id"])[0]["kind"] == "detected"


def test_orders_are_renewed_under_rising_numbers_while_the_overload_lasts(tmp_path: Path) -> None:
    """Gateways refuse a number that does not rise, as a replay."""
    with house_in(tmp_path) as (_, publisher):
        at = _overload()
        for seq in range(8, 20):
            _tell(message(FEEDER, seq, at, {POWER: [230_000.0] * 10}), at=at + timedelta(seconds=10))
            at += timedelta(seconds=10)
        for site in {command.site for command in _commands(publisher)}:
            numbers = [command.seq for command in _commands(publisher) if command.site == site]
            assert len(numbers) > 1
            assert numbers == sorted(set(numbers))


def test_an_ack_is_kept_beside_its_command_and_counts_once(tmp_path: Path) -> None:
    """The evidence of an event is who was asked what, and what each answered."""
    with house_in(tmp_path) as (services, publisher):
        at = _overload()
        command = _commands(publisher)[0]
        ack = CommandAck(
            site=command.site, epoch=1, seq=1, sent_at=at, command_id=command.command_id, event_id=command.event_id,
            stage=AckStage.APPLIED, at=at,
        )  # fmt: skip
        acks.handler(batch(Up.ACKS, ack, ack, at=at + timedelta(seconds=1)), context())
        item = services.stores.tables.get(keys.command(command.site, command.command_id))
        assert item is not None
        assert item.body["command"]["signature"] == command.signature
        assert [told["stage"] for told in item.body["acks"]] == ["applied"]
        _tick(at + timedelta(seconds=5))
        (event,) = dr_events(services.stores.tables, services.registry)
        assert event["applied"] == 1


def test_commands_that_the_broker_did_not_take_are_sent_by_the_next_call(tmp_path: Path) -> None:
    """The decision stands in the tables; the site must still hear of it."""
    with house_in(tmp_path) as (services, publisher):
        publisher.fail = PublishError("broker away")
        at = START
        for seq in range(1, 4):
            event = batch(Up.TELEMETRY, message(FEEDER, seq, at, {POWER: [230_000.0] * 10}), at=at)
            values = {POWER: [50_000.0], "inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]}
            telemetry.handler(batch(Up.TELEMETRY, message("factory", seq, at, values), at=at), context())
            with pytest.raises(Exception, match="broker away"):
                grid.handler(event, context())
            at += timedelta(seconds=10)
        assert _commands(publisher) == []
        publisher.fail = None
        _tick(at)
        assert len(_commands(publisher)) >= 1
        sent = len(publisher.sent)
        _tick(at + timedelta(seconds=1))
        assert all(not one.topic.endswith("/commands") for one in publisher.sent[sent:])
        state = services.stores.tables.get(keys.feeder_state(FEEDER))
        assert state is not None and state.body["outbox"] == []


def test_a_silent_meter_holds_its_last_value_while_it_may(tmp_path: Path) -> None:
    """A gateway says nothing while a value stays within its dead band; that is not a gap."""
    with house_in(tmp_path) as (services, _):
        feeder = services.registry.feeder(FEEDER)
        assert feeder is not None
        told = message(FEEDER, 1, START, {POWER: [1.0], "meter/voltage_v": [230.0, 231.0]}, step_s=60.0)
        samples = power_samples(told, feeder)
        assert [sample.at for sample in samples] == [START + timedelta(seconds=5 * n) for n in range(12)]
        assert {sample.power_w for sample in samples} == {1.0}


def test_a_poor_supply_is_told_to_the_zone_as_soon_as_it_is_seen(tmp_path: Path) -> None:
    """The operator must not learn from the newspaper that the frequency was low."""
    with house_in(tmp_path) as (_, publisher):
        values = {"meter/frequency_hz": [50.0, 49.7, 49.7, 49.7], "meter/voltage_l1_v": [231.0]}
        _tell(message(FEEDER, 1, START, values), at=START + timedelta(seconds=5))
        broadcasts = [GridBroadcast.decode(payload) for payload in publisher.on("/broadcast/grid")]
        assert [one.disturbances for one in broadcasts] == [(Disturbance.UNDER_FREQUENCY,)]
        assert broadcasts[0].state is FeederState.NORMAL


def test_a_phase_that_is_not_told_again_is_as_it_was(tmp_path: Path) -> None:
    """A phase that stays low while another moves is low at every instant, not only when it was told."""
    with house_in(tmp_path) as (services, _):
        feeder = services.registry.feeder(FEEDER)
        assert feeder is not None
        values = {"meter/voltage_l1_v": [200.0], "meter/voltage_l2_v": [230.0, 231.0, 232.0]}
        samples = supply_samples(message(FEEDER, 1, START, values), feeder)
        assert [sample.voltage_v for sample in samples] == [(200.0, 230.0), (200.0, 231.0), (200.0, 232.0)]
        assert all(sample.held for sample in samples)


def test_settings_of_a_feeder_are_checked_by_name(tmp_path: Path) -> None:
    """A misspelt limit would otherwise be the default, silently."""
    with house_in(tmp_path) as (services, _):
        feeder = services.registry.feeder(FEEDER)
        assert feeder is not None
        assert settings_of(feeder).margin_w == 4_000
        with pytest.raises(SetupError, match="margn_w"):
            settings_of(feeder.model_copy(update={"settings": {"margn_w": 1}}))
        with pytest.raises(SetupError, match="cannot be held"):
            settings_of(feeder.model_copy(update={"settings": {"margin_w": -1}}))


def test_two_agents_at_once_ask_nobody_twice(tmp_path: Path) -> None:
    """The schedule and the stream may call at the same time; each order must go out under one number."""
    with house_in(tmp_path) as (services, publisher):
        at = _overload() + timedelta(seconds=45)
        with ThreadPoolExecutor(max_workers=4) as threads:
            list(threads.map(_tick, [at] * 8))
        commands = _commands(publisher)
        for site in {command.site for command in commands}:
            by_number = {command.seq: command.command_id for command in commands if command.site == site}
            assert sorted(by_number) == list(range(1, len(by_number) + 1))
            assert len(set(by_number.values())) == len(by_number)
        (event,) = dr_events(services.stores.tables, services.registry)
        assert event["commands"] == len({command.command_id for command in commands})


def _approve(services: Services, at: datetime) -> None:
    """Let a person look at each claim that waits because its baseline is flagged, and approve it."""
    market = market_of(services, "zone-1")
    assert market is not None
    waiting = {(line.event, site) for _, site, line in market.fold(at_ms=epoch_ms(at)).engine.open_claims()}
    assert waiting, "the sites have no history: their baselines are flagged few-days"
    words = [
        market_commands.claim(event=event, site=site, approve=True, by="ann", reason="looked at", at_ms=epoch_ms(at))
        for event, site in sorted(waiting)
    ]
    market.submit(words, at_ms=epoch_ms(at))


def test_what_was_ordered_and_delivered_is_paid_by_the_market_once(tmp_path: Path) -> None:
    """A site that helped must find it in its settlement, and not a second time in its imbalance."""
    with house_in(tmp_path) as (services, publisher):
        feeder = services.registry.feeders[0].model_copy(update={"dr_price_mct_per_kwh": 20_000})
        paying = replace(services, registry=services.registry.model_copy(update={"feeders": (feeder,)}), memory={})
        shell_services.install(paying)
        before = START - timedelta(minutes=15)
        market_tick.handler({"time": (before - timedelta(minutes=30)).isoformat(), "zone": "zone-1"}, context())
        for site in ("factory", "farm"):
            meter.handler(batch(Up.METER, reading(site, 1, before, import_wh=12_500), at=START), context())
        at = _overload()
        for seq in range(8, 40):
            power_w = 230_000.0 if seq < 12 else 50_000.0
            _tell(message(FEEDER, seq, at, {POWER: [power_w] * 10}), at=at + timedelta(seconds=10))
            at += timedelta(seconds=10)
        while dr_events(paying.stores.tables, paying.registry)[0]["ended_at"] is None:
            _tell(message(FEEDER, seq := seq + 1, at, {POWER: [50_000.0] * 10}), at=at + timedelta(seconds=10))
            at += timedelta(seconds=10)
        asked = {command.site for command in _commands(publisher)}
        assert asked
        for handled in range(2):
            for site in ("factory", "farm", "home-1", "home-2"):
                told = reading(site, 2 + handled, START, import_wh=5_000 if site in asked else 0)
                meter.handler(batch(Up.METER, told, at=at + timedelta(minutes=30)), context())
            market_tick.handler({"time": (at + timedelta(minutes=45)).isoformat(), "zone": "zone-1"}, context())
        _approve(paying, at + timedelta(minutes=46))
        settled = [
            item.body
            for item in paying.stores.tables.query(Table.TRADE_DATA, keys.market("zone-1", START), **prefix("SETTLED#"))
        ]
        paid = {body["site"]: body for body in settled if body["demand_response_uct"]}
        assert set(paid) <= asked and paid
        for body in paid.values():
            assert body["demand_response_uct"] == -body["demand_response_wh"] * 20_000 < 0
            assert body["imbalance_wh"] == imbalance_wh(
                **{name: body[name] for name in ("metered_wh", "traded_wh", "demand_response_wh")}
            )
        sums = ledger(paying.stores.tables, ["zone-1"])
        assert (sums["sum"], sums["energy_sum"]) == (0, 0)
