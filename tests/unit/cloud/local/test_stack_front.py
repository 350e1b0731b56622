"""What stands before a stack in an emulator carries as AWS does, and loses nothing that is refused."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiomqtt
import pytest

from cloud.errors import StoreError
from cloud.infra.deployment.account import Account
from cloud.local.stack_front import front
from cloud.local.stack_front.front import Rules, StackFunctions, signed_path
from contracts.clock import scaled_clock
from contracts.topics import Up, site_topic
from contracts.units import epoch_ms
from tests.support.cloud.aws import REGION, aws

NOW = datetime(2026, 12, 8, 11, 0, tzinfo=UTC)
ACCOUNT = Account(stack="sitewatt", region=REGION)


def _message(site: str, channel: Up, payload: bytes) -> aiomqtt.Message:
    topic = site_topic(zone="zone-1", site=site, channel=channel)
    return aiomqtt.Message(topic, payload, qos=1, retain=False, mid=1, properties=None)


def _records(client: Any, stream: str) -> list[dict[str, Any]]:
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    asked = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    records: list[dict[str, Any]] = client.get_records(
        ShardIterator=client.get_shard_iterator(**asked)["ShardIterator"]
    )["Records"]
    return records


async def test_a_message_lies_in_the_stream_of_its_rule_with_what_the_rule_says_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the rule's own partition key; what is no JSON is left out, and what is refused is put again."""
    monkeypatch.setattr(front, "PUT_AGAIN_S_MIN", 0.0)
    with aws():
        client = ACCOUNT.client("kinesis")
        for carrier in ("telemetry", "messages"):
            client.create_stream(StreamName=f"sitewatt-{carrier}", ShardCount=1)
        rules = Rules(ACCOUNT, clock=scaled_clock(started_at=NOW, speed=0.001))
        put, refusals = rules._client.put_records, [1]

        def refusing(**asked: Any) -> Any:
            if refusals.pop() if refusals else 0:
                first = put(StreamName=asked["StreamName"], Records=asked["Records"][:1])["Records"]
                return {"Records": [*first, *({"ErrorCode": "slow down"} for _ in asked["Records"][1:])]}
            return put(**asked)

        monkeypatch.setattr(rules._client, "put_records", refusing)
        messages = [
            _message("home-1", Up.ORDERS, b'{"n": 1, "topic_at": 5}'),
            _message("home-1", Up.ORDERS, b"no JSON"),
            _message("home-2", Up.EVENTS, b'{"n": 2}'),
            _message("home-2", Up.TELEMETRY, b'{"n": 3}'),
        ]
        assert await rules.take(messages) == []
        told = [(one["PartitionKey"], json.loads(one["Data"])) for one in _records(client, "sitewatt-messages")]
        assert [(key, said["n"], said["topic_channel"]) for key, said in told] == [
            ("zone-1", 1, "orders"),
            ("home-2", 2, "events"),
        ]
        assert abs(told[0][1]["topic_at"] - epoch_ms(NOW)) < 60_000
        assert [one["PartitionKey"] for one in _records(client, "sitewatt-telemetry")] == ["home-2"]


def test_the_session_with_the_device_gateway_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where grants count, an emulator refuses one that is not, as AWS does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    parts = urlsplit(signed_path("data-ats.iot.eu-central-1.127.0.0.1:4566", region=REGION))
    asked = parse_qs(parts.query)
    assert parts.path == "/mqtt" and asked["X-Amz-SignedHeaders"] == ["host"]
    assert asked["X-Amz-Credential"][0].startswith("somebody/")
    assert asked["X-Amz-Credential"][0].endswith(f"/{REGION}/iotdevicegateway/aws4_request")


async def test_a_schedule_calls_the_alias_and_hears_that_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next tick tries again."""
    with aws():
        functions = StackFunctions(ACCOUNT)
    called: list[str] = []

    class Answer:
        def read(self) -> bytes:
            return b'"done"'

    def invoke(**asked: Any) -> dict[str, Any]:
        called.append(asked["FunctionName"])
        return {"Payload": Answer(), **({"FunctionError": "Unhandled"} if len(called) > 1 else {})}

    monkeypatch.setattr(functions._client, "invoke", invoke)
    assert await functions.call("cloud.handlers.market_tick", {}) == "done"
    with pytest.raises(StoreError, match="failed"):
        await functions.call("cloud.handlers.grid_tick", {})
    assert called == ["sitewatt-market-tick:live", "sitewatt-grid-tick:live"]
