"""Out of a company's network: port 443 told apart by ALPN, and an HTTP proxy on the way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contracts.topics import Up
from edge.links.link import Ack, Link, LinkState
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings
from edge.setup.online import check_link
from tests.support.brokers.broker import Broker, broker
from tests.support.brokers.link_parts import SITE, Listener, background, topic_of, until
from tests.support.brokers.shared_port import ConnectProxy, SharedPort, authority_in
from tests.support.rigs.edge_parts import config

__all__ = ["broker"]

ALPN = "x-amzn-mqtt-ca"


@pytest.fixture
async def shared(broker: Broker, tmp_path: Path) -> AsyncIterator[SharedPort]:
    """A port that lets MQTT through by ALPN alone."""
    authority = authority_in(tmp_path / "authority")
    async with SharedPort(broker=broker, authority=authority, protocols=(ALPN, "mqtt")).open() as port:
        yield port


def settings(shared: SharedPort, **fields: Any) -> LinkSettings:
    """Return a link's settings to that port."""
    identity = shared.authority.issue(SITE)
    return LinkSettings(
        url=f"mqtts://localhost:{shared.port}",
        ca_file=shared.authority.ca_path,
        cert_file=identity.cert_path,
        key_file=identity.key_path,
        throttle=False,
        reconnect_s_min=0.05,
        reconnect_s_max=0.2,
        **fields,
    )


async def delivers(link: Link, broker: Broker) -> None:
    """Demand that a message goes all the way."""
    listener = Listener(broker, topic_of(Up.EVENTS))
    async with background(listener.run(), name="listener"), background(link.run(), name="link"):
        async with asyncio.timeout(60):
            await listener.ready.wait()
            await link.wait_for(LinkState.CONNECTED)
            assert await link.publish(topic_of(Up.EVENTS), b"through") is Ack.ACCEPTED
        await until(lambda: listener.payloads(Up.EVENTS) == [b"through"])


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("protocol", [ALPN, "mqtt"])
async def test_the_protocol_is_asked_for_in_the_handshake(
    shared: SharedPort, broker: Broker, client: Client, protocol: str
) -> None:
    """AWS takes the first, a private front door may take the other."""
    await delivers(make_link(settings(shared, client=client, alpn=protocol), client_id=SITE), broker)
    assert shared.asked == [protocol]


@pytest.mark.parametrize("client", list(Client))
async def test_without_the_protocol_the_port_stays_shut(shared: SharedPort, client: Client) -> None:
    """It is what the test stands on: the port really tells them apart."""
    link = make_link(settings(shared, client=client), client_id=SITE)
    async with background(link.run(), name="link"):
        await until(lambda: len(shared.asked) >= 2)
        assert link.status().state is LinkState.DISCONNECTED
    assert set(shared.asked) == {None}


async def test_a_link_leads_through_a_proxy(shared: SharedPort, broker: Broker) -> None:
    """TLS goes end to end: the proxy sees a host and a port, no more."""
    async with ConnectProxy().open() as proxy:
        wanted = settings(shared, client=Client.AWS, alpn=ALPN, proxy_url=f"http://127.0.0.1:{proxy.port}")
        await delivers(make_link(wanted, client_id=SITE), broker)
        assert proxy.asked == [f"localhost:{shared.port}"]
    assert shared.asked == [ALPN]


async def test_a_proxy_that_is_gone_is_a_lost_link(shared: SharedPort) -> None:
    """It is tried again like any other way, and told."""
    wanted = settings(shared, client=Client.AWS, alpn=ALPN, proxy_url="http://127.0.0.1:9")
    link = make_link(wanted, client_id=SITE)
    async with background(link.run(), name="link"):
        await until(lambda: link.status().last_error is not None)
        assert "localhost" in str(link.status().last_error)
    assert shared.asked == []


async def test_the_check_goes_the_same_way(shared: SharedPort, tmp_path: Path) -> None:
    """What an installer is told must be what the gateway will meet."""
    async with ConnectProxy().open() as proxy:
        wanted = settings(shared, client=Client.AWS, alpn=ALPN, proxy_url=f"http://127.0.0.1:{proxy.port}")
        site = config(link=wanted.model_dump(mode="json"), state_dir=str(tmp_path))
        (found,) = await check_link(site)
        assert (found.said, proxy.asked) == ("speaks TLS with our certificate", [f"localhost:{shared.port}"])
        assert shared.asked == [ALPN]
        refused = wanted.model_copy(update={"url": "mqtts://nobody.invalid:8883"})
        (found,) = await check_link(site.model_copy(update={"link": refused}))
        assert "does not lead to nobody.invalid:8883" in found.said and "403" in found.said


def test_port_443_of_aws_asks_for_its_protocol_by_itself() -> None:
    """Who moves a gateway to 443 must not have to know it."""
    files = {"cert_file": "c.pem", "key_file": "k.pem"}
    told = {url: LinkSettings.model_validate({"client": "aws", "url": url, **files}).alpn_asked for url in _URLS}
    assert told == {"mqtts://host:443": ALPN, "mqtts://host": None}
    own = LinkSettings.model_validate({"client": "aws", "url": "mqtts://host:443", "alpn": "mqtt", **files})
    assert own.alpn_asked == "mqtt"


_URLS = ("mqtts://host:443", "mqtts://host")
