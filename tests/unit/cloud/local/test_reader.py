"""How a shard is read: partial failures, repeats, and what is set aside."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cloud.errors import CloudError, ConditionFailed, JournalStuck, PublishError, StoreError, Unstorable
from cloud.infra.rules import CONSUMERS, Consumer, Stream
from cloud.local import reader as reader_module
from cloud.local.functions import Functions
from cloud.local.metrics import Counts
from cloud.local.reader import ShardReader
from cloud.local.sqlite_streams import SHARDS, SqliteStreams, StreamLog
from cloud.local.streams import NewRecord, shard_of
from contracts.clock import SystemClock
from tests.support.cloud.process import eventually

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
KEY = "zone-1"
MODULE = "sitewatt_test_function"

Handler = Callable[[dict[str, Any], Any], Any]


class _Stage:
    """A stream, a reader over it, and the records that its function was given, call by call."""

    def __init__(self, streams: StreamLog, reader: ShardReader, consumer: Consumer) -> None:
        self.streams = streams
        self.reader = reader
        self.consumer = consumer
        self.calls: list[list[str]] = []
        self.shard = shard_of(KEY, SHARDS)

    def _record(self, text: str) -> NewRecord:
        return NewRecord(stream=Stream.ORDERS, partition_key=KEY, arrived_at=NOW, data=text.encode())

    def append(self, *texts: str) -> None:
        """Let records arrive."""
        self.streams.append([self._record(text) for text in texts])
        self.reader.wake()

    async def until_read(self) -> None:
        """Wait until nothing is left in the shard."""
        await eventually(lambda: not self.streams.read(self.consumer, self.shard))


@asynccontextmanager
async def _stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[list[str], list[str]], Any], *, attempts: int = 3
) -> AsyncIterator[_Stage]:
    """Run a reader whose function answers from the texts and sequence numbers that it is given."""
    monkeypatch.setattr(reader_module, "RETRY_S_MIN", 0.001)
    monkeypatch.setattr(reader_module, "RETRY_S_MAX", 0.002)
    consumer = Consumer(stream=Stream.ORDERS, handler=MODULE, attempts_max=attempts)
    streams = StreamLog.open(tmp_path / "streams.db")
    functions = Functions(Counts())
    reader = ShardReader(
        consumer=consumer,
        shard=shard_of(KEY, SHARDS),
        streams=SqliteStreams(streams),
        functions=functions,
        clock=SystemClock(),
    )
    stage = _Stage(streams, reader, consumer)
    module = ModuleType(MODULE)

    def handler(event: dict[str, Any], _context: Any) -> Any:
        from base64 import b64decode

        texts = [b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
        stage.calls.append(texts)
        return answer(texts, [record["kinesis"]["sequenceNumber"] for record in event["Records"]])

    module.handler = handler  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    functions.load(MODULE)
    task = asyncio.create_task(reader.run(), name="reader")
    try:
        yield stage
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        functions.close()
        streams.close()


async def test_a_named_failure_is_delivered_again_with_all_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is what Kinesis does, and why every function must bear repeats."""
    failed: list[str] = []

    def answer(texts: list[str], numbers: list[str]) -> Any:
        if "b" in texts and not failed:
            failed.append("b")
            return {"batchItemFailures": [{"itemIdentifier": numbers[texts.index("b")]}]}
        return {"batchItemFailures": []}

    async with _stage(tmp_path, monkeypatch, answer) as stage:
        stage.append("a", "b", "c")
        await stage.until_read()
        assert stage.calls == [["a", "b", "c"], ["b", "c"]]
        assert stage.streams.counters()["set_aside"] == 0


