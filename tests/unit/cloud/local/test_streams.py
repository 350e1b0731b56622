"""The ordered streams: nothing lost, nothing out of order, nothing kept for ever."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.errors import StoreError
from cloud.infra.rules import Consumer, Stream, consumers_of
from cloud.local.sqlite_streams import SHARDS, StreamLog
from cloud.local.streams import NewRecord, shard_of

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
ORDERS = consumers_of(Stream.ORDERS)[0]


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[StreamLog]:
    """Empty streams."""
    log = StreamLog.open(tmp_path / "streams.db")
    yield log
    log.close()


def _record(key: str, number: int, *, stream: Stream = Stream.ORDERS, at: datetime = NOW) -> NewRecord:
    return NewRecord(stream=stream, partition_key=key, arrived_at=at, data=str(number).encode())


def _read(streams: StreamLog, consumer: Consumer = ORDERS) -> list[bytes]:
    return [record.data for shard in range(SHARDS) for record in streams.read(consumer, shard)]


def test_records_of_one_key_keep_their_order(streams: StreamLog) -> None:
    """Time priority in the market is the order of the stream."""
    grown = streams.append([_record("zone-1", number) for number in range(5)])
    assert len(grown) == 1
    assert _read(streams) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_checkpoint_survives_the_process(tmp_path: Path) -> None:
    """A restarted process goes on where the last one stopped, without a gap and without a long repeat."""
    log = StreamLog.open(tmp_path / "streams.db")
    record = _record("zone-1", 1)
    log.append([record, _record("zone-1", 2)])
    first = log.read(ORDERS, shard_of(record.partition_key, SHARDS))[0]
    log.passed(ORDERS, shard_of(record.partition_key, SHARDS), first.seq)
    log.close()
    again = StreamLog.open(tmp_path / "streams.db")
    assert _read(again) == [b"2"]
    again.close()


def test_numbers_rise_even_where_the_clock_steps_back(streams: StreamLog) -> None:
    """A checkpoint is a number; one that falls would hide records."""
    streams.append([_record("a", 1, at=NOW)])
    streams.append([_record("a", 2, at=NOW - timedelta(hours=1))])
    shard = shard_of("a", SHARDS)
    numbers = [record.seq for record in streams.read(ORDERS, shard)]
    assert numbers == sorted(set(numbers))


def test_a_record_is_kept_until_every_function_has_passed_it(streams: StreamLog) -> None:
    """The lake reads minutes behind the tables."""
    fast, *slow = consumers_of(Stream.TELEMETRY)
    record = _record("site", 1, stream=Stream.TELEMETRY)
    streams.append([record])
    (read,) = streams.read(fast, shard_of(record.partition_key, SHARDS))
    streams.passed(fast, shard_of(record.partition_key, SHARDS), read.seq)
    assert streams.trim() == 0
    for consumer in slow:
        streams.passed(consumer, shard_of(record.partition_key, SHARDS), read.seq)
    assert streams.trim() == 1
    assert streams.counters()["waiting"] == 0


def test_a_batch_is_bounded(streams: StreamLog) -> None:
    """A backlog of a day must not become one call."""
    streams.append([_record("zone-1", number) for number in range(250)])
    assert len(_read(streams)) == ORDERS.records_max


def test_a_missing_file_is_not_created_by_a_reader(tmp_path: Path) -> None:
    """A report about nothing must say so."""
    with pytest.raises(StoreError, match="cannot be opened"):
        StreamLog.open(tmp_path / "none.db", read_only=True)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 7)), max_size=40))
@settings(max_examples=30, deadline=None)
def test_every_record_is_read_once_and_in_the_order_of_its_key(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int]]
) -> None:
    """Whatever comes in whatever batches, each key's records come out as they went in."""
    log = StreamLog.open(tmp_path_factory.mktemp("streams") / "streams.db")
    sent: dict[str, list[bytes]] = {}
    read: dict[str, list[bytes]] = {}
    number = 0
    for key, count in drawn:
        batch = [_record(key, number + more) for more in range(count)]
        number += count
        log.append(batch)
        sent.setdefault(key, []).extend(record.data for record in batch)
        for shard in range(SHARDS):
            for record in log.read(ORDERS, shard):
                read.setdefault(record.partition_key, []).append(record.data)
                log.passed(ORDERS, shard, record.seq)
    assert read == sent
    log.close()


def test_whatever_fails_of_the_file_is_a_store_that_failed(streams: StreamLog) -> None:
    """Who asks waits for such a store and goes on; an error of the library below would end the cloud."""
    consumer = ORDERS
    streams.close()
    asked: list[Callable[[], object]] = [
        lambda: streams.append([_record("home-1", 1)]),
        lambda: streams.read(consumer, 0),
        lambda: streams.passed(consumer, 0, 1),
        streams.all_set_aside,
        lambda: streams.take_replays(NOW),
        streams.trim,
        lambda: streams.count("not_forwarded"),
        streams.counters,
        lambda: streams.not_passed(consumer),
        lambda: streams.forget("home-1"),
    ]
    for ask in asked:
        with pytest.raises(StoreError, match="streams cannot be"):
            ask()
