"""One set of promises, kept by every link on a real broker: both libraries, both versions of MQTT, every transport."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from contracts.topics import Down, Up, site_topic
from edge.errors import LinkError
from edge.links.link import Ack, Announcement, Inbound, Link, LinkState, Presence
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings, Protocol
from tests.support.brokers.broker import Authority, Broker, free_port, running
from tests.support.brokers.link_parts import SITE, ZONE, Listener, Wire, background, topic_of, until

ACL = """
topic readwrite sitewatt/#
topic readwrite $aws/#
user {site}
topic readwrite sitewatt/#
topic readwrite $aws/#
user listener
topic readwrite #
topic readwrite $aws/#
"""
COMMANDS = site_topic(zone=ZONE, site=SITE, channel=Down.COMMANDS)
TRADES = site_topic(zone=ZONE, site=SITE, channel=Down.TRADES)
STATUS = topic_of(Up.STATUS)


@dataclass(kw_only=True)
class Kind:
    """One way to connect, with the broker for it."""

    name: str
    broker: Broker
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tells_refusals(self) -> bool:
        """Return whether the broker can say no to a publish: 3.1.1 has no word for it."""
        return self.settings.get("protocol") is not Protocol.V311

    def link(self, *, presence: Presence | None = None, **overrides: Any) -> Link:
        """Return an idle link."""
        quick = {"reconnect_s_min": 0.05, "reconnect_s_max": 0.3, "throttle": False}
        settings = LinkSettings(**{"url": self.broker.url, **quick, **self.settings, **overrides})
        return make_link(settings, client_id=SITE, presence=presence)

    def port(self) -> int:
        """Return the port to which a link of this kind connects."""
        return urlsplit(self.settings.get("url", self.broker.url)).port or 0

    def url_at(self, port: int) -> str:
        """Return this kind's url at another port."""
        return str(self.settings.get("url", self.broker.url)).replace(str(self.port()), str(port))

    def listener(self, *topics: str) -> Listener:
        """Return a witness at the broker, who is not one of ours."""
        authority = self.broker.authority
        if authority is None:
            return Listener(self.broker, *topics)
        from aiomqtt import TLSParameters

        identity = authority.issue("listener")
        tls = TLSParameters(
            ca_certs=str(authority.ca_path), certfile=str(identity.cert_path), keyfile=str(identity.key_path)
        )
        return Listener(self.broker, *topics, tls_params=tls)


