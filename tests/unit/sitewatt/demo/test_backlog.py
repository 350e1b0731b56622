"""Messages that wait in a stream are known by sender, epoch and number, each once."""

import json
from datetime import UTC, datetime
from pathlib import Path

from cloud.infra.rules import CONSUMERS, Stream
from cloud.local.sqlite_streams import SHARDS, StreamLog
from cloud.local.streams import NewRecord, shard_of
from contracts.topics import Up
from sitewatt.demo.backlog import waiting_messages

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _record(seq: int) -> NewRecord:
    data = json.dumps({"topic_site": "home-1", "epoch": 7, "seq": seq}).encode()
    return NewRecord(stream=Stream.ACKS, partition_key="home-1", arrived_at=NOON, data=data)


def test_what_the_counting_function_has_not_passed_waits_and_a_repeat_waits_once(tmp_path: Path) -> None:
    """What was passed is stored; what is in the stream twice is one message."""
    (consumer,) = [one for one in CONSUMERS if one.handler == "cloud.handlers.acks"]
    log = StreamLog.open(tmp_path / "streams.db")
    log.append([_record(1), _record(2), _record(3), _record(3)])
    first = log.read(consumer, shard_of("home-1", SHARDS))[0]
    log.passed(consumer, shard_of("home-1", SHARDS), first.seq)
    log.append([NewRecord(stream=Stream.ACKS, partition_key="home-1", arrived_at=NOON, data=b"not JSON")])
    log.close()
    found = waiting_messages(tmp_path)
    assert found[Up.ACKS] == {("home-1", 7, 2), ("home-1", 7, 3)}
    assert found[Up.METER] == set()


def test_a_cloud_that_never_ran_has_nothing_waiting(tmp_path: Path) -> None:
    """There is no file then, and none is made."""
    assert waiting_messages(tmp_path)[Up.TELEMETRY] == set()
    assert not (tmp_path / "streams.db").exists()
