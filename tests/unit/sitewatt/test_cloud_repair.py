"""What was set aside can be looked at, repaired and delivered again by a person."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.infra.rules import CONSUMERS, Stream
from cloud.local.opening import IN_FILES
from cloud.local.sqlite_streams import SHARDS, StreamLog
from cloud.local.streams import NewRecord, shard_of
from sitewatt.commands import cloud_repair
from sitewatt.commands.cloud import app

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
METER = next(consumer for consumer in CONSUMERS if consumer.stream is Stream.METER)


@pytest.fixture
def streams(tmp_path: Path) -> StreamLog:
    """Return streams with one record of poison, set aside with an error that a device has worded."""
    log = StreamLog.open(tmp_path / "streams.db")
    log.append([NewRecord(stream=Stream.METER, partition_key="east", arrived_at=NOW, data=b'{"n":"\\u001b[2J"}')])
    shard = shard_of("east", SHARDS)
    (record,) = log.read(METER, shard)
    log.set_aside(METER, record, error="ValueError: \x1b[31mred")
    log.passed(METER, shard, record.seq)
    return log


def test_set_aside_record_is_listed_shown_repaired_replayed_and_dropped(
    streams: StreamLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until now a record that was set aside could be counted and nothing else."""

    class Settings:
        folder, servers, streams = tmp_path, IN_FILES, None
        streams_path = tmp_path / "streams.db"

    monkeypatch.setattr(cloud_repair, "_settings", lambda *_args, **_named: Settings)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["set-aside", *arguments, "--config", "cloud.yaml"])
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output
        return result.output

    (one,) = json.loads(run("list", "--json"))["set_aside"]
    assert one["id"].startswith("meter:")
    assert one["id"] in run("list")
    assert "n" in json.loads(run("show", one["id"]))
    mended = tmp_path / "mended.json"
    mended.write_text('{"n": 1}')
    run("replay", one["id"], "--data", str(mended))
    assert json.loads(run("list", "--json"))["set_aside"] == []
    ((stream, shard),) = streams.take_replays(NOW)
    assert stream is Stream.METER
    assert [record.data for record in streams.read(METER, shard)] == [b'{"n": 1}']
    assert streams.take_replays(NOW) == set()
    streams.set_aside(METER, streams.read(METER, shard)[0], error="again")
    (again,) = json.loads(run("list", "--json"))["set_aside"]
    run("drop", again["id"])
    assert streams.all_set_aside() == []
    streams.close()