@pytest.fixture(params=["mqtt5-mtls", "mqtt311-mtls", "mqtt5-plain", "mqtt5-websocket", "aws-mtls"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    """Every way to connect."""
    name = str(request.param)
    folder = tmp_path / "broker"
    folder.mkdir()
    acl = ACL.format(site=SITE)
    if name.endswith("mtls"):
        authority = Authority(folder=folder)
        broker = Broker(folder=folder, authority=authority, acl=acl)
        identity = authority.issue(SITE)
        settings: dict[str, Any] = {
            "ca_file": authority.ca_path,
            "cert_file": identity.cert_path,
            "key_file": identity.key_path,
        }
    else:
        broker, settings = Broker(folder=folder, acl=acl), {}
    if name == "mqtt5-websocket":
        port = free_port()
        broker.extra = (f"listener {port} 127.0.0.1", "protocol websockets")
        settings["url"] = f"ws://127.0.0.1:{port}/mqtt"
    if name.startswith("mqtt311"):
        settings["protocol"] = Protocol.V311
    if name.startswith("aws"):
        settings["client"] = Client.AWS
    with running(broker):
        yield Kind(name=name, broker=broker, settings=settings)


class Inbox:
    """What a link received."""

    def __init__(self, link: Link) -> None:
        self.received: list[Inbound] = []
        self._link = link

    async def run(self) -> None:
        """Collect until cancelled."""
        async for message in self._link.messages():
            self.received.append(message)


def presence() -> Presence:
    """Announce the test site."""
    return Presence(
        birth=lambda: Announcement(topic=STATUS, payload=b"online"), will=Announcement(topic=STATUS, payload=b"offline")
    )


async def _connected(link: Link) -> None:
    async with asyncio.timeout(60):
        await link.wait_for(LinkState.CONNECTED)


async def test_what_is_published_arrives_whole_and_in_order_and_is_acknowledged(kind: Kind) -> None:
    """A outbox forgets what is acknowledged, so an acknowledgement must mean that the broker has it."""
    link, listener = kind.link(), kind.listener("sitewatt/#")
    payloads = [f"{number}:{'é' * (number % 50)}".encode() for number in range(200)]
    async with background(listener.run(), name="listener"), background(link.run(), name="link"):
        await until(listener.ready.is_set)
        await _connected(link)
        answers = [link.publish(topic_of(Up.METER), payload) for payload in payloads]
        assert set(await asyncio.gather(*answers)) == {Ack.ACCEPTED}
        await until(lambda: len(listener.received) == len(payloads))
    assert listener.payloads(Up.METER) == payloads


async def test_what_is_subscribed_arrives_and_says_whether_it_was_retained(kind: Kind) -> None:
    """A retained command is an old command; the gate refuses it, so the link must tell."""
    link, inbox_of = kind.link(), Inbox
    link.subscribe([COMMANDS, TRADES])
    inbox, listener = inbox_of(link), kind.listener()
    async with background(listener.run(), name="listener"):
        await until(listener.ready.is_set)
        async with background(link.run(), name="link"):
            await _connected(link)
            await link.publish(TRADES, b"kept", retain=True)
            async with background(inbox.run(), name="inbox"):
                await until(lambda: len(inbox.received) == 1)
    second = kind.link()
    second.subscribe([COMMANDS, TRADES])
    again = Inbox(second)
    async with background(again.run(), name="inbox"), background(second.run(), name="link"):
        await _connected(second)
        await second.publish(COMMANDS, b"fresh")
        await until(lambda: len(again.received) == 2)
    assert [(message.payload, message.retained) for message in inbox.received] == [(b"kept", False)]
    assert {(message.payload, message.retained) for message in again.received} == {(b"kept", True), (b"fresh", False)}


async def test_after_the_brokers_restart_the_link_is_back_with_its_subscriptions(kind: Kind) -> None:
    """Nobody is there at night to restart the gateway; a link without its subscriptions only looks alive."""
    link = kind.link()
    link.subscribe([COMMANDS])
    inbox = Inbox(link)
    async with background(inbox.run(), name="inbox"), background(link.run(), name="link"):
        await _connected(link)
        kind.broker.kill()
        async with asyncio.timeout(60):
            await link.wait_while(LinkState.CONNECTED)
        with pytest.raises(LinkError):
            link.publish(topic_of(Up.METER), b"nobody there")
        assert link.status().subscribed == frozenset()
        kind.broker.start()
        await _connected(link)
        assert link.status().subscribed == {COMMANDS}
        await link.publish(COMMANDS, b"hello")
        await until(lambda: inbox.received)
    assert link.status().connects == 2
    assert link.status().last_error


async def test_a_publish_that_the_broker_never_answers_fails(kind: Kind) -> None:
    """The outbox must learn that it still has to send; an answer that never comes would block it."""
    link = kind.link()
    async with background(link.run(), name="link"):
        await _connected(link)
        answers = [link.publish(topic_of(Up.METER), b"x" * 1000) for _ in range(20)]
        kind.broker.kill()
        results = await asyncio.gather(*answers, return_exceptions=True)
    assert all(result is Ack.ACCEPTED or isinstance(result, LinkError) for result in results)


async def test_topics_added_while_connected_are_subscribed(kind: Kind) -> None:
    """A live lease or a new zone must not need a reconnect."""
    link = kind.link()
    async with background(link.run(), name="link"):
        await _connected(link)
        link.subscribe([f"sitewatt/v1/{ZONE}/{SITE}/extra-{number}" for number in range(20)])
        await until(lambda: len(link.status().subscribed) == 20)


async def test_the_status_says_online_and_offline(kind: Kind) -> None:
    """The operator sees which sites are there; an orderly stop is announced as well as a lost connection."""
    link, listener = kind.link(presence=presence()), kind.listener(STATUS)
    async with background(listener.run(), name="listener"):
        await until(listener.ready.is_set)
        async with background(link.run(), name="link"):
            await _connected(link)
            await until(lambda: listener.payloads(Up.STATUS) == [b"online"])
        await until(lambda: listener.payloads(Up.STATUS) == [b"online", b"offline"])
    assert link.status().state is LinkState.DISCONNECTED


async def test_a_second_client_with_our_id_is_detected(kind: Kind) -> None:
    """Two gateways with one identity throw each other out for ever; somebody must be told."""
    first, second = kind.link(), kind.link()
    async with background(first.run(), name="first"):
        await _connected(first)
        async with background(second.run(), name="second"):
            await until(lambda: first.status().takeovers + second.status().takeovers >= 1)


async def test_a_cut_wire_is_announced_by_the_broker_and_mended(kind: Kind) -> None:
    """A gateway that lost its power cannot say so itself."""
    listener = kind.listener(STATUS)
    async with Wire(kind.port()).open() as wire, background(listener.run(), name="listener"):
        await until(listener.ready.is_set)
        link = kind.link(presence=presence(), url=kind.url_at(wire.port))
        async with background(link.run(), name="link"):
            await _connected(link)
            wire.cut()
            await until(lambda: listener.payloads(Up.STATUS)[:3] == [b"online", b"offline", b"online"])


async def test_a_peer_that_went_silent_is_given_up(kind: Kind) -> None:
    """A half-open connection takes everything and answers nothing; only the missing PUBACK shows it."""
    async with Wire(kind.port()).open() as wire:
        link = kind.link(url=kind.url_at(wire.port), ack_timeout_s=1.0)
        async with background(link.run(), name="link"):
            await _connected(link)
            wire.silent = True
            answer = link.publish(topic_of(Up.METER), b"into the void")
            with pytest.raises(LinkError):
                async with asyncio.timeout(60):
                    await answer
            wire.silent = False
            await until(lambda: link.status().connects == 2)


async def test_a_refused_topic_leaves_the_link_up(kind: Kind) -> None:
    """One wrong policy line must not cost the settlement."""
    link = kind.link()
    async with background(link.run(), name="link"):
        await _connected(link)
        refused = await link.publish("elsewhere/x", b"not ours")
        assert refused is (Ack.REFUSED if kind.tells_refusals else Ack.ACCEPTED)
        assert await link.publish(topic_of(Up.METER), b"ours") is Ack.ACCEPTED
        assert link.status().connects == 1


async def test_a_broker_that_is_not_there_is_tried_again_and_named(kind: Kind) -> None:
    """The site starts before its router; the link comes up when the way is there."""
    kind.broker.stop()
    link = kind.link()
    async with background(link.run(), name="link"):
        await until(lambda: link.status().last_error)
        kind.broker.start()
        await _connected(link)


@pytest.fixture
async def open_tasks() -> AsyncIterator[Callable[[], int]]:
    """Count the tasks that are running."""
    before = len(asyncio.all_tasks())
    yield lambda: len(asyncio.all_tasks()) - before


async def test_a_cancelled_link_leaves_nothing_running(kind: Kind, open_tasks: Callable[[], int]) -> None:
    """The site closes in order; a task left behind would keep the process alive."""
    link = kind.link()
    async with background(link.run(), name="link"):
        await _connected(link)
    await until(lambda: open_tasks() == 0)
