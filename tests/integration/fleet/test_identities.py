"""At the private cloud's broker a name is bound to a certificate or a password: nobody is let in as somebody else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.infra.fleet import CSR_TOPIC, REGISTER_TOPIC
from cloud.local.config import load_config
from cloud.local.fleet.fault_injection import Manner, Operation
from cloud.local.fleet.passwords import CLOUD_USER, OPERATOR_USER, PlainDoor
from cloud.local.fleet.responder import CLIENT_ID
from cloud.stores.serials import admit
from contracts.topics import Down, Up, site_topic
from edge.fleet.identity import Identity, IdentityStore
from edge.fleet.service import fleet_service
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.settings import Client
from tests.support.brokers.link_parts import SAFETY_TIMEOUT_S, background, until
from tests.support.cloud.sites import write_config
from tests.support.fleet.stand import SITE, ZONE, Stand, standing

CLOUD_ID = "sitewatt-cloud"
OTHER = "site-2"
METER = site_topic(zone=ZONE, site=SITE, channel=Up.METER)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """A private fleet with one serial on its list."""
    async with standing(tmp_path) as running:
        yield running


@pytest.fixture
async def pair(stand: Stand) -> tuple[Identity, Identity]:
    """Two gateways with certificates of their own: ``SITE`` and ``OTHER``."""
    first = await stand.provisioner().provision()
    serial = "sn-0002"
    secret = admit(stand.tables, serial=serial, site=OTHER, zone=ZONE)
    other = stand.provisioner(store=IdentityStore(stand.folder / "other"), secret=secret, serial=serial)
    return first, await other.provision()


def session(stand: Stand, identity: Identity, *, client_id: str, clean: bool = True) -> aiomqtt.Client:
    """Return a gateway's client that asks for a client id of its choice."""
    context = ssl.create_default_context(cafile=stand.authority.ca_path)
    context.load_cert_chain(identity.cert_file, identity.key_file)
    kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    kept.SessionExpiryInterval = 600
    return aiomqtt.Client(
        "localhost",
        stand.doors.tls_port,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=clean,
        properties=kept,
        tls_context=context,
    )


def cloud_session(stand: Stand) -> aiomqtt.Client:
    """Return the cloud's client, whose session the broker keeps while it is away."""
    door = PlainDoor(folder=stand.folder / "fleet")
    return aiomqtt.Client(
        "127.0.0.1",
        stand.doors.plain_port,
        identifier=CLOUD_ID,
        username=CLOUD_USER,
        password=door.password(CLOUD_USER),
        clean_session=False,
    )


async def next_payload(client: aiomqtt.Client) -> bytes:
    """Return the next message's payload."""
    async with asyncio.timeout(SAFETY_TIMEOUT_S):
        return bytes((await anext(client.messages)).payload)


async def test_a_gateway_cannot_take_what_waits_for_the_cloud(stand: Stand, pair: tuple[Identity, Identity]) -> None:
    """A reading that the broker has acknowledged reaches the cloud, whatever client id another gateway asks for."""
    mine, foreign = pair
    async with cloud_session(stand) as cloud:
        await cloud.subscribe(METER, qos=1)
    async with session(stand, mine, client_id=SITE) as sender:
        await sender.publish(METER, b"reading", qos=1)
    for client_id in (CLOUD_ID, CLIENT_ID, SITE):
        async with session(stand, foreign, client_id=client_id) as thief:
            await thief.subscribe(f"sitewatt/v1/{ZONE}/{OTHER}/commands", qos=1)
    async with cloud_session(stand) as cloud:
        assert await next_payload(cloud) == b"reading"


