"""The ordered streams in Amazon Kinesis: the carriers that the stack on AWS makes, or others of the same form.

A record lies in the carrier of its stream, under a partition key that begins with the stream's name; what an IoT rule
put there says its channel in its data. Kinesis keeps a record for a day by itself: ``trim`` removes nothing, and
``forget`` hides what a site sent until it is gone. Checkpoints, what was set aside, replays and counters are items of
the table ``grid-metrics`` beside the carriers.

Source: Kinesis Data Streams API reference, PutRecords (up to 500 records and 5 MB, some of which may fail),
GetShardIterator, GetRecords; developer guide, "Explicit hash key".
"""

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cloud.errors import ConditionFailed, SetupError, StoreError
from cloud.infra.rules import CONSUMERS, Carrier, Consumer, Stream
from cloud.local.streams import Grown, NewRecord, SetAside, StreamRecord, shard_of, site_of
from cloud.stores.dynamodb import DynamoTables
from cloud.stores.endpoint import checked_endpoint
from cloud.stores.tables import Delete, Key, Put, Table, prefix
from contracts.units import epoch_ms, instant

log = logging.getLogger(__name__)

SCHEME: Final = "kinesis"
SHARDS_MAX: Final = 256
PUT_MAX: Final = 500
PUT_BYTES_MAX: Final = 4_500_000
READ_MAX: Final = 1000
LOOK_AGAIN_S: Final = 1.0
KEPT: Final = timedelta(days=1)  # Source: Kinesis Data Streams quotas, default retention.
HASH_KEYS: Final = 2**128
STATE: Final = "STREAMS"
_MARK: Final = "/"  # Between a stream's name and a key.

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class KinesisAddress:
    """Where the streams are: ``kinesis://NAME[?region=REGION&endpoint=URL&shards=2]``.

    ``NAME-telemetry`` and ``NAME-messages`` are the carriers and ``NAME-grid-metrics`` the table, as a stack of that
    name makes them; with ``shards`` carriers that are missing are made, and the table too. Credentials are found as
    boto3 does.
    """

    name: str
    region: str | None
    endpoint: str | None
    shards: int | None

    @classmethod
    def parse(cls, url: str) -> "KinesisAddress":
        """Read an address.

        Raises:
            SetupError: It is none; the message names the part.
        """
        parts = urlsplit(url)
        if parts.scheme != SCHEME or not parts.netloc or "@" in parts.netloc or parts.path.strip("/"):
            raise SetupError("the streams' address must be kinesis://NAME?region=REGION; nothing opened")
        options = dict(parse_qsl(parts.query))
        if unknown := sorted(set(options) - {"region", "endpoint", "shards"}):
            raise SetupError(f"the streams' address knows no {unknown[0]!r}; it takes region, endpoint and shards")
        shards = options.get("shards")
        if shards is not None and not (shards.isdecimal() and 1 <= int(shards) <= SHARDS_MAX):
            raise SetupError(f"shards of the streams is {shards!r}, must be 1 to {SHARDS_MAX}")
        return cls(
            name=parts.netloc,
            region=options.get("region"),
            endpoint=checked_endpoint(options.get("endpoint"), of="the streams"),
            shards=int(shards) if shards else None,
        )

    def carrier(self, carrier: Carrier) -> str:
        """Return the name of a carrier."""
        return f"{self.name}-{carrier}"


