"""The whole way on AWS, against an emulator: ``make aws``.

The bundles are built, the stack is deployed and told who takes part, and the functions run in their roles from their
own bundles, on the runtime's Python: the emulator refuses what a role does not grant. Left out is what it lacks
(``cloud/infra/deployment/emulator.py``); an IoT rule's way to its stream is played here. Too long for a change: it
takes minutes.
"""

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloud.infra.functions import ASKED, FUNCTIONS, Bundle, FunctionDefinition
from cloud.infra.rules import CONSUMERS
from cloud.local.report import channel_counts, intervals, ledger
from cloud.stores import keys
from cloud.stores.tables import Table, Tables, prefix
from contracts.forecast import ForecastKind
from contracts.telemetry import EventMessage, StatusMessage
from contracts.topics import Up
from contracts.wire import Message
from tests.support.cloud.aws_stack import await_true, call, command, forward, status_beside_alarms
from tests.support.cloud.emulator import ROOT_USER, Emulator
from tests.support.cloud.runtime import invoked
from tests.support.cloud.sites import FEEDER, START, ZONE, batch, house_in, registry, registry_data
from tests.support.cloud.sites import telemetry as telemetry_of
from tests.support.market.shell import run_events, story

pytestmark = pytest.mark.slow


def test_the_stack_is_well_and_says_so(aws: Emulator, stack: dict[str, Any]) -> None:
    """Every function is there in its first version, every table, every schedule."""
    told = command("cloud", "status", "--endpoint", aws.endpoint)
    assert told["well"] and told["state"] == "CREATE_COMPLETE" and told["sites"] == 4
    assert {each["name"] for each in told["functions"]} == {each.name for each in FUNCTIONS}
    assert {each["version"] for each in told["functions"]} == {"1"}


def test_a_product_settles_on_aws_as_it_does_here(aws: Emulator, tables: Tables, tmp_path: Path) -> None:
    """The same orders, ticks and readings: the same prices, trades and ledger, which sums to zero."""
    with house_in(tmp_path) as (services, _):
        events = story()
        run_events(services, events)
        ours, our_ledger = intervals(services.stores.tables, ZONE), ledger(services.stores.tables, [ZONE])
    for handler, event in events:
        call(aws, handler.__module__.rpartition(".")[2].replace("_", "-"), event)
    assert intervals(tables, ZONE) == ours
    assert any(interval["settled"] for interval in ours)
    assert ledger(tables, [ZONE]) == our_ledger
    assert (our_ledger["sum"], our_ledger["energy_sum"]) == (0, 0)


def test_what_gateways_send_comes_through_the_streams(aws: Emulator, tables: Tables) -> None:
    """Filters, batches and roles: each channel reaches its function, and nothing is lost or doubled."""
    now = datetime.now(UTC)
    values: dict[str, list[float | None]] = {"meter/active_power_w": [100.0, 200.0]}
    told = [telemetry_of("home-1", seq, now - timedelta(seconds=60 - 2 * seq), values) for seq in range(1, 11)]
    forward(aws, Up.TELEMETRY, *told, told[4])
    forward(aws, Up.STATUS, StatusMessage(site="home-1", online=True, at=now))
    happened = EventMessage(site="home-1", epoch=1, seq=1, sent_at=now, at=now, phrase="link up")
    forward(aws, Up.EVENTS, happened)
    want = {"published": 10, "stored": 10, "lost": 0, "duplicated": 1}

    def taken() -> bool:
        return channel_counts(tables, registry(), Up.TELEMETRY) == want

    await_true(taken, why="telemetry does not come")
    state = keys.site_state("home-1", keys.STATUS)
    await_true(lambda: tables.get(state) is not None, why="the status does not come")
    event = keys.site_event("home-1", now, 1, 1)
    await_true(lambda: tables.get(event) is not None, why="the event does not come")
    told_by = command("cloud", "status", "--endpoint", aws.endpoint)
    assert told_by["set_aside"] == 0


