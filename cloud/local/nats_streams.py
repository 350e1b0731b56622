"""The ordered streams in NATS JetStream: for a cloud of several processes or machines.

Each shard is a JetStream stream of its own, so that its servers share the leading; the streams of the product are
subjects in it. A batch is read by JetStream's direct get from the checkpoint on, so a reader keeps no state in the
server; checkpoints, what was set aside, replays and counters are values of one key-value bucket. What is appended
twice under one message id within ``DUPLICATES_S`` is kept once.

Source: NATS documentation, "JetStream: Streams" and "Key/Value Store"; ADR-31 "JetStream Direct Get", batched requests;
"Message deduplication" (``Nats-Msg-Id``).
"""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.kv import KeyValue

from cloud.errors import StoreError
from cloud.infra.rules import CONSUMERS, Consumer, Stream, consumers_of
from cloud.local.nats_connection import (
    ANSWER_TIMEOUT_S,
    SHARDS_MAX,
    MissingError,
    NatsAddress,
    OvertakenError,
    connect,
    guarded,
)
from cloud.local.streams import Grown, NewRecord, SetAside, StreamRecord, shard_of, site_of
from contracts.units import epoch_ms, instant

LOOK_AGAIN_S: Final = 1.0
PAGE: Final = 200
_KEY, _ARRIVED = "Sitewatt-Key", "Sitewatt-Arrived"


@dataclass(frozen=True, kw_only=True)
class _Checkpoint:
    """A checkpoint as last seen, and the revision that a write of it must name."""

    seq: int
    revision: int