async def test_a_gateway_cannot_throw_another_out(stand: Stand, pair: tuple[Identity, Identity]) -> None:
    """The victim's session stands, and so does what waits in it, while another connects under its name."""
    mine, foreign = pair
    link = make_link(stand.settings(Client.MQTT, identity=mine), client_id=SITE)
    async with background(link.run(), name="link"):
        await until(lambda: link.status().state is LinkState.CONNECTED)
        for client_id in (SITE, CLOUD_ID, CLIENT_ID):
            async with session(stand, foreign, client_id=client_id):
                await link.publish(METER, b"{}")
        assert stand.responder.ready.is_set()
        assert link.status().state is LinkState.CONNECTED
        assert link.status().last_error is None


async def test_new_rules_part_nobody_from_the_broker_but_who_was_revoked(
    stand: Stand, pair: tuple[Identity, Identity]
) -> None:
    """The broker reads its rules again with every gateway that joins: the others and the cloud must not notice."""
    mine, foreign = pair
    link = make_link(stand.settings(Client.MQTT, identity=mine), client_id=SITE)
    async with (
        background(link.run(), name="link"),
        cloud_session(stand) as cloud,
        session(stand, foreign, client_id=OTHER) as revoked,
    ):
        await until(lambda: link.status().state is LinkState.CONNECTED)
        await cloud.subscribe("#", qos=1)
        stand.operator.decommission(OTHER)
        await until(lambda: foreign.certificate_id not in (stand.folder / "fleet" / "acl").read_text())
        for topic in (METER, site_topic(zone=ZONE, site=OTHER, channel=Up.METER)):
            await revoked.publish(topic, b"{}", qos=1)
        await link.publish(METER, b"reading")
        assert await next_payload(cloud) == b"reading"
        assert link.status().last_error is None
        assert stand.responder.ready.is_set()


async def test_a_gateways_own_session_outlasts_its_absence(stand: Stand, pair: tuple[Identity, Identity]) -> None:
    """Trades that were sent while a gateway restarted wait for it, also where it asks for another client id."""
    mine, _ = pair
    topic = site_topic(zone=ZONE, site=SITE, channel=Down.TRADES)
    async with session(stand, mine, client_id=SITE) as gateway:
        await gateway.subscribe(topic, qos=1)
    async with stand.plain_client() as cloud:
        await cloud.publish(topic, b"trade", qos=1)
    async with session(stand, mine, client_id="anything", clean=False) as gateway:
        assert await next_payload(gateway) == b"trade"


@pytest.mark.parametrize("client", Client)
async def test_nobody_hears_another_being_provisioned(
    stand: Stand, pair: tuple[Identity, Identity], client: Client
) -> None:
    """An answer holds the token that registers a certificate: it is for the asker alone, a claim or a gateway."""
    _, foreign = pair
    everything = ("#", "$aws/#", f"{CSR_TOPIC}/#", f"{REGISTER_TOPIC}/#", f"{CSR_TOPIC}/by/+/accepted")
    serial = "sn-0003"
    secret = admit(stand.tables, serial=serial, site="site-3", zone=ZONE)
    own = f"$aws/things/{OTHER}/jobs/notify-next"
    async with session(stand, foreign, client_id=OTHER) as spy:
        for topic in everything:
            await spy.subscribe(topic, qos=1)
        third = stand.provisioner(client, store=IdentityStore(stand.folder / "third"), secret=secret, serial=serial)
        await third.provision()
        async with stand.plain_client() as cloud:
            for topic in (f"{CSR_TOPIC}/accepted", f"{REGISTER_TOPIC}/accepted", own):
                await cloud.publish(topic, b"for the asker", qos=1)
        async with asyncio.timeout(SAFETY_TIMEOUT_S):
            message = await anext(spy.messages)
        assert message.topic.value == own


