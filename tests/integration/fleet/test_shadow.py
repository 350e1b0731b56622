"""A named shadow on a real broker, with a service that keeps the documents as the cloud would."""

import asyncio
import contextlib
import json
from typing import Any

import aiomqtt
import pytest

from edge.errors import ConfigError
from edge.fleet.shadow import NamedShadow, Outcome, ShadowName
from edge.links.link import Inbound, LinkState
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings
from tests.support.brokers.broker import Broker, broker
from tests.support.brokers.link_parts import SITE, background, until

__all__ = ["broker"]

PREFIX = f"$aws/things/{SITE}/shadow/name/config"


class ShadowService:
    """Keeps one shadow document: desired, reported, and a version that rises with every change."""

    def __init__(self, broker: Broker) -> None:
        self.desired: dict[str, Any] = {}
        self.reported: dict[str, Any] = {}
        self.version = self.reports = 0
        self.ready = asyncio.Event()
        self._broker = broker
        self._client: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Answer until cancelled."""
        async with aiomqtt.Client("localhost", self._broker.port) as client:
            self._client = client
            await client.subscribe(f"{PREFIX}/#", qos=1)
            self.ready.set()
            async for message in client.messages:
                kind = message.topic.value.removeprefix(f"{PREFIX}/")
                if kind == "get":
                    await self._send("get/accepted", self._document())
                elif kind == "update":
                    await self._take_report(json.loads(bytes(message.payload)))

    async def _take_report(self, update: dict[str, Any]) -> None:
        """Take a report made for the present version, and tell what is still different, as the cloud does."""
        self.reports += 1
        if update["version"] != self.version:
            await self._send("update/rejected", {"code": 409, "message": "Version conflict"})
            return
        for key, value in update["state"]["reported"].items():
            self.reported[key] = value
            if value is None:
                del self.reported[key]
        self.version += 1
        await self.tell(self.version)

    async def want(self, desired: dict[str, Any]) -> None:
        """Change the desired state, as an operator does."""
        self.desired |= desired
        self.version += 1
        await self.tell(self.version)

    async def withdraw(self, key: str) -> None:
        """Want no more what was wanted."""
        del self.desired[key]
        self.version += 1
        await self.tell(self.version)

    async def tell(self, version: int) -> None:
        """Send the present document under a version."""
        await self._send("update/documents", {"previous": {}, "current": {**self._document(), "version": version}})

    def _document(self) -> dict[str, Any]:
        parts = {"desired": self.desired, "reported": self.reported}
        return {"state": {name: part for name, part in parts.items() if part}, "version": self.version}

    async def _send(self, kind: str, content: dict[str, Any]) -> None:
        assert self._client is not None
        await self._client.publish(f"{PREFIX}/{kind}", json.dumps(content), qos=1)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # What aiomqtt waits with, ``asyncio.wait_for``, swallows a cancellation that comes as it ends (to 3.11).
            raise asyncio.CancelledError


class Site:
    """A gateway that takes a telemetry period between 1 and 3600 s."""

    def __init__(self, link: MqttLink) -> None:
        self.applied: list[dict[str, Any]] = []
        self.shadow = NamedShadow(link=link, thing=SITE, name=ShadowName.CONFIG, apply=self._apply)
        self._link = link

    def _apply(self, wanted: dict[str, Any]) -> None:
        if not 1 <= wanted.get("period_s", 1) <= 3600:
            raise ConfigError(f"telemetry.period_s {wanted['period_s']} is outside 1 to 3600; nothing changed")
        self.applied.append(wanted)

    async def run(self) -> None:
        """Hand messages over until cancelled."""
        async for message in self._link.messages():
            self.shadow.arrived(message)


@pytest.fixture
async def parts(broker: Broker) -> Any:
    """A service and a connected gateway."""
    async with contextlib.AsyncExitStack() as stack:
        service = ShadowService(broker)
        link = MqttLink(LinkSettings(url=broker.url), client_id=SITE)
        site = Site(link)
        await stack.enter_async_context(background(service.run(), name="service"))
        await until(service.ready.is_set)
        await stack.enter_async_context(background(link.run(), name="link"))
        await stack.enter_async_context(background(site.run(), name="site"))
        async with asyncio.timeout(60):
            await link.wait_for(LinkState.CONNECTED)
        yield service, site


async def test_a_desired_setting_is_applied_and_the_difference_ends(parts: tuple[ShadowService, Site]) -> None:
    """The operator sees from the shadow alone what a thousand gateways really run with."""
    service, site = parts
    await service.want({"period_s": 30})
    await until(lambda: service.reported.get("period_s") == 30)
    assert site.applied == [{"period_s": 30}]
    assert service.reported["answer"]["outcome"] == Outcome.APPLIED


async def test_an_invalid_setting_is_rejected_with_its_reason_and_changes_nothing(
    parts: tuple[ShadowService, Site],
) -> None:
    """A typing error in an office must not take a site down."""
    service, site = parts
    await service.want({"period_s": 0})
    await until(lambda: "answer" in service.reported)
    assert site.applied == []
    assert service.reported["answer"]["outcome"] == Outcome.REJECTED
    assert "outside 1 to 3600" in service.reported["answer"]["reason"]
    assert "period_s" not in service.reported


async def test_what_changed_while_offline_is_fetched(parts: tuple[ShadowService, Site]) -> None:
    """Changes are not kept for who is not there."""
    service, site = parts
    service.desired, service.version = {"period_s": 45}, 7
    site.shadow.fetch()
    await until(lambda: service.reported.get("period_s") == 45)
    assert site.shadow.last is not None
    assert site.shadow.last.version == 7


async def test_what_is_wished_no_longer_is_taken_back_at_once(parts: tuple[ShadowService, Site]) -> None:
    """A limit that was lowered for an afternoon must not last until the next lost connection."""
    service, site = parts
    await service.want({"period_s": 30, "nested": {"a": 1, "b": 2}})
    await until(lambda: service.reported.get("period_s") == 30)
    await service.withdraw("period_s")
    await until(lambda: "period_s" not in service.reported)
    assert site.applied[-1] == {"nested": {"a": 1, "b": 2}}
    assert service.reported == {"nested": {"a": 1, "b": 2}, "answer": service.reported["answer"]}
    assert service.reported["answer"]["outcome"] == Outcome.APPLIED


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b"[]", b'{"current": []}', b'{"current": {"state": 1, "version": 9}}']
)
async def test_what_is_no_document_changes_nothing(parts: tuple[ShadowService, Site], payload: bytes) -> None:
    """Whatever stands on a reserved topic, the site is controlled."""
    service, site = parts
    site.shadow.arrived(Inbound(topic=f"{PREFIX}/update/documents", payload=payload, retained=False))
    await service.want({"period_s": 30})
    await until(lambda: service.reported.get("period_s") == 30)
    assert [one for one in site.applied if one] == [{"period_s": 30}]


async def test_an_older_version_is_dropped(parts: tuple[ShadowService, Site]) -> None:
    """Messages overtake one another; the newest wish counts."""
    service, site = parts
    service.version = 10
    await service.want({"period_s": 30})
    await until(lambda: service.reported.get("period_s") == 30)
    service.desired = {"period_s": 20}
    await service.tell(5)
    await service.want({"other": 1})
    await until(lambda: service.reported.get("other") == 1)
    assert {"period_s": 20} not in site.applied


async def test_a_rejected_wish_is_answered_once(parts: tuple[ShadowService, Site]) -> None:
    """The report makes a new version with the same difference; answering that would never end."""
    service, _ = parts
    await service.want({"period_s": 0})
    await until(lambda: service.reports == 1)
    await service.want({"period_s": 50})
    await until(lambda: service.reported.get("period_s") == 50)
    assert service.reports == 2


async def test_an_answer_that_the_operator_overtook_gives_way_to_the_newer_wish(
    parts: tuple[ShadowService, Site],
) -> None:
    """Two hands on one shadow: the last word counts, and is the one that is reported."""
    service, _ = parts
    service.version = 1
    await service.tell(1)
    service.desired, service.version = {"period_s": 30}, 5
    await service.tell(4)
    await until(lambda: service.reported.get("period_s") == 30)
    assert service.reported["answer"]["version"] == 5
    assert service.version == 6


async def test_what_was_reported_and_lost_is_brought_back(parts: tuple[ShadowService, Site]) -> None:
    """After a new disk the cloud sees no difference, and the gateway has none of the settings."""
    service, site = parts
    service.desired, service.reported, service.version = {"period_s": 45}, {"period_s": 45}, 7
    site.shadow.fetch()
    await until(lambda: site.applied == [{"period_s": 45}])
