"""What a function is granted is what it does: its accesses are recorded while a neighbourhood lives, and compared.

The grants of a role are made of ``cloud/infra/functions.py``, so that is what the record is held against; that a
table's calls are the actions which the roles name is recorded of boto3 itself.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import pytest

from cloud.errors import ConditionFailed
from cloud.handlers import (
    acks,
    energy_trading_actions,
    events,
    forecast_tick,
    grid,
    grid_management,
    grid_tick,
    historical_data,
    lake,
    market_tick,
    meter,
    orders,
    provisioning_hook,
    status,
    telemetry,
    trading_api,
    weather_forecast,
)  # fmt: skip
from cloud.infra.functions import FUNCTIONS, FunctionDefinition
from cloud.infra.stack.functions import TABLE_READS, TABLE_WRITES
from cloud.shell import counting
from cloud.shell import services as shell_services
from cloud.shell.publishing import Outgoing
from cloud.shell.services import NoSigner, Services
from cloud.shell.signing import Signer
from cloud.stores.lake import Lake, RawSample
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Check, Delete, Item, Key, Put, Table, Write
from contracts.control import AckStage, Command, CommandAck
from contracts.telemetry import EventMessage, StatusMessage
from contracts.topics import Up
from tests.support.cloud.aws import moto_tables
from tests.support.cloud.sites import FEEDER, START, ZONE, Recorder, batch, context, house_in, reading
from tests.support.cloud.sites import telemetry as message
from tests.support.market.shell import INTERVAL, run_events, story
from tests.unit.cloud.handlers.test_skill_entries import OPERATOR

_POWER: Final = "meter/active_power_w"
# Rights that this life of a neighbourhood does not use, and when they are used.
_CLAIM: Final = "an event ends at this call, and its claim is given to the market"
_ENDS: Final = {
    "reads market-data": _CLAIM,
    "writes market-data": _CLAIM,
    "writes trade-data": _CLAIM,
    "writes energy-metrics": "such a claim waits for a person, which the site's events say",
    "speaks trades": _CLAIM,
    "speaks market": _CLAIM,
}
_MOVES: Final = "an ack is what moves the event on"
NOT_SEEN: Final[dict[str, dict[str, str]]] = {
    "grid": _ENDS,
    "grid-tick": _ENDS,
    "acks": {
        **{right: why for right, why in _ENDS.items() if right != "writes energy-metrics"},
        "signs": _MOVES,
        "speaks commands": _MOVES,
        "speaks grid": _MOVES,
    },
    "orders": {"speaks market": "an order's time moves a product on before a tick does"},
    "market-tick": {
        "reads energy-metrics": "shared with the other writers of the market, which number what has come",
        "writes energy-metrics": "a claim comes to wait for a person while time settles it",
    },
    "provisioning-hook": {"writes grid-metrics": "a gateway registers with a card that is on the list"},
    "energy-trading-actions": {
        "writes energy-metrics": "a claim comes to wait for a person with the same entry",
        "writes trade-data": "a person's word on a claim is posted in the ledger, and no claim waits here",
    },
    "trading-api": {"reads forecast-data": "a plan of a battery whose site has a forecast"},
}


@dataclass
class Record:
    """What each function was seen to do."""

    reads: dict[str, set[Table]] = field(default_factory=dict)
    writes: dict[str, set[Table]] = field(default_factory=dict)
    speaks: dict[str, set[str]] = field(default_factory=dict)
    lake: set[str] = field(default_factory=set)
    signs: set[str] = field(default_factory=set)


def _who() -> str:
    return counting._function.get() or "nobody"


class Tables(SqliteTables):
    """Tables that note who reads and writes them."""

    record: Record

    def get(self, key: Key) -> Item | None:
        """Note a read."""
        self.record.reads.setdefault(_who(), set()).add(key.table)
        return super().get(key)

    def query(self, table: Table, pk: str, **more: Any) -> Sequence[Item]:
        """Note a read."""
        self.record.reads.setdefault(_who(), set()).add(table)
        return super().query(table, pk, **more)

    def query_index(self, table: Table, pk: str, **more: Any) -> Sequence[Item]:
        """Note a read."""
        self.record.reads.setdefault(_who(), set()).add(table)
        return super().query_index(table, pk, **more)

    def put_each(self, puts: Sequence[Put]) -> None:
        """Note writes."""
        self.record.writes.setdefault(_who(), set()).update(put.key.table for put in puts)
        super().put_each(puts)

    def transact(self, writes: Sequence[Write]) -> None:
        """Note writes."""
        self.record.writes.setdefault(_who(), set()).update(write.key.table for write in writes)
        super().transact(writes)


@dataclass
class _Lake:
    inner: Lake
    record: Record

    def write(self, *, zone: str, name: str, samples: Sequence[RawSample]) -> None:
        self.record.lake.add(_who())
        self.inner.write(zone=zone, name=name, samples=samples)


@dataclass
class _Speaker(Recorder):
    record: Record = field(default_factory=Record)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        for each in messages:
            self.record.speaks.setdefault(_who(), set()).add(each.topic.rpartition("/")[2])
        super().publish(messages)


@dataclass
class _Signer:
    inner: Signer | NoSigner
    record: Record

    @property
    def issuer(self) -> str:
        return self.inner.issuer

    def sign(self, command: Command) -> Command:
        self.record.signs.add(_who())
        return self.inner.sign(command)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """A traded and settled product, an overload that is answered, forecasts, skills; and who did what in it."""
    seen = Record()
    with house_in(tmp_path_factory.mktemp("life")) as (services, _), pytest.MonkeyPatch.context() as patch:
        tables = services.stores.tables
        assert isinstance(tables, SqliteTables)
        patch.setattr(tables, "__class__", Tables)
        patch.setattr(Tables, "record", seen, raising=False)
        speaker = _Speaker(record=seen)
        paying = services.registry.feeders[0].model_copy(update={"dr_price_mct_per_kwh": 10_000})
        watched = replace(
            services,
            registry=services.registry.model_copy(update={"feeders": (paying,)}),
            stores=replace(services.stores, lake=_Lake(services.stores.lake, seen)),  # type: ignore[arg-type]
            publisher=speaker,
            signer=_Signer(services.signer, seen),  # type: ignore[arg-type]
        )
        shell_services.install(watched)
        provisioning_hook.install(tables)
        try:
            _live(watched, speaker)
        finally:
            provisioning_hook.install(None)
    yield seen


def _live(services: Services, speaker: _Speaker) -> None:
    run_events(services, story())
    shell_services.install(services)
    carried = reading(FEEDER, 1, INTERVAL, import_wh=9_000)
    assert meter.handler(batch(Up.METER, carried, at=START + timedelta(minutes=40)), context()) == {
        "batchItemFailures": []
    }
    values: dict[str, list[float | None]] = {
        _POWER: [50_000.0], "inverter/battery_power_w": [0.0], "inverter/soc_percent": [60.0]
    }  # fmt: skip
    begin = START + timedelta(hours=2)
    for seq, second in enumerate(range(0, 60, 10), start=1):
        at = begin + timedelta(seconds=second)
        _told(message("factory", seq, at, values), message("farm", seq, at, values), at=at)
        _told(message(FEEDER, seq, at, {_POWER: [100_000.0] * 10}), at=at + timedelta(seconds=10))
    at = begin + timedelta(seconds=60)
    _told(message(FEEDER, 7, at, {_POWER: [230_000.0] * 10}), b'{"v": 1}', at=at + timedelta(seconds=10))
    command = Command.decode(speaker.on("/commands")[0])
    done = CommandAck(
        site=command.site, epoch=1, seq=1, sent_at=at, command_id=command.command_id, event_id=command.event_id,
        stage=AckStage.APPLIED, at=at,
    )  # fmt: skip
    acks.handler(batch(Up.ACKS, done, b"{}", at=at + timedelta(seconds=11)), context())
    for second in (12, 400, 4000):
        tick = {"time": (at + timedelta(seconds=second)).isoformat(), "feeder": FEEDER, "zone": ZONE}
        grid_tick.handler(tick, context())
    orders.handler(batch(Up.ORDERS, b"{}", at=at), context())
    happened = EventMessage(site="farm", epoch=1, seq=1, sent_at=at, at=at, phrase="link up")
    events.handler(batch(Up.EVENTS, happened, b"{}", at=at), context())
    status.handler(batch(Up.STATUS, StatusMessage(site="farm", online=True, at=START), b"{}", at=START), context())
    forecast_tick.handler({"time": at.isoformat(), "zone": ZONE}, context())
    market_tick.handler({"time": at.isoformat(), "zone": ZONE}, context())
    provisioning_hook.handler(_application(), context())
    _ask(weather_forecast, "forecast", zone=ZONE)
    _ask(weather_forecast, "demand", zone=ZONE)
    _ask(weather_forecast, "weather", zone=ZONE)
    _ask(weather_forecast, "forecast_score", zone=ZONE)
    for skill in ("market_settlement", "market_matching", "market_statements", "market_claims", "market_estimates"):
        _ask(historical_data, skill, zone=ZONE)
    _ask(historical_data, "event_evidence", event="none")
    for skill in ("market_status", "price_discovery", "market_orders", "market_health"):
        _ask(trading_api, skill, zone=ZONE)
    for kind, site in (("producer", "farm"), ("consumer", "factory")):
        _ask(historical_data, f"{kind}_statement", site=site)
        _ask(historical_data, f"{kind}_responses", site=site)
        for skill in ("status", "market", "battery_plan"):
            _ask(trading_api, f"{kind}_{skill}", site=site)
        _ask(grid_management, f"{kind}_flexibility", site=site)
    for skill in ("grid_status", "relief_study"):
        _ask(grid_management, skill, feeder=FEEDER)
    _ask(energy_trading_actions, "halt_market", zone=ZONE, reason="a drill of the market")
    _ask(energy_trading_actions, "resume_market", zone=ZONE)
    offer = {"direction": "reduce_import", "change_w": 1_000, "duration_s": 900, "price_mct_per_kwh": 20_000}
    _ask(energy_trading_actions, "consumer_response_offer", site="factory", **offer)


def _told(*messages: Any, at: Any) -> None:
    for function in (telemetry, lake, grid):
        function.handler(batch(Up.TELEMETRY, *messages, at=at), context())


def _ask(function: Any, skill: str, **question: Any) -> None:
    path = f"/{function.__name__.rpartition('.')[2].replace('_', '-')}/{skill}"
    event = {
        "version": "2.0",
        "rawPath": path,
        "headers": {"content-type": "application/json", "idempotency-key": skill},
        "requestContext": {
            "http": {"method": "POST", "path": path},
            "authorizer": {"jwt": {"claims": OPERATOR, "scopes": None}},
        },
        "body": json.dumps(question),
        "isBase64Encoded": False,
    }
    answer = function.handler(event, context())
    assert answer["statusCode"] in (200, 404, 409, 422), answer


def _application() -> dict[str, Any]:
    return {"parameters": {"SerialNumber": "SN-1"}, "certificatePem": "x", "certificateId": "c"}


@pytest.mark.parametrize("definition", FUNCTIONS, ids=[each.name for each in FUNCTIONS])
def test_a_function_does_nothing_that_it_is_not_granted(record: Record, definition: FunctionDefinition) -> None:
    """On AWS it would be refused, in a case that no emulator's test had met."""
    name = definition.name
    assert record.reads.get(name, set()) - {*definition.reads} == set()
    assert record.writes.get(name, set()) - {*definition.writes} == set()
    assert record.speaks.get(name, set()) - {each.value for each in definition.speaks} == set()
    assert (name in record.lake) <= definition.lake and (name in record.signs) <= definition.signs


