"""Plays what an emulator of AWS lacks, so that gateways of this machine live with a deployed stack.

Gateways speak MQTT to a broker here, as they would to AWS IoT Core. What they publish is put into the stack's streams
as its rules say; what its functions publish is heard at the emulator's own device gateway and handed to the broker.
Schedules call the functions' aliases on the clock of the sites, which may run faster than the machine's.

Source: AWS IoT Core developer guide, "MQTT over WebSocket protocol" (path ``/mqtt``, signed for
``iotdevicegateway``); Kinesis API reference, PutRecords.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt
import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from cloud.errors import PublishError, SetupError, StoreError
from cloud.infra.deployment.account import EMULATOR_CREDENTIALS, Account
from cloud.infra.rules import SCHEDULES, Carrier, rule_of
from cloud.infra.schedules import targets
from cloud.local.config import BrokerSettings
from cloud.local.events import fields_of, forwarded
from cloud.local.lifetime import stop_on_signal, stop_with_parent
from cloud.local.link import BrokerLink, until_connected
from cloud.local.scheduler import Scheduler
from cloud.local.session import keep_session
from cloud.shell.publishing import Outgoing
from cloud.stores.registry import Registry
from cloud.stores.tables import Check
from contracts.clock import Clock
from contracts.topics import ROOT, Broadcast, Down, Up, parse

log = logging.getLogger(__name__)

FIRST_CONNECT_S: Final = 30.0
# Real seconds between two tries to put what the broker has given and keeps until then.
PUT_AGAIN_S_MIN: Final = 0.5
PUT_AGAIN_S_MAX: Final = 10.0
RECONNECT_S: Final = 0.5
SCHEDULE_S_MIN: Final = 60.0  # Source: EventBridge Scheduler user guide, rate-based schedules.
PUBLISH_AGAIN_S: Final = 0.2
HEARD: Final = (*(f"{ROOT}/+/+/{each}" for each in Down), *(f"{ROOT}/+/broadcast/{each}" for each in Broadcast))


@dataclass(frozen=True, kw_only=True)
class FrontSettings:
    """Which stack, which broker, and who takes part."""

    account: Account
    broker: BrokerSettings
    registry: Registry


async def run(settings: FrontSettings, *, clock: Clock, parent_pid: int | None) -> None:
    """Carry messages and call functions until told to stop.

    Raises:
        StopRequested: In a group, when a signal came or the parent is gone.
        SetupError: Nobody can be asked.
    """
    rules = Rules(settings.account, clock=clock)
    link = BrokerLink(settings.broker, rules.take)
    gateway = DeviceGateway(settings.account, link)
    functions = StackFunctions(settings.account)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_on_signal(), name="stop on signal")
        tasks.create_task(stop_with_parent(parent_pid), name="stop with parent")
        tasks.create_task(link.run(), name="broker link")
        tasks.create_task(gateway.run(), name="device gateway")
        if not await until_connected(link, timeout_s=FIRST_CONNECT_S):
            raise SetupError(f"no broker at {settings.broker.url}; nothing is carried")
        async with asyncio.timeout(FIRST_CONNECT_S):
            await gateway.connected.wait()
        for schedule in SCHEDULES:
            for target in targets(schedule, settings.registry):
                every_s = max(SCHEDULE_S_MIN, schedule.every_s)
                scheduler = Scheduler(schedule=schedule, every_s=every_s, target=target, functions=functions)
                tasks.create_task(scheduler.run(clock), name=f"{schedule.name} {target}")
        sys.stdout.write(json.dumps({"ready": True}) + "\n")
        sys.stdout.flush()


class Rules:
    """The rules: what a site published is put into its stream."""

    def __init__(self, account: Account, *, clock: Clock) -> None:
        self._client = account.client("kinesis")
        self._prefix = account.prefix
        self._clock = clock

    async def take(self, messages: Sequence[aiomqtt.Message]) -> list[Outgoing]:
        """Put messages into their streams; nobody is sent a receipt, as AWS IoT Core sends none."""
        entries: dict[Carrier, list[dict[str, Any]]] = {each: [] for each in Carrier}
        for message in messages:
            topic = parse(str(message.topic))
            if topic is None or not isinstance(topic.channel, Up):
                continue
            try:
                fields = fields_of(bytes(message.payload))
            except ValueError as error:
                log.warning("message not forwarded", extra={"topic": str(message.topic), "error": str(error)})
                continue
            rule = rule_of(topic.channel)
            data = forwarded(topic, fields, at=self._clock.now())
            entries[rule.stream.carrier].append({"Data": data, "PartitionKey": rule.partition.of(topic)})
        for carrier, records in entries.items():
            if records:
                await self._put(carrier, records)
        return []

    async def _put(self, carrier: Carrier, records: list[dict[str, Any]]) -> None:
        """Put records, those again that were refused; the broker keeps what comes meanwhile."""
        pause_s = PUT_AGAIN_S_MIN
        while records:
            try:
                told = await asyncio.to_thread(
                    self._client.put_records, StreamName=f"{self._prefix}{carrier}", Records=records
                )
                records = [one for one, kept in zip(records, told["Records"], strict=True) if "ErrorCode" in kept]
                if not records:
                    return
                error = f"{len(records)} records refused"
            except (BotoCoreError, ClientError) as failure:
                error = str(failure)
            log.warning("messages not put, tried again", extra={"error": error, "again_in_s": pause_s})
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PUT_AGAIN_S_MAX)


class DeviceGateway:
    """The emulator's device gateway, where functions are heard; what they say is handed to the broker of the sites."""

    def __init__(self, account: Account, link: BrokerLink) -> None:
        """Prepare, within a running loop."""
        self._account = account
        self._link = link
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled; a lost session is made anew."""
        await keep_session(self._client, self._listen, ended=self._ended, pause_s=lambda: RECONNECT_S)

    def _client(self) -> aiomqtt.Client:
        assert self._account.endpoint is not None, "a front stands before an emulator"
        parts = urlsplit(self._account.endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        # The emulator tells its services apart by the name of the host.
        host = f"data-ats.iot.{self._account.region}.{parts.hostname}:{port}"
        return aiomqtt.Client(
            str(parts.hostname),
            port,
            transport="websockets",
            websocket_path=signed_path(host, region=self._account.region),
            websocket_headers={"Host": host},
            protocol=aiomqtt.ProtocolVersion.V311,
            identifier=f"{self._account.stack}-front",
            clean_session=False,
        )

    async def _listen(self, client: aiomqtt.Client) -> None:
        for topic_filter in HEARD:
            await client.subscribe(topic_filter, qos=1)
        self.connected.set()
        async for message in client.messages:
            topic = parse(str(message.topic))
            if topic is not None:
                retain = isinstance(topic.channel, Broadcast)  # As the functions ask, which a subscriber is not told.
                await self._hand_on(Outgoing(topic=str(message.topic), payload=bytes(message.payload), retain=retain))

    async def _hand_on(self, message: Outgoing) -> None:
        while True:
            try:
                await asyncio.to_thread(self._link.publish, [message])
            except PublishError as error:
                log.warning("message not handed on, tried again", extra={"topic": message.topic, "error": str(error)})
                await asyncio.sleep(PUBLISH_AGAIN_S)
                continue
            return

    def _ended(self, error: aiomqtt.MqttError | None) -> None:
        if error is not None:
            log.warning("device gateway lost", extra={"error": str(error)})


class StackFunctions:
    """The functions of the stack, by the alias that its schedules call."""

    def __init__(self, account: Account) -> None:
        self._client = account.client("lambda")
        self._prefix = account.prefix

    async def call(self, module: str, event: dict[str, object], *, fence: Check | None = None) -> object:
        """Call a function and return its answer.

        Raises:
            StoreError: It failed, or could not be called; the next tick tries again.
        """
        assert fence is None, "a stack's writers fence themselves"
        name = f"{self._prefix}{module.rpartition('.')[2].replace('_', '-')}:live"
        return await asyncio.to_thread(self._invoke, name, event)

    def _invoke(self, name: str, event: Mapping[str, object]) -> object:
        try:
            answer = self._client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
            told = answer["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"{name} cannot be called: {error}") from error
        if "FunctionError" in answer:
            raise StoreError(f"{name} failed: {told[:500].decode(errors='replace')}")
        return json.loads(told or b"null")


def signed_path(host: str, *, region: str) -> str:
    """Return the path of a session over WebSocket with the signature of whose credentials boto3 finds."""
    found = boto3.Session().get_credentials()
    who = Credentials(EMULATOR_CREDENTIALS, EMULATOR_CREDENTIALS) if found is None else found.get_frozen_credentials()
    request = AWSRequest(method="GET", url=f"http://{host}/mqtt", headers={"host": host})
    SigV4QueryAuth(who, "iotdevicegateway", region).add_auth(request)
    return f"/mqtt?{urlsplit(str(request.url)).query}"
