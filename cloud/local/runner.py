"""The local cloud: broker to streams to functions, and the schedules.

Builds every part, owns the task group, closes in reverse order.
"""

import asyncio
import json
import logging
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import aiomqtt

from cloud.errors import SetupError, StoreError
from cloud.infra.rules import CONSUMERS, SCHEDULES, rule_of
from cloud.infra.schedules import targets
from cloud.local.config import BrokerSettings, CloudConfig
from cloud.local.events import fields_of, forwarded
from cloud.local.functions import Functions
from cloud.local.leases import Leases
from cloud.local.lifetime import stop_on_signal, stop_with_parent
from cloud.local.link import BrokerLink, until_connected
from cloud.local.metrics import Counts, serve
from cloud.local.opening import open_stores, open_streams, remember
from cloud.local.reader import ShardReader
from cloud.local.receipts import Stored, message_id, receipts
from cloud.local.scheduler import Scheduler
from cloud.local.streams import Grown, NewRecord, Streams, shard_of
from cloud.shell import counting
from cloud.shell import services as shell_services
from cloud.shell.alarms import alarm_counts
from cloud.shell.publishing import Outgoing
from cloud.shell.services import Services
from cloud.shell.signing import read_signer_file
from cloud.stores.features import FEATURES_FILE, in_file
from cloud.stores.private_files import private_folder
from cloud.stores.registry import Registry, save_registry, with_joined
from cloud.stores.setup import Stores
from cloud.stores.tables import Check, Forgetting, Tables
from contracts.clock import Clock
from contracts.reasons import reason_of
from contracts.topics import Topic, Up, parse

log = logging.getLogger(__name__)

FIRST_CONNECT_S: Final = 30.0
# The parts of the work: the broker's messages, and each shard of the streams.
INTAKE: Final = "intake"
SHARD: Final = "shard-"
TRIM_EVERY_S: Final = 5.0  # Real seconds.
# Real seconds between two tries to store what the broker has given and keeps until then.
APPEND_AGAIN_S_MIN: Final = 0.5
APPEND_AGAIN_S_MAX: Final = 10.0
FORGET_EVERY_S: Final = 3600.0