class NatsStreams:
    """The streams of one name; used by one event loop."""

    look_again_s: float | None = LOOK_AGAIN_S

    def __init__(self, client: Client, state: KeyValue, *, name: str, shards: int) -> None:
        self._client = client
        self._js = client.jetstream(timeout=ANSWER_TIMEOUT_S)
        self._state = state
        self._name = name
        self._shards = shards
        self._known: dict[str, _Checkpoint] = {}
        self._trimmed: dict[Grown, int] = {}

    @classmethod
    async def open(cls, url: str) -> "NatsStreams":
        """Connect, and make the streams where they are missing.

        Raises:
            SetupError: The address is none, or the streams were made with another number of shards.
            StoreError: No server answers, or JetStream refuses.
        """
        address = NatsAddress.parse(url)
        connection = await connect(address)
        return cls(connection.client, connection.state, name=address.name, shards=connection.shards)

    @property
    def shards(self) -> int:
        """Return into how many shards each stream is split."""
        return self._shards

    @property
    def connected(self) -> bool:
        """Return whether a server is connected now; one that was lost is looked for until it is found."""
        return self._client.is_connected

    async def append(self, records: Sequence[NewRecord]) -> set[Grown]:
        """Append records; all are on their way before the first is answered, and the server keeps their order."""
        self._refuse_without_connection()
        grown = {(record.stream, shard_of(record.partition_key, self._shards)) for record in records}
        await guarded(self._append(records))
        for stream, shard in grown:
            await guarded(self._client.publish(f"{self._name}.grown.{stream}.{shard}"))
        return grown

    async def _append(self, records: Sequence[NewRecord]) -> None:
        answers = []
        for record in records:
            headers = {_KEY: _ascii(record.partition_key), _ARRIVED: str(epoch_ms(record.arrived_at))}
            if record.message_id is not None:
                headers["Nats-Msg-Id"] = f"{record.stream}:{_ascii(record.message_id)}"
            subject = self._subject(record.stream, shard_of(record.partition_key, self._shards))
            answers.append(await self._js.publish_async(subject, record.data, headers=headers, wait_stall=None))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def follow(self, grown: Callable[[Grown], None]) -> None:
        """Tell of what any process appends, until cancelled."""
        heard = await guarded(self._client.subscribe(f"{self._name}.grown.*.*"))
        try:
            async for message in heard.messages:
                stream, shard = message.subject.split(".")[-2:]
                grown((Stream(stream), int(shard)))
        finally:
            if not self._client.is_closed:
                await heard.unsubscribe()

    async def read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        """Return the records that a consumer has not passed, oldest first, at most one batch."""
        self._refuse_without_connection()
        after = await self._checkpoint(consumer.handler, shard)
        return await self._records(consumer.stream, shard, after=after, count=consumer.records_max)

    async def passed(self, consumer: Consumer, shard: int, seq: int) -> None:
        """Note that a consumer is done with all records up to one; who noted more meanwhile is right."""
        name = _checkpoint_name(consumer.handler, shard)
        if name not in self._known:
            await self._checkpoint(consumer.handler, shard)
        while (known := self._known[name]).seq < seq:
            try:
                revision = await guarded(self._state.update(name, str(seq).encode(), known.revision))
            except OvertakenError:
                await self._checkpoint(consumer.handler, shard)
            else:
                self._known[name] = _Checkpoint(seq=seq, revision=revision)

    async def set_aside(self, consumer: Consumer, record: StreamRecord, *, error: str) -> None:
        """Keep a record that a function could not take, for someone to look at."""
        value = {
            "key": record.partition_key,
            "arrived_ms": epoch_ms(record.arrived_at),
            "data": b64encode(record.data).decode(),
            "error": error[:2000],
        }
        await guarded(self._state.put(f"aside.{consumer.handler}.{record.seq}", json.dumps(value).encode()))

    async def all_set_aside(self) -> list[SetAside]:
        """Return every record that was set aside, the oldest first."""
        found = []
        async for name, value in self._values("aside"):
            handler, _, seq = name.removeprefix("aside.").rpartition(".")
            told = json.loads(value)
            record = StreamRecord(
                seq=int(seq),
                partition_key=told["key"],
                arrived_at=instant(told["arrived_ms"]),
                data=b64decode(told["data"]),
            )
            found.append(SetAside(handler=handler, record=record, error=told["error"]))
        return sorted(found, key=lambda one: (one.record.seq, one.handler))

    async def drop(self, record: SetAside) -> None:
        """Forget a record that was set aside."""
        await self._remove(f"aside.{record.handler}.{record.record.seq}")

    async def ask_replay(self, record: SetAside, data: bytes) -> None:
        """Let a running cloud, or the next to start, deliver a record again, as it was or repaired."""
        value = {"key": record.record.partition_key, "data": b64encode(data).decode()}
        await guarded(self._state.put(f"replay.{record.handler}.{record.record.seq}", json.dumps(value).encode()))
        await self.drop(record)

    async def take_replays(self, at: datetime) -> set[Grown]:
        """Append what is to be delivered again, and return what has grown; a crash delivers it twice."""
        streams = {consumer.handler: consumer.stream for consumer in CONSUMERS}
        records, names = [], []
        async for name, value in self._values("replay"):
            told, handler = json.loads(value), name.removeprefix("replay.").rpartition(".")[0]
            names.append(name)
            if handler in streams:
                data = b64decode(told["data"])
                records.append(NewRecord(stream=streams[handler], partition_key=told["key"], arrived_at=at, data=data))
        grown = await self.append(records) if records else set()
        for name in names:
            await self._remove(name)
        return grown

    async def trim(self) -> int:
        """Forget the records that every consumer of their stream has passed, and return how many."""
        removed = 0
        for shard in range(self._shards):
            for stream in Stream:
                checkpoints = [await self._checkpoint(one.handler, shard) for one in consumers_of(stream)]
                oldest = min(checkpoints, default=0)
                if oldest > self._trimmed.get((stream, shard), 0):
                    removed += await self._purge(stream, shard, upto=oldest)
                    self._trimmed[stream, shard] = oldest
        return removed

    async def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what happened outside the streams."""
        while True:
            value, revision = await self._value(f"counter.{name}")
            try:
                await guarded(self._state.update(f"counter.{name}", str(int(value or 0) + by).encode(), revision))
            except OvertakenError:
                continue
            return

    async def counters(self) -> dict[str, int]:
        """Return every counter, how many records wait, and how many were set aside."""
        found = {name.removeprefix("counter."): int(value) async for name, value in self._values("counter")}
        found["set_aside"] = len(await self._names("aside"))
        infos = [await guarded(self._js.stream_info(self._stream(shard))) for shard in range(self._shards)]
        found["waiting"] = sum(info.state.messages for info in infos)
        return found

    async def not_passed(self, consumer: Consumer) -> list[bytes]:
        """Return the records that a consumer has not passed yet, and those of its that were set aside."""
        rows = []
        for shard in range(self._shards):
            after = await self._checkpoint(consumer.handler, shard)
            rows += [record.data async for record in self._all(consumer.stream, shard, after=after)]
        aside = [one.record.data for one in await self.all_set_aside() if one.handler == consumer.handler]
        return rows + aside

    async def forget(self, site: str) -> int:
        """Remove what a site sent and nobody has taken yet, and what was set aside of it; return how many."""
        removed = 0
        for shard in range(self._shards):
            for stream in Stream:
                found = [one.seq async for one in self._all(stream, shard, after=0) if site_of(one.data) == site]
                for seq in found:
                    await guarded(self._js.delete_msg(self._stream(shard), seq // SHARDS_MAX))
                removed += len(found)
        for kind in ("aside", "replay"):
            names = [
                name
                async for name, value in self._values(kind)
                if site_of(b64decode(json.loads(value)["data"])) == site
            ]
            for name in names:
                await self._remove(name)
            removed += len(names)
        return removed

    async def close(self) -> None:
        """Release the connection."""
        await self._client.close()

    async def _records(self, stream: Stream, shard: int, *, after: int, count: int) -> list[StreamRecord]:
        """Return up to so many records behind a number, in their order."""
        wanted = {
            "seq": after // SHARDS_MAX + 1,
            "batch": count,
            "next_by_subj": self._subject(stream, shard),
        }
        return [self._record(message, shard) for message in await guarded(self._direct(shard, wanted))]

    async def _direct(self, shard: int, wanted: Mapping[str, object]) -> list[Msg]:
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        found: list[Msg] = []
        try:
            subject = f"$JS.API.DIRECT.GET.{self._stream(shard)}"
            await self._client.publish(subject, json.dumps(wanted).encode(), reply=inbox)
            while True:
                message = await answers.next_msg(timeout=ANSWER_TIMEOUT_S)
                status = (message.headers or {}).get("Status")
                if status is None:
                    found.append(message)
                elif status in ("204", "404"):  # The end of the batch; nothing at all.
                    return found
                elif status == "503":
                    raise NoRespondersError
                else:
                    described = (message.headers or {}).get("Description", "")
                    raise StoreError(f"streams cannot be read: {status} {described}")
        finally:
            await answers.unsubscribe()

    async def _all(self, stream: Stream, shard: int, *, after: int) -> AsyncIterator[StreamRecord]:
        while records := await self._records(stream, shard, after=after, count=PAGE):
            for record in records:
                yield record
            after = records[-1].seq

    def _record(self, message: Msg, shard: int) -> StreamRecord:
        headers = message.headers or {}
        return StreamRecord(
            seq=int(headers["Nats-Sequence"]) * SHARDS_MAX + shard,
            partition_key=_unascii(headers[_KEY]),
            arrived_at=instant(int(headers[_ARRIVED])),
            data=message.data,
        )

    async def _purge(self, stream: Stream, shard: int, *, upto: int) -> int:
        request = {"filter": self._subject(stream, shard), "seq": upto // SHARDS_MAX + 1}
        subject = f"$JS.API.STREAM.PURGE.{self._stream(shard)}"
        answer = await guarded(self._client.request(subject, json.dumps(request).encode(), timeout=ANSWER_TIMEOUT_S))
        told = json.loads(answer.data)
        if "error" in told:
            raise StoreError(f"streams cannot be trimmed: {told['error'].get('description')}")
        return int(told["purged"])

    async def _checkpoint(self, handler: str, shard: int) -> int:
        name = _checkpoint_name(handler, shard)
        value, revision = await self._value(name)
        self._known[name] = _Checkpoint(seq=int(value or 0), revision=revision)
        return self._known[name].seq

    async def _value(self, name: str) -> tuple[bytes | None, int]:
        """Return a value and its revision, which the next write must name; nothing and 0 where there is none."""
        try:
            entry = await guarded(self._state.get(name))
        except MissingError:
            return None, 0
        return entry.value, entry.revision or 0

    async def _names(self, kind: str) -> list[str]:
        prefix = f"$KV.{self._bucket}."
        info = await guarded(self._js.stream_info(f"KV_{self._bucket}", subjects_filter=f"{prefix}{kind}.>"))
        return sorted(subject.removeprefix(prefix) for subject in info.state.subjects or {})

    async def _values(self, kind: str) -> AsyncIterator[tuple[str, bytes]]:
        for name in await self._names(kind):
            value, _ = await self._value(name)
            if value is not None:
                yield name, value

    async def _remove(self, name: str) -> None:
        """Remove a value without the marker that a key-value bucket leaves where one was."""
        await guarded(self._js.purge_stream(f"KV_{self._bucket}", subject=f"$KV.{self._bucket}.{name}"))

    def _refuse_without_connection(self) -> None:
        """Fail at once where there is no connection: who calls again later waits no time-out.

        Raises:
            StoreError: There is none now.
        """
        if not self.connected:
            raise StoreError("streams: no server is connected; try again")

    @property
    def _bucket(self) -> str:
        return f"{self._name}-state"

    def _stream(self, shard: int) -> str:
        return f"{self._name}-{shard}"

    def _subject(self, stream: Stream, shard: int) -> str:
        return f"{self._name}.{shard}.{stream}"


def _checkpoint_name(handler: str, shard: int) -> str:
    return f"checkpoint.{handler}.{shard}"


def _ascii(text: str) -> str:
    """Return a text as a header can hold it."""
    return json.dumps(text)[1:-1]


def _unascii(text: str) -> str:
    return str(json.loads(f'"{text}"'))