def test_every_tick_runs_in_its_role(aws: Emulator, stack: dict[str, Any]) -> None:
    """What a schedule calls: forecasts are issued, the grid's agent looks at its feeder, a stranger is told no."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, target in (("forecast-tick", {"zone": ZONE}), ("grid-tick", {"zone": ZONE, "feeder": FEEDER})):
        call(aws, name, {"time": at, **target})
    assert call(aws, "provisioning-hook", {}) == {"allowProvisioning": False}
    lake = batch(Up.TELEMETRY, telemetry_of("farm", 1, START, {"meter/active_power_w": [1.0]}), at=START)
    call(aws, "lake", lake)
    held = aws.client("s3").list_objects_v2(Bucket=stack["outputs"]["LakeBucket"])
    assert any("farm" not in each["Key"] and ZONE in each["Key"] for each in held["Contents"])


def test_a_feature_is_switched_off_and_on_while_everything_runs(aws: Emulator, tables: Tables) -> None:
    """By AppConfig: the next forecast that is issued says so."""
    where = ("--endpoint", aws.endpoint)

    def method() -> str:
        call(aws, "forecast-tick", {"time": START.strftime("%Y-%m-%dT%H:%M:%SZ"), "zone": ZONE})
        issued = keys.forecast("farm", ForecastKind.PV, START, START)
        (item,) = tables.query(Table.FORECAST_DATA, issued.pk, **prefix(issued.sk.partition("#")[0]))
        return str(item.body["method"])

    assert "switched off" not in method()
    assert command("cloud", "features", "--off", "weather", *where)["off"] == ["weather"]
    await_true(lambda: "no weather: switched off" in method(), why="the function does not read the switch")
    assert command("cloud", "features", "--on", "weather", *where)["off"] == []
    await_true(lambda: "switched off" not in method(), why="the function does not read the switch again")


def test_a_role_is_refused_what_it_is_not_granted(aws: Emulator, stack: dict[str, Any]) -> None:
    """Without this, that every function works would say nothing about grants."""
    iam, client = aws.client("iam"), aws.client("lambda")
    role = client.get_function(FunctionName="sitewatt-events")["Configuration"]["Role"].rpartition("/")[2]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    held = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
    event = EventMessage(site="farm", epoch=1, seq=1, sent_at=START, at=START, phrase="link up")
    told = batch(Up.EVENTS, event, at=START)
    for name in names:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    try:
        payload = json.dumps(told).encode()
        answer = client.invoke(FunctionName="sitewatt-events:live", Payload=payload)
        assert "FunctionError" in answer, answer["Payload"].read()
    finally:
        for name, document in held.items():
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    assert call(aws, "events", told) == {"batchItemFailures": []}


def test_new_code_is_a_new_version_that_is_called(
    aws: Emulator, stack: dict[str, Any], bundles: Path, tmp_path: Path
) -> None:
    """The alias moves with the code: a deployment that changed nothing but the bundle went nowhere."""
    for bundle in Bundle:
        name = f"sitewatt-{bundle}-amd64.zip"
        (tmp_path / name).write_bytes((bundles / name).read_bytes())
    with zipfile.ZipFile(tmp_path / "sitewatt-core-amd64.zip", "a") as archive:
        archive.writestr("another_content.txt", "")
    command("cloud", "deploy", "--bundles", str(tmp_path), "--arch", "amd64", "--endpoint", aws.endpoint)
    told = status_beside_alarms(aws)
    core = {each.name for each in FUNCTIONS if each.bundle is Bundle.CORE}
    assert {each["name"] for each in told["functions"] if each["version"] == "2"} == core
    assert call(aws, "provisioning-hook", {}) == {"allowProvisioning": False}


def event_of(function: FunctionDefinition) -> Any:
    """Return an event of the documented shape that a function is called with.

    Source: AWS Lambda developer guide, "Using Lambda with Kinesis"; EventBridge Scheduler user guide, context
    attributes; IoT Core developer guide, "Pre-provisioning hooks"; API Gateway developer guide, payload format 2.0.
    """
    channels = {consumer.handler: Up(consumer.stream.value) for consumer in CONSUMERS}
    told: dict[Up, Message | bytes] = {
        Up.STATUS: StatusMessage(site="farm", online=True, at=START),
        Up.TELEMETRY: telemetry_of("farm", 1, START, {"meter/active_power_w": [1.0]}),
        Up.EVENTS: EventMessage(site="farm", epoch=1, seq=1, sent_at=START, at=START, phrase="link up"),
    }
    if channel := channels.get(function.handler):
        return batch(channel, told.get(channel, b'{"site": "farm"}'), at=START)
    if function.name.endswith("-tick"):
        at = START.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"time": at, "zone": ZONE, **({"feeder": FEEDER} if function.name == "grid-tick" else {})}
    if function in ASKED:
        path = f"/{function.name}"
        claims = {"sub": "someone", "sitewatt_role": "operator", "sitewatt_zones": ZONE}
        return {
            "version": "2.0", "routeKey": f"GET {path}", "rawPath": path, "rawQueryString": "",
            "headers": {"host": "api.example.org"}, "isBase64Encoded": False,
            "requestContext": {
                "accountId": "111122223333", "apiId": "api", "domainName": "api.example.org", "stage": "$default",
                "requestId": "id", "routeKey": f"GET {path}", "timeEpoch": 1_773_000_000_000,
                "authorizer": {"jwt": {"claims": claims, "scopes": None}},
                "http": {
                    "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test",
                },
            },
        }  # fmt: skip
    return {
        "claimCertificateId": "c" * 64, "certificateId": "d" * 64, "certificatePem": "-----BEGIN CERTIFICATE-----",
        "templateArn": "arn:aws:iot:eu-central-1:111122223333:provisioningtemplate/sitewatt", "clientId": "claim-1",
        "parameters": {"SerialNumber": "0001"},
    }  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(function.name))
def test_a_function_is_invoked_from_its_bundle_alone_by_the_runtimes_client(
    aws: Emulator, stack: dict[str, Any], unpacked: Path, function: FunctionDefinition, tmp_path: Path
) -> None:
    """AWS's own client, the runtime's Python, no library of this machine; how long a cold start takes is printed."""
    environ = {
        **ROOT_USER,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "SITEWATT_STORE": "dynamodb",
        "SITEWATT_TABLE_PREFIX": "sitewatt-",
        "SITEWATT_LAKE_BUCKET": stack["outputs"]["LakeBucket"],
        "SITEWATT_SIGNING": "none",
    }
    bundle, log = unpacked / function.bundle, tmp_path / "function.log"
    with invoked(bundle, function.entry, client=tmp_path / "client", environ=environ, log=log) as process:
        first, next_one = process.call(event_of(function)), process.call(event_of(function))
    assert (first.error, next_one.error) == (None, None), log.read_text()[-3000:]
    if function in ASKED:
        assert first.answer["statusCode"] == 200 and json.loads(first.answer["body"])["items"]
    elif function.name == "provisioning-hook":
        assert first.answer == {"allowProvisioning": False}
    elif function.name.endswith("-tick"):
        assert first.answer is None
    else:
        assert first.answer == next_one.answer == {"batchItemFailures": []}
    took = f"init {process.init_s:.2f} s, first answer {first.took_s:.2f} s, the next {next_one.took_s:.3f} s"
    print(f"\n{function.name} ({function.bundle}): {took}")


def test_a_site_is_handed_out_and_taken_away(aws: Emulator, tables: Tables, tmp_path: Path) -> None:
    """The books keep their sums, and its name is in none of the tables."""
    before = ledger(tables, [ZONE])
    where = ("--endpoint", aws.endpoint)
    out = command("cloud", "export", "--site", "home-1", "--out", str(tmp_path / "home-1.zip"), *where)
    assert out["records"] > 5
    refused = command("cloud", "erase", "--site", "home-1", "--yes", *where, expect=2)
    assert "registry" in refused["error"]["message"]
    raw = registry_data()
    raw["sites"] = [one for one in raw["sites"] if one["id"] != "home-1"]
    (tmp_path / "zones.yaml").write_text(yaml.safe_dump({"registry": raw}))
    command("cloud", "register", "--registry", str(tmp_path / "zones.yaml"), *where)
    done = command("cloud", "erase", "--site", "home-1", "--yes", *where)
    assert done["removed"] > 3 and done["stand_in"].startswith("gone-")
    assert ledger(tables, [ZONE]) == before
    assert not [put for table in Table for put in tables.walk(table) if "home-1" in str(put)]


def test_an_end_leaves_nothing(aws: Emulator, stack: dict[str, Any]) -> None:
    """Without --with-data what is worth money stays, and is named; with it nothing does."""
    refused = command("cloud", "destroy", "--endpoint", aws.endpoint, expect=2)
    assert refused["error"]["code"] == "not_confirmed"
    kept = command("cloud", "destroy", "--yes", "--with-data", "--endpoint", aws.endpoint)["kept"]
    assert kept == []
    assert aws.client("dynamodb").list_tables()["TableNames"] == []
    assert aws.client("lambda").list_functions()["Functions"] == []
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert aws.client("scheduler").list_schedules()["Schedules"] == []
    assert command("cloud", "status", "--endpoint", aws.endpoint, expect=2)["error"]["code"] == "no_stack"


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    """And for the processor of the stack: every library of it is judged when it is built."""
    made = [
        command("cloud", "bundle", "--only", "core", "--out", str(tmp_path / name))["bundles"] for name in ("a", "b")
    ]
    assert made[0] == made[1]