class LocalCloud:
    """One process that stands for a Region."""

    def __init__(self, config: CloudConfig, *, clock: Clock, stores: Stores, streams: Streams) -> None:
        self._config = config
        self._clock = clock
        self._stores = stores
        self._streams = streams
        self._counts = Counts()
        self._functions = Functions(self._counts)
        self._name = uuid.uuid4().hex[:8]
        # Where several processes share the work, one of them hears the broker and each has a way to the sites.
        self._shared = len(config.servers.named) == len(vars(config.servers))
        self._link = BrokerLink(self._own_client(), None) if self._shared else BrokerLink(config.broker, self.take)
        self._readers: dict[Grown, list[ShardReader]] = {}

    async def run(self, *, parent_pid: int | None) -> None:
        """Run until told to stop.

        Raises:
            StopRequested: In a group, when a signal came or the parent is gone.
            SetupError: The signing key cannot be read.
        """
        shell_services.install(self._services())
        counting.install(self._counts)
        metrics = await self._serve_metrics()
        for handler in {*(consumer.handler for consumer in CONSUMERS), *(schedule.handler for schedule in SCHEDULES)}:
            self._functions.load(handler)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stop_on_signal(), name="stop on signal")
                tasks.create_task(stop_with_parent(parent_pid), name="stop with parent")
                tasks.create_task(self._streams.follow(self._wake), name="follow streams")
                tasks.create_task(self._link.run(), name="broker link")
                tasks.create_task(forget_expired(self._stores.tables, self._clock), name="forget expired items")
                tasks.create_task(self._begin(tasks, metrics), name="begin")
        finally:
            self._link.close()
            self._functions.close()
            if metrics is not None:
                metrics.close()
            counting.install(None)
            shell_services.install(None)

    def _own_client(self) -> BrokerSettings:
        """Return the broker's settings under a name that no other process has."""
        broker = self._config.broker
        return broker.model_copy(update={"client_id": f"{broker.client_id[:100]}-{self._name}"})

    async def _work(self, part: str, fence: Check | None) -> None:
        """Do one part of the work until cancelled: hear the broker, or a shard with the zones that belong to it."""
        if part == INTAKE:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._trim(), name="trim streams")
                if self._shared:
                    tasks.create_task(BrokerLink(self._config.broker, self.take).run(), name="hear the broker")
            return
        await self._work_shard(int(part.removeprefix(SHARD)), fence)

    async def _work_shard(self, shard: int, fence: Check | None) -> None:
        readers = {
            consumer: ShardReader(
                consumer=consumer,
                shard=shard,
                streams=self._streams,
                functions=self._functions,
                clock=self._clock,
                fence=fence,
            )
            for consumer in CONSUMERS
        }
        try:
            async with asyncio.TaskGroup() as tasks:
                for consumer, reader in readers.items():
                    self._readers.setdefault((consumer.stream, shard), []).append(reader)
                    tasks.create_task(reader.run(), name=f"{consumer.handler} shard {shard}")
                await until_connected(self._link, timeout_s=FIRST_CONNECT_S)  # Schedules publish.
                for scheduler, name in self._schedulers(shard, fence):
                    tasks.create_task(scheduler.run(self._clock), name=name)
        finally:
            for consumer, reader in readers.items():
                self._readers[consumer.stream, shard].remove(reader)

    def _schedulers(self, shard: int, fence: Check | None) -> Iterator[tuple[Scheduler, str]]:
        """Yield the schedules of the zones that belong to a shard, as their orders do, each with a name."""
        for schedule in SCHEDULES:
            every_s = self._config.schedules.get(schedule.name, schedule.local_every_s or schedule.every_s)
            for target in targets(schedule, self._config.registry):
                if shard_of(target["zone"], self._streams.shards) == shard:
                    yield (
                        Scheduler(
                            schedule=schedule, every_s=every_s, target=target, functions=self._functions, fence=fence
                        ),
                        f"{schedule.name} {target}",
                    )

    async def take(self, messages: Sequence[aiomqtt.Message]) -> list[Outgoing]:
        """Put messages into their streams and return the receipts for them; when this returns they are on the disk."""
        read = [one for message in messages if (one := await self._read(message)) is not None]
        if not read:
            return []
        for grown in await self._append([self._record(topic, fields) for topic, fields in read]):
            self._wake(grown)
        return list(receipts(read))

    async def _append(self, records: Sequence[NewRecord]) -> set[Grown]:
        """Append records; a store that fails is waited for, during which the broker keeps what comes.

        To end instead would help nobody: schedules, readers and all that functions say go on beside a full disk.
        """
        pause_s = APPEND_AGAIN_S_MIN
        while True:
            try:
                return await self._streams.append(records)
            except StoreError as error:
                log.warning("messages not stored, tried again", extra={"error": str(error), "again_in_s": pause_s})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, APPEND_AGAIN_S_MAX)

    def _wake(self, grown: Grown) -> None:
        for reader in self._readers.get(grown, []):
            reader.wake()

    async def _read(self, message: aiomqtt.Message) -> Stored | None:
        topic = parse(str(message.topic))
        if topic is None or not isinstance(topic.channel, Up):
            return None
        try:
            return topic, fields_of(bytes(message.payload))
        except ValueError as error:
            log.warning("message not forwarded", extra={"topic": str(message.topic), "error": str(error)})
            await self._count("not_forwarded")
            return None

    async def _count(self, name: str) -> None:
        try:
            await self._streams.count(name)
        except StoreError as error:
            log.warning("not counted", extra={"counter": name, "error": str(error)})

    def _record(self, topic: Topic, fields: Mapping[str, object]) -> NewRecord:
        assert isinstance(topic.channel, Up), "only what comes from a site is put into a stream"
        rule, now = rule_of(topic.channel), self._clock.now()
        return NewRecord(
            stream=rule.stream,
            partition_key=rule.partition.of(topic),
            arrived_at=now,
            data=forwarded(topic, fields, at=now),
            message_id=message_id(topic, fields),
        )

    def _services(self) -> Services:
        save_registry(self._stores.tables, self._config.registry)

        def reread() -> Registry:
            return with_joined(self._stores.tables, self._config.registry)

        return Services(
            stores=self._stores,
            registry=reread(),
            reread=reread,
            publisher=self._link,
            signer=read_signer_file(issuer=self._config.signing.issuer, path=self._config.signing.key_file),
            features=in_file(self._config.folder / FEATURES_FILE),
        )

    async def _begin(self, tasks: asyncio.TaskGroup, metrics: asyncio.Server | None) -> None:
        """Say that we are ready once the broker is there; the work begins before, all of it or our share."""
        parts = [INTAKE, *(f"{SHARD}{shard}" for shard in range(self._streams.shards))]
        if self._shared:
            leases = Leases(self._stores.tables, parts=parts, me=self._name, work=self._work, clock=self._clock)
            tasks.create_task(leases.run(), name="leases")
        else:
            for part in parts:
                tasks.create_task(self._work(part, None), name=f"work {part}")
        if not await until_connected(self._link, timeout_s=FIRST_CONNECT_S):
            log.warning("broker not there yet", extra={"url": self._config.broker.url})
        where = {} if metrics is None else {"metrics": _url(metrics)}
        sys.stdout.write(json.dumps({"ready": True, **where}) + "\n")
        sys.stdout.flush()

    async def _serve_metrics(self) -> asyncio.Server | None:
        settings = self._config.metrics
        if settings is None:
            return None
        try:
            return await serve(settings.host, settings.port, self._figures)
        except OSError as error:
            raise SetupError(
                f"metrics cannot be served at {settings.host}:{settings.port}: {reason_of(error)}"
            ) from error

    async def _figures(self) -> str:
        sites = [site.id for site in shell_services.current().registry.sites]
        alarms = await asyncio.to_thread(alarm_counts, self._stores.tables, sites)
        return self._counts.text(await self._streams.counters(), alarms)

    async def _trim(self) -> None:
        while True:
            try:
                for grown in await self._streams.take_replays(self._clock.now()):
                    self._wake(grown)
                await self._streams.trim()
            except StoreError as error:
                log.warning("streams not trimmed", extra={"error": str(error)})
            await asyncio.sleep(TRIM_EVERY_S)


async def forget_expired(tables: Tables, clock: Clock) -> None:
    """Remove what has expired each hour until cancelled, which DynamoDB does by itself."""
    while True:
        await clock.sleep(FORGET_EVERY_S)
        if isinstance(tables, Forgetting):
            try:
                await asyncio.to_thread(tables.forget_expired, clock.now())
            except StoreError as error:  # An hour later they are as expired.
                log.warning("expired items not removed", extra={"error": str(error)})


def _url(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://{host}:{port}/metrics"


async def run(config: CloudConfig, *, clock: Clock, parent_pid: int | None = None) -> None:
    """Open the stores, run the local cloud, close the stores.

    Raises:
        StoreError: A store cannot be opened.
        SetupError: The signing key cannot be read, or a setting cannot be used.
        StopRequested: In a group, when it was told to stop.
    """
    private_folder(config.folder)
    remember(config.folder, config.servers)
    stores = open_stores(config.folder, config.servers, lake=config.lake)
    try:
        streams = await open_streams(config.folder, config.servers)
        try:
            await LocalCloud(config, clock=clock, stores=stores, streams=streams).run(parent_pid=parent_pid)
        finally:
            await streams.close()
    finally:
        stores.tables.close()