class KinesisStreams:
    """The streams of one name; used by one event loop, each call in a thread."""

    look_again_s: float | None = LOOK_AGAIN_S

    def __init__(
        self, client: Any, tables: DynamoTables, address: KinesisAddress, shards: dict[Carrier, tuple[str, ...]]
    ) -> None:
        self._client = client
        self._tables = tables
        self._address = address
        self._ids = shards
        self._shards = len(shards[Carrier.TELEMETRY])
        # Up to where a consumer has nothing of its own to read: others' records lie in between.
        self._nothing_before: dict[tuple[str, int], int] = {}
        self._gone: dict[str, int] | None = None  # Up to which number a site's records are hidden.

    @classmethod
    async def open(cls, url: str) -> "KinesisStreams":
        """Look at the carriers, and make them where the address says so.

        Raises:
            SetupError: The address is none, or the carriers have different numbers of shards.
            StoreError: A carrier is missing or cannot be asked.
        """
        address = KinesisAddress.parse(url)

        def opened() -> "KinesisStreams":
            quick = Config(retries={"total_max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=10)
            where: Any = {"region_name": address.region, "endpoint_url": address.endpoint, "config": quick}
            client, dynamodb = boto3.client("kinesis", **where), boto3.client("dynamodb", **where)
            if address.shards is not None:
                _make(client, dynamodb, address)
            shards = {each: _open_shards(client, address.carrier(each)) for each in Carrier}
            counts = {len(found) for found in shards.values()}
            if len(counts) != 1:
                raise SetupError(f"the carriers of {address.name} have {sorted(counts)} shards, must have as many")
            if address.shards not in (None, *counts):
                raise SetupError(f"streams {address.name} have {counts.pop()} shards, not {address.shards}")
            return cls(client, DynamoTables(dynamodb, prefix=f"{address.name}-"), address, shards)

        return await _guarded(opened)

    @property
    def shards(self) -> int:
        """Return into how many shards each stream is split."""
        return self._shards

    async def append(self, records: Sequence[NewRecord]) -> set[Grown]:
        """Append records; where some were refused, all of them are to be appended again, in their order."""
        await _guarded(lambda: self._append(records))
        return {(record.stream, shard_of(record.partition_key, self._shards)) for record in records}

    def _append(self, records: Sequence[NewRecord]) -> None:
        for carrier in Carrier:
            entries = [
                {
                    "Data": record.data,
                    "PartitionKey": f"{record.stream}{_MARK}{record.partition_key}"[:256],
                    # A key belongs where ``shard_of`` says, whatever Kinesis would make of its name.
                    "ExplicitHashKey": str(shard_of(record.partition_key, self._shards) * HASH_KEYS // self._shards),
                }
                for record in records
                if record.stream.carrier is carrier
            ]
            for batch in _batches(entries):
                told = self._client.put_records(StreamName=self._address.carrier(carrier), Records=batch)
                if told["FailedRecordCount"]:
                    codes = sorted({one["ErrorCode"] for one in told["Records"] if "ErrorCode" in one})
                    raise StoreError(f"streams: {told['FailedRecordCount']} records refused ({', '.join(codes)})")

    async def follow(self, grown: Callable[[Grown], None]) -> None:
        """Wait until cancelled: Kinesis tells nobody, readers look by themselves."""
        del grown
        await asyncio.Event().wait()

    async def read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        """Return the records that a consumer has not passed, oldest first, at most one batch."""
        return await _guarded(lambda: self._read(consumer, shard))

    def _read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        at = (consumer.handler, shard)
        after = max(self._checkpoint(*at), self._nothing_before.get(at, 0))
        found: list[StreamRecord] = []
        for stream, record in self._scan(consumer.stream.carrier, shard, after=after):
            if stream is consumer.stream and not self._forgotten(record):
                found.append(record)
                if len(found) == consumer.records_max:
                    break
            elif not found:
                self._nothing_before[at] = record.seq
        return found

    async def passed(self, consumer: Consumer, shard: int, seq: int) -> None:
        """Note that a consumer is done with all records up to one; a lower number than before changes nothing."""

        def note() -> None:
            key = _checkpoint_key(consumer.handler, shard)
            while True:
                item = self._tables.get(key)
                if item is not None and int(item.body["seq"]) >= seq:
                    return
                try:
                    # As text: these numbers have more digits than a number of DynamoDB.
                    version = item.version if item else 0
                    self._tables.put(Put(key=key, body={"seq": str(seq)}, if_version=version))
                except ConditionFailed:
                    continue
                return

        await _guarded(note)

    async def set_aside(self, consumer: Consumer, record: StreamRecord, *, error: str) -> None:
        """Keep a record that a function could not take, for someone to look at."""
        await _guarded(lambda: self._tables.put(_kept("aside", consumer.handler, record, record.data, error=error)))

    async def all_set_aside(self) -> list[SetAside]:
        """Return every record that was set aside, the oldest first."""
        return sorted(await _guarded(lambda: self._kept("aside")), key=lambda one: (one.record.seq, one.handler))

    async def drop(self, record: SetAside) -> None:
        """Forget a record that was set aside."""
        await _guarded(lambda: self._remove("aside", record))

    async def ask_replay(self, record: SetAside, data: bytes) -> None:
        """Let a running cloud, or the next to start, deliver a record again, as it was or repaired."""

        def ask() -> None:
            self._tables.put(_kept("replay", record.handler, record.record, data, error=""))
            self._remove("aside", record)

        await _guarded(ask)

    async def take_replays(self, at: datetime) -> set[Grown]:
        """Append what is to be delivered again, and return what has grown; a crash delivers it twice."""
        streams = {consumer.handler: consumer.stream for consumer in CONSUMERS}
        asked = await _guarded(lambda: self._kept("replay"))
        again = [
            NewRecord(
                stream=streams[one.handler],
                partition_key=one.record.partition_key,
                arrived_at=at,
                data=one.record.data,
            )
            for one in asked
            if one.handler in streams
        ]
        grown = await self.append(again) if again else set()
        for one in asked:
            await _guarded(lambda one=one: self._remove("replay", one))  # type: ignore[misc]
        return grown

    async def trim(self) -> int:
        """Return 0: Kinesis forgets a record a day after it came, whoever has passed it."""
        return 0

    async def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what happened outside the streams."""

        def add() -> None:
            key = _state_key(f"counter#{name}")
            while True:
                item = self._tables.get(key)
                body = {"count": (item.body["count"] if item else 0) + by}
                try:
                    self._tables.put(Put(key=key, body=body, if_version=item.version if item else 0))
                except ConditionFailed:
                    continue
                return

        await _guarded(add)

    async def counters(self) -> dict[str, int]:
        """Return every counter, how many records some function has not passed, and how many were set aside."""

        def counted() -> dict[str, int]:
            items = self._tables.query(Table.GRID_METRICS, STATE, **prefix("counter#"))
            found = {item.key.sk.removeprefix("counter#"): int(item.body["count"]) for item in items}
            found["set_aside"] = len(self._kept("aside"))
            found["waiting"] = sum(
                self._waiting(carrier, shard) for carrier in Carrier for shard in range(self._shards)
            )
            return found

        return await _guarded(counted)

    def _waiting(self, carrier: Carrier, shard: int) -> int:
        behind = {
            stream: min(self._checkpoint(one.handler, shard) for one in CONSUMERS if one.stream is stream)
            for stream in Stream
            if stream.carrier is carrier
        }
        return sum(
            stream is not None and record.seq > behind[stream] and not self._forgotten(record)
            for stream, record in self._scan(carrier, shard, after=min(behind.values()))
        )

    async def not_passed(self, consumer: Consumer) -> list[bytes]:
        """Return the records that a consumer has not passed yet, and those of its that were set aside."""

        def looked() -> list[bytes]:
            rows: list[bytes] = []
            for shard in range(self._shards):
                after = self._checkpoint(consumer.handler, shard)
                scanned = self._scan(consumer.stream.carrier, shard, after=after)
                rows += [one.data for stream, one in scanned if stream is consumer.stream and not self._forgotten(one)]
            return rows + [one.record.data for one in self._kept("aside") if one.handler == consumer.handler]

        return await _guarded(looked)

    async def forget(self, site: str) -> int:
        """Hide what a site sent until Kinesis forgets it, remove what was set aside; return how many there were."""

        def hide() -> int:
            held = [
                record
                for carrier in Carrier
                for shard in range(self._shards)
                for _, record in self._scan(carrier, shard, after=0)
                if site_of(record.data) == site and not self._forgotten(record)
            ]
            last = max((record.seq for record in held), default=0)
            if held:
                expires = datetime.now(UTC) + KEPT
                body = {"seq": str(last)}
                self._tables.put(Put(key=_state_key(f"gone#{site}"), body=body, expires_at=expires))
                self._gone = None
            kept = [(kind, one) for kind in ("aside", "replay") for one in self._kept(kind)]
            aside = [(kind, one) for kind, one in kept if site_of(one.record.data) == site]
            for kind, one in aside:
                self._remove(kind, one)
            return len(held) + len(aside)

        return await _guarded(hide)

    async def close(self) -> None:
        """Release what the store holds."""
        self._client.close()
        self._tables.close()

    def _forgotten(self, record: StreamRecord) -> bool:
        if self._gone is None:
            items = self._tables.query(Table.GRID_METRICS, STATE, **prefix("gone#"))
            self._gone = {item.key.sk.removeprefix("gone#"): int(item.body["seq"]) for item in items}
        if not self._gone:
            return False
        site = site_of(record.data)
        return site is not None and record.seq <= self._gone.get(site, 0)

    def _scan(self, carrier: Carrier, shard: int, *, after: int) -> Iterator[tuple[Stream | None, StreamRecord]]:
        """Yield each record of a shard behind a number with its stream, up to where the shard ends now."""
        name, shard_id = self._address.carrier(carrier), self._ids[carrier][shard]
        asked: dict[str, Any] = {"StreamName": name, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        if after:
            number = str(after // SHARDS_MAX)
            asked |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
        iterator = self._client.get_shard_iterator(**asked)["ShardIterator"]
        while iterator is not None:
            told = self._client.get_records(ShardIterator=iterator, Limit=READ_MAX)
            for raw in told["Records"]:
                yield _record(raw, shard)
            if len(told["Records"]) < READ_MAX and not told.get("MillisBehindLatest"):
                return
            iterator = told.get("NextShardIterator")

    def _checkpoint(self, handler: str, shard: int) -> int:
        item = self._tables.get(_checkpoint_key(handler, shard))
        return int(item.body["seq"]) if item else 0

    def _kept(self, kind: str) -> list[SetAside]:
        found = []
        for item in self._tables.query(Table.GRID_METRICS, STATE, **prefix(f"{kind}#")):
            told = item.body
            record = StreamRecord(
                seq=int(told["seq"]),
                partition_key=told["key"],
                arrived_at=instant(told["arrived_ms"]),
                data=b64decode(told["data"]),
            )
            found.append(SetAside(handler=told["handler"], record=record, error=told["error"]))
        return found

    def _remove(self, kind: str, one: SetAside) -> None:
        self._tables.transact([Delete(key=_state_key(f"{kind}#{one.handler}#{one.record.seq}"))])


def _record(raw: Any, shard: int) -> tuple[Stream | None, StreamRecord]:
    named, mark, key = raw["PartitionKey"].partition(_MARK)
    stream = Stream(named) if mark and named in set(Stream) else None
    if stream is None:  # Put by a rule of AWS IoT Core.
        key = raw["PartitionKey"]
        try:
            stream = Stream(json.loads(raw["Data"])["topic_channel"])
        except (ValueError, KeyError, TypeError):
            stream = None
    record = StreamRecord(
        seq=int(raw["SequenceNumber"]) * SHARDS_MAX + shard,
        partition_key=key,
        arrived_at=raw["ApproximateArrivalTimestamp"].astimezone(UTC),
        data=raw["Data"],
    )
    return stream, record


def _kept(kind: str, handler: str, record: StreamRecord, data: bytes, *, error: str) -> Put:
    body = {
        "handler": handler,
        "seq": str(record.seq),
        "key": record.partition_key,
        "arrived_ms": epoch_ms(record.arrived_at),
        "data": b64encode(data).decode(),
        "error": error[:2000],
    }
    return Put(key=_state_key(f"{kind}#{handler}#{record.seq}"), body=body)


def _state_key(name: str) -> Key:
    return Key(table=Table.GRID_METRICS, pk=STATE, sk=name)


def _checkpoint_key(handler: str, shard: int) -> Key:
    return _state_key(f"checkpoint#{handler}#{shard}")


def _batches(entries: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return entries in calls that Kinesis takes."""
    batches: list[list[dict[str, Any]]] = []
    size = 0
    for entry in entries:
        bytes_of = len(entry["Data"]) + len(entry["PartitionKey"].encode())
        if not batches or len(batches[-1]) == PUT_MAX or size + bytes_of > PUT_BYTES_MAX:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += bytes_of
    return batches


def _open_shards(client: Any, name: str) -> tuple[str, ...]:
    """Return the shards of a stream that take records, in the order of their hash keys."""
    found = client.list_shards(StreamName=name)["Shards"]
    taking = [one for one in found if "EndingSequenceNumber" not in one["SequenceNumberRange"]]
    taking.sort(key=lambda one: int(one["HashKeyRange"]["StartingHashKey"]))
    return tuple(one["ShardId"] for one in taking)


def _make(client: Any, dynamodb: Any, address: KinesisAddress) -> None:
    from cloud.infra.tables import create_request

    for carrier in Carrier:
        name = address.carrier(carrier)
        try:
            client.describe_stream_summary(StreamName=name)
        except client.exceptions.ResourceNotFoundException:
            client.create_stream(StreamName=name, ShardCount=address.shards)
        client.get_waiter("stream_exists").wait(StreamName=name)
    request = create_request(Table.GRID_METRICS, prefix=f"{address.name}-")
    try:
        dynamodb.describe_table(TableName=request["TableName"])
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(**request)
    dynamodb.get_waiter("table_exists").wait(TableName=request["TableName"])


async def _guarded(call: Callable[[], T]) -> T:
    """Make a call in a thread.

    Raises:
        StoreError: AWS refused it, or nobody answered.
    """
    try:
        return await asyncio.to_thread(call)
    except (ClientError, BotoCoreError) as error:
        raise StoreError(f"streams: {type(error).__name__}: {error}; try again") from error