async def test_a_record_that_always_fails_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record must not stop a zone for ever, nor vanish without a trace."""

    def answer(texts: list[str], numbers: list[str]) -> Any:
        failures = [number for text, number in zip(texts, numbers, strict=True) if text == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in failures]}

    async with _stage(tmp_path, monkeypatch, answer) as stage:
        stage.append("a", "bad", "c")
        await stage.until_read()
        assert stage.calls[0] == ["a", "bad", "c"]
        assert stage.calls[-1] == ["c"]
        assert sum("bad" in call for call in stage.calls) == 3
        assert stage.streams.counters()["set_aside"] == 1


async def test_a_batch_that_raises_is_halved_and_delivered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error says nothing about which records were taken, nor which of them is at fault."""
    raised: list[int] = []

    def answer(_texts: list[str], _numbers: list[str]) -> Any:
        if len(raised) < 2:
            raised.append(1)
            raise RuntimeError("store away")
        return {"batchItemFailures": []}

    async with _stage(tmp_path, monkeypatch, answer, attempts=5) as stage:
        stage.append("a", "b")
        await stage.until_read()
        assert stage.calls == [["a", "b"], ["a"], ["a"], ["b"]]


async def test_records_that_come_during_a_call_make_the_next_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load calls grow instead of becoming more."""

    def answer(_texts: list[str], _numbers: list[str]) -> Any:
        return {"batchItemFailures": []}

    async with _stage(tmp_path, monkeypatch, answer) as stage:
        stage.append("a")
        stage.append("b")
        stage.append("c")
        await stage.until_read()
        assert [text for call in stage.calls for text in call] == ["a", "b", "c"]
        assert len(stage.calls) <= 2


@pytest.mark.parametrize("poison", range(6))
async def test_poison_alone_is_set_aside_where_the_function_only_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: int
) -> None:
    """Four innocent readings went with the poison of a batch that could only raise."""

    def answer(texts: list[str], _numbers: list[str]) -> Any:
        if str(poison) in texts:
            raise RecursionError("decimal.Rounded, or whatever")
        return {"batchItemFailures": []}

    async with _stage(tmp_path, monkeypatch, answer) as stage:
        stage.append(*"012345")
        await stage.until_read()
        assert [one.record.data.decode() for one in stage.streams.all_set_aside()] == [str(poison)]
        taken = [text for call in stage.calls if str(poison) not in call for text in call]
        assert sorted(taken) == sorted(set("012345") - {str(poison)})


async def test_what_is_not_the_records_fault_sets_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the broker is away or a journal waits for a person, every record would fail."""
    kinds: list[CloudError] = [
        PublishError("away"),
        JournalStuck("entry 7"),
        StoreError("full"),
        ConditionFailed("late"),
    ]
    failures = iter([error for error in kinds for _ in range(9)])

    def answer(_texts: list[str], _numbers: list[str]) -> Any:
        if (error := next(failures, None)) is not None:
            raise error
        return {"batchItemFailures": []}

    async with _stage(tmp_path, monkeypatch, answer) as stage:
        stage.append("a", "b")
        await stage.until_read()
        assert stage.calls == [["a", "b"]] * 37
        assert stage.streams.counters()["set_aside"] == 0
        assert stage.streams.counters()["set_aside"] == 0


def test_event_source_of_every_function_halves_a_batch_that_raises() -> None:
    """In AWS the same: one record must not block its shard."""
    assert all(consumer.event_source["BisectBatchOnFunctionError"] for consumer in CONSUMERS)


async def test_what_no_store_can_hold_is_set_aside_alone_after_the_store_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's absence is counted against no record; a value that it refuses for ever is its record's own."""
    away = iter([StoreError("full")] * 9)

    def answer(texts: list[str], _numbers: list[str]) -> Any:
        if (error := next(away, None)) is not None:
            raise error
        if "odd" in texts:
            raise Unstorable("tables cannot hold it")
        return {"batchItemFailures": []}

    async with _stage(tmp_path, monkeypatch, answer) as stage:
        stage.append("a", "odd", "c")
        await stage.until_read()
        assert [one.record.data.decode() for one in stage.streams.all_set_aside()] == ["odd"]
        assert sum(call == ["odd"] for call in stage.calls) == 3