async def test_a_gateway_asks_an_older_private_cloud_as_before(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """Who upgrades the gateways first can still provision: an older cloud answers on the topics that all share."""
    heard: list[str] = []

    async def older_cloud(ready: asyncio.Event) -> None:
        async with stand.plain_client() as cloud:
            await cloud.subscribe(f"{CSR_TOPIC}", qos=1)
            ready.set()
            async for message in cloud.messages:
                heard.append(message.topic.value)
                await cloud.publish(f"{message.topic.value}/accepted", b'{"certificateId": "x"}', qos=1)

    stand.fault_injection.plan(Operation.CERTIFY, Manner.LOST)
    (stand.folder / "fleet" / "acl").write_text(f"user {stand.claim_id}\ntopic readwrite #\ntopic readwrite $aws/#\n")
    stand.responder.reload_rules()
    ready = asyncio.Event()
    async with background(older_cloud(ready), name="older cloud"):
        await ready.wait()
        async with fleet_service(stand.settings(Client.MQTT), client_id="claim", timeout_s=1.0) as service:
            assert await service.certify("request") == {"certificateId": "x"}
    assert heard == [CSR_TOPIC]
    assert "asked as of an older fleet" in caplog.text


@pytest.mark.parametrize(
    ("username", "password"),
    [(None, None), (CLOUD_USER, None), (CLOUD_USER, "guessed"), (SITE, "guessed"), (OPERATOR_USER, "")],
)
async def test_the_plain_door_takes_no_stranger(stand: Stand, username: str | None, password: str | None) -> None:
    """Another user of the machine, or a gateway on it, is not the cloud because it found the port."""
    client = aiomqtt.Client("127.0.0.1", stand.doors.plain_port, username=username, password=password)
    with pytest.raises(aiomqtt.MqttError):
        await client.__aenter__()


async def test_the_operator_orders_and_listens_and_is_not_the_cloud(stand: Stand) -> None:
    """Who may send signed commands may neither speak as the market nor answer as the fleet's services."""
    commands = site_topic(zone=ZONE, site=SITE, channel=Down.COMMANDS)
    trades = site_topic(zone=ZONE, site=SITE, channel=Down.TRADES)
    shadow = f"$aws/things/{SITE}/shadow/name/limits/update"
    heard: list[str] = []

    async def listen(ready: asyncio.Event) -> None:
        async with stand.plain_client() as cloud:
            for topic in ("sitewatt/#", "$aws/#"):
                await cloud.subscribe(topic, qos=1)
            ready.set()
            async for message in cloud.messages:
                heard.append(message.topic.value)

    ready = asyncio.Event()
    async with background(listen(ready), name="cloud"), stand.plain_client(OPERATOR_USER) as operator:
        await ready.wait()
        await operator.subscribe("sitewatt/v1/+/+/acks", qos=1)
        for topic in (trades, shadow, METER, commands):
            await operator.publish(topic, b"{}", qos=1)
        await until(lambda: commands in heard)
        assert heard == [commands]
        async with stand.plain_client() as cloud:
            await cloud.publish(site_topic(zone=ZONE, site=SITE, channel=Up.ACKS), b"ack", qos=1)
        assert await next_payload(operator) == b"ack"


def test_passwords_are_private_and_stay_the_same(tmp_path: Path) -> None:
    """A restart must not lock out who was told a password; no other user of the machine may read one."""
    door = PlainDoor(folder=tmp_path / "fleet")
    door.prepare()
    first = {user: door.password(user) for user in (CLOUD_USER, OPERATOR_USER)}
    door.prepare()
    assert {user: door.password(user) for user in first} == first
    assert len(set(first.values())) == 2
    files = list(door.folder.iterdir())
    assert len(files) == 4
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    hashes = door.hashes_path.read_text()
    assert not any(password in hashes for password in first.values())


def test_the_functions_find_the_password_of_their_own_fleet(tmp_path: Path) -> None:
    """The settings of a private cloud from before there were passwords go on working."""
    path = write_config(tmp_path, port=1883)
    assert load_config(path).broker.password() is None
    door = PlainDoor(folder=load_config(path).folder / "fleet")
    door.prepare()
    assert load_config(path).broker.password() == door.password(CLOUD_USER)
