"""The link on the broker written in Python, for machines without mosquitto: MQTT 3.1.1 only."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator

import pytest

from contracts.topics import Down, Up, site_topic
from edge.links.link import Ack, LinkState
from edge.links.mqtt import MqttLink
from edge.links.settings import LinkSettings, Protocol
from tests.support.brokers.broker import free_port
from tests.support.brokers.link_parts import SITE, ZONE, background, topic_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from amqtt.broker import Broker as EmbeddedBroker

COMMANDS = site_topic(zone=ZONE, site=SITE, channel=Down.COMMANDS)


@contextlib.asynccontextmanager
async def _embedded(port: int) -> AsyncIterator[None]:
    broker = EmbeddedBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()


@pytest.mark.filterwarnings("default")  # The embedded broker's own.
async def test_the_link_works_on_the_embedded_broker_with_mqtt_3_1_1() -> None:
    """The demo must run where nobody may install a broker."""
    port = free_port()
    async with _embedded(port):
        settings = LinkSettings(url=f"mqtt://127.0.0.1:{port}", protocol=Protocol.V311)
        link = MqttLink(settings, client_id=SITE)
        link.subscribe([COMMANDS])
        async with background(link.run(), name="link"), asyncio.timeout(60):
            await link.wait_for(LinkState.CONNECTED)
            assert await link.publish(topic_of(Up.METER), b"reading") is Ack.ACCEPTED
            await link.publish(COMMANDS, b"command")
            async for message in link.messages():
                assert (message.topic, message.payload, message.retained) == (COMMANDS, b"command", False)
                break
        assert link.status().subscribed == frozenset()