@pytest.mark.parametrize("definition", FUNCTIONS, ids=[each.name for each in FUNCTIONS])
def test_a_function_is_granted_nothing_that_it_does_not_do(record: Record, definition: FunctionDefinition) -> None:
    """What is granted and not seen stands in one list, each with when it is used; what is seen does not stand there."""
    name = definition.name
    # Who takes part is read by each from the register, which is installed here.
    unused = {f"reads {table}" for table in {*definition.reads} - record.reads.get(name, set()) - {Table.GRID_METRICS}}
    unused |= {f"writes {table}" for table in {*definition.writes} - record.writes.get(name, set())}
    unused |= {f"speaks {each.value}" for each in definition.speaks if each.value not in record.speaks.get(name, set())}
    unused |= {"signs"} if definition.signs and name not in record.signs else set()
    unused |= {"lake"} if definition.lake and name not in record.lake else set()
    assert sorted(unused) == sorted(NOT_SEEN.get(name, {}))


def test_the_actions_of_a_role_are_the_calls_that_boto3_makes() -> None:
    """Recorded below the tables: each call is one of the actions that a role is granted, and each of them is made."""
    made: set[str] = set()
    with moto_tables() as tables:
        client = tables._client
        note: Any = lambda model, params, **_: made.update(_actions(model, params))  # noqa: E731 - botocore's names
        client.meta.events.register("before-call.dynamodb", note)
        key, other = (Key(table=Table.MARKET_DATA, pk="p", sk=sk) for sk in "ab")
        tables.put(Put(key=key, body={}))
        tables.get(key)
        tables.query(Table.MARKET_DATA, "p")
        tables.query_index(Table.MARKET_DATA, "p")
        tables.put_each([Put(key=key, body={"n": 1})])
        tables.transact([Check(key=key, if_version=2), Put(key=other, body={})])
        tables.transact([Delete(key=key), Put(key=other, body={})])
        with pytest.raises(ConditionFailed):
            tables.put(Put(key=other, body={}, if_version=9))
    assert made == {*TABLE_READS, *TABLE_WRITES}


def _actions(model: Any, params: Any) -> set[str]:
    """Return the actions that a call needs, a transaction those of its parts. Source: DynamoDB guide, transactions."""
    if model.name != "TransactWriteItems":
        return {f"dynamodb:{model.name}"}
    needs = {"Update": "UpdateItem", "Put": "PutItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
    return {f"dynamodb:{needs[part]}" for each in json.loads(params["body"])["TransactItems"] for part in each}
