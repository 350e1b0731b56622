"""One set of promises, held by every implementation of the streams."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from cloud.errors import SetupError, StoreError
from cloud.infra.rules import Consumer, Stream, consumers_of
from cloud.local.kinesis_streams import KinesisAddress, KinesisStreams
from cloud.local.lifetime import ended
from cloud.local.nats_connection import NatsAddress, guarded
from cloud.local.nats_streams import NatsStreams
from cloud.local.sqlite_streams import SqliteStreams
from cloud.local.streams import Grown, NewRecord, Streams, shard_of
from tests.support.cloud.aws import aws
from tests.support.cloud.servers import NatsServer, nats_cluster, nats_server

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
ORDERS = consumers_of(Stream.ORDERS)[0]
SAFETY_S = 60.0

T = TypeVar("T")
Open = Callable[[], Awaitable[Streams]]


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A NATS server with JetStream."""
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def account() -> Iterator[None]:
    """An account of AWS that answers in this process."""
    with aws():
        yield


@pytest.fixture(params=["sqlite", "nats", "kinesis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return what opens the same, at first empty, streams again and again, of each implementation."""
    if request.param == "kinesis":
        request.getfixturevalue("account")
        name = f"test-{uuid4().hex}"
        return lambda: KinesisStreams.open(f"kinesis://{name}?region=eu-central-1&shards=3")
    if request.param == "nats":
        url = f"{request.getfixturevalue('nats').url}/test-{uuid4().hex}?shards=3"
        return lambda: NatsStreams.open(url)

    async def open_file() -> Streams:
        return SqliteStreams.open(tmp_path / "streams.db")

    return open_file


@pytest.fixture
async def streams(opened: Open) -> AsyncIterator[Streams]:
    """Empty streams."""
    async with _open(opened) as found:
        yield found


@asynccontextmanager
async def _open(opened: Open) -> AsyncIterator[Streams]:
    found = await opened()
    try:
        yield found
    finally:
        await found.close()


def _record(
    key: str, number: int, *, stream: Stream = Stream.ORDERS, at: datetime = NOW, message_id: str | None = None
) -> NewRecord:
    data = b'{"topic_site": "%s", "n": %d}' % (key.encode(), number)
    return NewRecord(stream=stream, partition_key=key, arrived_at=at, data=data, message_id=message_id)


async def _read(streams: Streams, consumer: Consumer = ORDERS) -> list[tuple[str, bytes]]:
    return [
        (record.partition_key, record.data)
        for shard in range(streams.shards)
        for record in await streams.read(consumer, shard)
    ]


async def test_records_of_a_key_keep_their_order_and_lie_in_its_shard(streams: Streams) -> None:
    """Time priority in the market is the order of the stream."""
    grown = await streams.append([_record("zone-1", number) for number in range(50)])
    shard = shard_of("zone-1", streams.shards)
    assert grown == {(Stream.ORDERS, shard)}
    found = await streams.read(ORDERS, shard)
    assert [record.data for record in found] == [_record("zone-1", number).data for number in range(50)]
    if not isinstance(streams, KinesisStreams):  # Which stamps what comes by its own clock.
        assert {record.arrived_at for record in found} == {NOW}
    assert [one for one in await _read(streams) if one[0] != "zone-1"] == []


async def test_a_key_may_be_any_text(streams: Streams) -> None:
    """What comes from a broker's topic need not be what a header or a subject holds."""
    for key in ("ä zone", 'quote" \\ \n', "a.b.*.>"):
        await streams.append([NewRecord(stream=Stream.ORDERS, partition_key=key, arrived_at=NOW, data=b"\x00\xff\r\n")])
    assert sorted(key for key, _ in await _read(streams)) == sorted(("ä zone", 'quote" \\ \n', "a.b.*.>"))
    assert {data for _, data in await _read(streams)} == {b"\x00\xff\r\n"}


async def test_numbers_rise_in_a_shard_and_are_used_once_among_all(streams: Streams) -> None:
    """A checkpoint is a number, and files of the lake are named by numbers."""
    keys = [f"site-{number}" for number in range(20)]
    await streams.append([_record(key, 1) for key in keys])
    await streams.append([_record(key, 2, at=NOW - timedelta(hours=1)) for key in keys])
    found = [[record.seq for record in await streams.read(ORDERS, shard)] for shard in range(streams.shards)]
    assert sum(map(len, found)) == len({seq for shard in found for seq in shard}) == 40
    assert all(shard == sorted(shard) for shard in found)


async def test_a_batch_is_bounded_and_stays_until_it_is_passed(streams: Streams) -> None:
    """A backlog of a day must not become one call, and a failed call must not lose it."""
    await streams.append([_record("zone-1", number) for number in range(250)])
    first = await _read(streams)
    assert len(first) == ORDERS.records_max
    assert await _read(streams) == first


async def test_a_checkpoint_outlives_the_process_and_never_goes_back(opened: Open) -> None:
    """A restarted process goes on where the last one stopped; one that was overtaken changes nothing."""
    shard = 0
    async with _open(opened) as streams:
        await streams.append([_record("zone-1", number) for number in range(3)])
        shard = shard_of("zone-1", streams.shards)
        numbers = [record.seq for record in await streams.read(ORDERS, shard)]
        await streams.passed(ORDERS, shard, numbers[1])
    async with _open(opened) as streams:
        assert [record.seq for record in await streams.read(ORDERS, shard)] == numbers[2:]
        await streams.passed(ORDERS, shard, numbers[0])
        assert [record.seq for record in await streams.read(ORDERS, shard)] == numbers[2:]


async def test_a_record_is_kept_until_every_function_has_passed_it(streams: Streams) -> None:
    """The lake reads minutes behind the tables."""
    fast, *slow = consumers_of(Stream.TELEMETRY)
    await streams.append([_record("site", number, stream=Stream.TELEMETRY) for number in (1, 2)])
    shard = shard_of("site", streams.shards)
    first, second = await streams.read(fast, shard)
    await streams.passed(fast, shard, second.seq)
    assert await streams.trim() == 0
    for consumer in slow:
        await streams.passed(consumer, shard, first.seq)
    # Kinesis forgets a day after a record came; what everyone has passed no longer waits all the same.
    assert await streams.trim() == (0 if isinstance(streams, KinesisStreams) else 1)
    assert (await streams.counters())["waiting"] == 1
    assert [record.seq for record in await streams.read(slow[0], shard)] == [second.seq]
    assert len(await streams.not_passed(slow[0])) == 1
    assert await streams.not_passed(fast) == []


async def test_what_was_set_aside_is_replayed_or_dropped(streams: Streams) -> None:
    """One record must not stop a zone for ever, nor vanish without a trace."""
    await streams.append([_record("zone-1", number) for number in (1, 2)])
    shard = shard_of("zone-1", streams.shards)
    for record in await streams.read(ORDERS, shard):
        await streams.set_aside(ORDERS, record, error="ValueError: no")
        await streams.passed(ORDERS, shard, record.seq)
    first, second = await streams.all_set_aside()
    assert (first.handler, first.error, first.record.partition_key) == (ORDERS.handler, "ValueError: no", "zone-1")
    assert first.id == f"orders:{first.record.seq}"
    assert (await streams.counters())["set_aside"] == 2
    await streams.drop(second)
    await streams.ask_replay(first, b"mended")
    assert await streams.all_set_aside() == []
    assert await streams.take_replays(NOW) == {(Stream.ORDERS, shard)}
    assert await streams.take_replays(NOW) == set()
    assert await _read(streams) == [("zone-1", b"mended")]


async def test_counters_add_up(streams: Streams) -> None:
    """What was refused outside the streams is told by the report."""
    assert await streams.counters() == {"set_aside": 0, "waiting": 0}
    await streams.count("not_forwarded")
    await streams.count("not_forwarded", 4)
    assert (await streams.counters())["not_forwarded"] == 5


async def test_a_site_is_forgotten_and_the_others_stay(streams: Streams) -> None:
    """A person who leaves takes what nobody has taken yet."""
    await streams.append([_record(key, number) for number in (1, 2) for key in ("leaves", "stays")])
    shard = shard_of("leaves", streams.shards)
    record = next(one for one in await streams.read(ORDERS, shard) if one.partition_key == "leaves")
    await streams.set_aside(ORDERS, record, error="no")
    assert await streams.forget("leaves") == 3
    assert await streams.forget("leaves") == 0
    assert {key for key, _ in await _read(streams)} == {"stays"}
    assert await streams.all_set_aside() == []


async def test_every_record_is_read_once_in_whatever_batches_it_came(streams: Streams) -> None:
    """Each key's records come out as they went in, with appends between the reads."""
    sent: dict[str, list[bytes]] = {}
    read: dict[str, list[bytes]] = {}
    for step in range(12):
        batch = [_record(f"key-{(step * 7 + more) % 5}", step * 100 + more) for more in range(1 + step % 4)]
        await streams.append(batch)
        for record in batch:
            sent.setdefault(record.partition_key, []).append(record.data)
        for shard in range(streams.shards):
            for found in await streams.read(ORDERS, shard):
                read.setdefault(found.partition_key, []).append(found.data)
                await streams.passed(ORDERS, shard, found.seq)
    assert read == sent


async def _nats(server: NatsServer, more: str = "") -> NatsStreams:
    return await NatsStreams.open(f"{server.url}/test-{uuid4().hex}{more}")


async def test_a_message_that_comes_twice_is_kept_once_by_nats(nats: NatsServer) -> None:
    """A broker delivers again what a process that died had appended already."""
    streams = await _nats(nats)
    twice = [_record("zone-1", number, message_id=f"farm:orders:1:{number}") for number in (1, 2)]
    await streams.append(twice)
    await streams.append([*twice, _record("zone-1", 3, message_id="farm:orders:1:3"), _record("zone-1", 4)])
    assert [data for _, data in await _read(streams)] == [_record("zone-1", number).data for number in (1, 2, 3, 4)]
    await streams.close()


async def test_another_process_is_told_of_what_has_grown_in_nats(nats: NatsServer) -> None:
    """Who appends is seldom who reads."""
    url = f"{nats.url}/test-{uuid4().hex}?shards=4"
    reader, writer = await NatsStreams.open(url), await NatsStreams.open(url)
    heard: asyncio.Queue[Grown] = asyncio.Queue()
    task = asyncio.create_task(reader.follow(heard.put_nowait))
    async with asyncio.timeout(SAFETY_S):
        while heard.empty():  # The subscription may not stand at the first.
            await writer.append([_record("zone-1", 1)])
            await asyncio.sleep(0.01)
        assert await heard.get() == (Stream.ORDERS, shard_of("zone-1", 4))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await reader.close()
    await writer.close()


async def test_what_nats_answered_survives_its_kill_and_the_connection_comes_back(tmp_path: Path) -> None:
    """A site is told that its message is stored once the server has said so."""
    with nats_server(tmp_path) as server:
        streams = await NatsStreams.open(f"{server.url}/sw?shards=2")
        await streams.append([_record("zone-1", number) for number in range(20)])
        server.kill()
        async with asyncio.timeout(SAFETY_S):
            while streams.connected:  # noqa: ASYNC110 - the client tells nobody.
                await asyncio.sleep(0.01)
        with pytest.raises(StoreError, match="streams"):
            await streams.read(ORDERS, shard_of("zone-1", 2))
        server.start()
        async with asyncio.timeout(SAFETY_S):
            while True:
                try:
                    found = await _read(streams)
                    break
                except StoreError:
                    await asyncio.sleep(0.05)
        assert len(found) == 20
        await streams.close()


@pytest.mark.parametrize("ends", ["answered", "failed"])
async def test_a_stop_that_the_client_swallows_still_stops(ends: str) -> None:
    """Work of a part went on for ever after a server was lost, and its process took no part any more."""
    begun = asyncio.Event()

    async def call() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ends == "failed":
                raise TimeoutError from None

    async def work() -> None:
        while True:
            with contextlib.suppress(StoreError):
                await guarded(call())

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work())

    task = asyncio.create_task(group())
    await begun.wait()
    async with asyncio.timeout(SAFETY_S):
        await ended(task)
    assert task.cancelled()


async def test_another_number_of_shards_is_refused(nats: NatsServer) -> None:
    """The records of a key would be in two places, and two processes would read them."""
    url = f"{nats.url}/test-{uuid4().hex}"
    first = await NatsStreams.open(f"{url}?shards=3")
    await first.close()
    with pytest.raises(SetupError, match="have 3 shards, not 4"):
        await NatsStreams.open(f"{url}?shards=4")
    again = await NatsStreams.open(url)
    assert again.shards == 3
    await again.close()


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://127.0.0.1:4222", "must be nats://"),
        ("nats:///x", "must be nats://"),
        ("nats://user:secret@127.0.0.1/x", "holds a password"),
        ("nats://127.0.0.1/a.b", "name is 'a.b'"),
        ("nats://127.0.0.1/x?shards=0", "must be 1 to 256"),
        ("nats://127.0.0.1/x?shard=4", "knows no 'shard'"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secret(url: str, match: str) -> None:
    """A mistyped key must not run a cloud on other streams than those that were meant."""
    with pytest.raises(SetupError, match=match) as refused:
        NatsAddress.parse(url)
    assert "secret" not in str(refused.value)


@pytest.mark.nightly
async def test_any_one_of_three_servers_may_die_while_records_come(tmp_path: Path) -> None:
    """Three machines: what was answered is on two others, and the streams go on when their leader is gone."""
    with nats_cluster(tmp_path) as nodes:
        hosts = ",".join(node.url.removeprefix("nats://") for node in nodes)
        streams = await _patient(lambda: NatsStreams.open(f"nats://{hosts}/sw?shards=2&replicas=3"))
        sent: list[bytes] = []
        for victim in nodes:
            for part in range(10):
                batch = [_record("zone-1", len(sent) + more, message_id=str(len(sent) + more)) for more in range(5)]
                if part == 5:
                    victim.kill()
                await _patient(lambda batch=batch: streams.append(batch))  # type: ignore[misc]
                sent += [record.data for record in batch]
            victim.start()
        read: list[bytes] = []
        shard = shard_of("zone-1", 2)
        while len(read) < len(sent):
            for record in await _patient(lambda: streams.read(ORDERS, shard)):
                read.append(record.data)
                await _patient(lambda seq=record.seq: streams.passed(ORDERS, shard, seq))  # type: ignore[misc]
        assert sorted(read) == sorted(sent) and len(set(read)) == len(read)
        await streams.close()


async def _patient(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call again until the servers have agreed on a leader."""
    async with asyncio.timeout(120.0):
        while True:
            try:
                return await call()
            except StoreError:
                await asyncio.sleep(0.2)


async def test_what_a_rule_put_into_a_carrier_is_read_by_its_channel(account: None) -> None:
    """A rule of AWS IoT Core knows nothing of our keys; each function gets its own channel and no other's."""
    streams = await KinesisStreams.open("kinesis://rules?region=eu-central-1&shards=1")
    client = streams._client
    for number, channel in enumerate(("meter", "orders", "acks", "orders")):
        data = json.dumps({"topic_channel": channel, "topic_site": "farm", "n": number}).encode()
        client.put_record(StreamName="rules-messages", Data=data, PartitionKey="zone-1")
    client.put_record(StreamName="rules-messages", Data=b"no JSON", PartitionKey="zone-1")
    found = await streams.read(ORDERS, 0)
    assert [json.loads(record.data)["n"] for record in found] == [1, 3]
    assert {record.partition_key for record in found} == {"zone-1"}
    await streams.close()


async def test_records_that_kinesis_refused_are_appended_again_by_the_caller(
    account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that is written too fast takes some of a batch; nothing may be taken for stored that is not."""
    streams = await KinesisStreams.open("kinesis://busy?region=eu-central-1&shards=1")
    told = {"FailedRecordCount": 1, "Records": [{"ErrorCode": "ProvisionedThroughputExceededException"}, {}]}
    with monkeypatch.context() as patch:
        patch.setattr(streams._client, "put_records", lambda **_: told)
        with pytest.raises(StoreError, match="1 records refused"):
            await streams.append([_record("zone-1", 1), _record("zone-1", 2)])
    await streams.append([_record("zone-1", number) for number in range(1200)])
    assert len(await streams.not_passed(ORDERS)) == 1200
    await streams.close()


async def test_carriers_of_another_number_of_shards_are_refused(account: None) -> None:
    """The records of a key would be in two places; and streams that nobody made are not made by a typing error."""
    await (await KinesisStreams.open("kinesis://made?region=eu-central-1&shards=2")).close()
    with pytest.raises(SetupError, match="have 2 shards, not 3"):
        await KinesisStreams.open("kinesis://made?region=eu-central-1&shards=3")
    again = await KinesisStreams.open("kinesis://made?region=eu-central-1")
    assert again.shards == 2
    await again.close()
    with pytest.raises(StoreError, match="ResourceNotFound"):
        await KinesisStreams.open("kinesis://mistyped?region=eu-central-1")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("kinesis://", "must be kinesis://"),
        ("kinesis://key:secret@x", "must be kinesis://"),
        ("kinesis://x/y", "must be kinesis://"),
        ("kinesis://x?shards=0", "must be 1 to 256"),
        ("kinesis://x?shard=2", "knows no 'shard'"),
    ],
)
def test_an_address_of_kinesis_that_is_none_is_refused(url: str, match: str) -> None:
    """As for the other streams."""
    with pytest.raises(SetupError, match=match) as refused:
        KinesisAddress.parse(url)
    assert "secret" not in str(refused.value)
