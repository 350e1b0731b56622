"""A gateway against the stand-in with both client libraries: it ends provisioned or cleanly not, whatever is done."""

import asyncio
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloud.handlers import provisioning_hook
from cloud.infra.fleet import CSR_TOPIC
from cloud.local.fleet import responder
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.broker import Doors, running_broker
from cloud.local.fleet.fault_injection import Manner, Operation
from cloud.local.fleet.passwords import CLOUD_USER, OPERATOR_USER, PlainDoor
from cloud.stores.serials import release, retire
from contracts.control import AckStage, Command, CommandAck
from contracts.topics import Down, Up, provisioning_topic, site_topic
from edge.errors import FleetError, FleetRefused, FleetSilent
from edge.fleet.identity import Identity, IdentityStore, Stage
from edge.fleet.requests import Requests
from edge.links.link import Ack, LinkState
from edge.links.making import make_link
from edge.links.mqtt import MqttLink
from edge.links.settings import Client, LinkSettings
from tests.support.brokers.broker import free_port
from tests.support.brokers.link_parts import SAFETY_TIMEOUT_S, Wire, background, until
from tests.support.fleet.stand import SITE, ZONE, Stand, standing
from tests.support.rigs.gateway import cli

BOTH = pytest.mark.parametrize("client", Client)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """A private fleet with one serial on its list."""
    async with standing(tmp_path) as running:
        yield running


async def assert_works(stand: Stand, identity: Identity, client: Client = Client.MQTT) -> None:
    """Connect as the provisioned thing."""
    link = make_link(stand.settings(client, identity=identity), client_id=identity.thing_name)
    async with background(link.run(), name="link"):
        await until(lambda: link.status().state is LinkState.CONNECTED)


async def test_a_broker_that_crashes_is_started_again(tmp_path: Path) -> None:
    """Some versions of mosquitto die of reading their rules again; a developer must not wait for a dead one."""
    rules = tmp_path / "acl"
    rules.touch(mode=0o600)
    authority = LocalAuthority(tmp_path / "authority")
    authority.revoke([])
    doors = Doors(plain_port=free_port(), tls_port=free_port())
    async with running_broker(doors=doors, folder=tmp_path, authority=authority, rules_path=rules) as broker:
        first = broker.pid
        os.kill(first, signal.SIGSEGV)
        await until(lambda: broker.pid != first)
        plain = LinkSettings(
            url=f"mqtt://127.0.0.1:{doors.plain_port}",
            username=CLOUD_USER,
            password_file=PlainDoor(folder=tmp_path).password_path(CLOUD_USER),
        )
        link = MqttLink(plain, client_id=SITE)
        async with background(link.run(), name="link"):
            await until(lambda: link.status().state is LinkState.CONNECTED)


@BOTH
async def test_a_claim_becomes_a_site_of_its_zone(stand: Stand, client: Client) -> None:
    """The list of serials decides which site a gateway is, not the gateway."""
    identity = await stand.provisioner(client).provision()
    assert (identity.thing_name, identity.configuration) == (SITE, {"site": SITE, "zone": ZONE})
    await assert_works(stand, identity, client)
    (view,) = stand.operator.gateways()
    assert view.certificates == (identity.certificate_id,)


@BOTH
@pytest.mark.parametrize("operation", [Operation.CERTIFY, Operation.REGISTER])
@pytest.mark.parametrize("manner", [Manner.LOST, Manner.UNANSWERED, Manner.LATE])
async def test_silence_is_outlasted(stand: Stand, client: Client, operation: Operation, manner: Manner) -> None:
    """Also where the request was carried out and only its answer was lost: the same key may come again."""
    stand.fault_injection.late_s = 1.0
    stand.fault_injection.plan(operation, manner)
    identity = await stand.provisioner(client, answer_timeout_s=0.7).provision()
    await assert_works(stand, identity)


@BOTH
@pytest.mark.parametrize("operation", [Operation.CERTIFY, Operation.REGISTER])
async def test_a_refusal_leaves_no_identity_and_is_no_dead_end(
    stand: Stand, client: Client, operation: Operation
) -> None:
    """Who is refused today may be let in tomorrow, from the same folder."""
    stand.fault_injection.plan(operation, Manner.REJECTED)
    with pytest.raises(FleetRefused, match="refused as told"):
        await stand.provisioner(client).provision()
    assert stand.store().active() is None
    assert stand.store().pending().stage in {Stage.NONE, Stage.KEY}
    await assert_works(stand, await stand.provisioner(client).provision())


@BOTH
@pytest.mark.parametrize("operation", [Operation.CERTIFY, Operation.REGISTER])
@pytest.mark.parametrize("manner", [Manner.WRONG, Manner.GARBLED])
async def test_an_unusable_answer_is_not_kept(
    stand: Stand, client: Client, operation: Operation, manner: Manner
) -> None:
    """What we cannot prove is no identity; the next attempt goes on from what was good."""
    stand.fault_injection.plan(operation, manner)
    with pytest.raises(FleetError):
        await stand.provisioner(client).provision()
    assert stand.store().active() is None
    await assert_works(stand, await stand.provisioner(client).provision())


@BOTH
async def test_a_revoked_claim_gets_nothing(stand: Stand, client: Client) -> None:
    """A claim that was stolen from a factory must be worth nothing an instant later."""
    stand.operator.revoke_claim(stand.claim_id)
    await until(lambda: f" {stand.claim_id}" not in (stand.folder / "fleet" / "acl").read_text())
    with pytest.raises(FleetSilent):
        await stand.provisioner(client, answer_timeout_s=0.5).provision()
    assert stand.store().active() is None


async def test_a_wrong_secret_is_refused(stand: Stand) -> None:
    """A copied claim and a guessed serial do not make a site."""
    with pytest.raises(FleetRefused, match="hook refused"):
        await stand.provisioner(secret=b"guessed").provision()


@pytest.mark.parametrize("fault", ["silent", "broken"])
async def test_a_hook_that_does_not_answer_is_a_no(stand: Stand, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """The service waits five seconds, and lets nobody in by mistake; once it is mended the same claim is good."""
    released = threading.Event()

    def hook(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if fault == "broken":
            raise KeyError("serial")
        assert released.wait(SAFETY_TIMEOUT_S)
        return {"allowProvisioning": True}

    with monkeypatch.context() as patched:
        patched.setattr(provisioning_hook, "handler", hook)
        patched.setattr(responder, "HOOK_BUDGET_S", 0.2)
        with pytest.raises(FleetRefused, match="hook refused"):
            await stand.provisioner().provision()
        released.set()
    assert stand.store().active() is None
    await assert_works(stand, await stand.provisioner().provision())


async def test_nonsense_of_one_thing_does_not_end_the_services(stand: Stand) -> None:
    """One gateway with a fault must not cost a developer the whole cloud."""
    identity = await stand.provisioner().provision()
    link = make_link(stand.settings(Client.MQTT, identity=identity), client_id=SITE)
    requests = Requests(link, timeout_s=5)
    own = f"$aws/things/{SITE}"
    nonsense = [b"", b"\xff", b"[]", b"[" * 50_000, b"{}", b'{"state": 1}', b'{"state": {"desired": 5}}']
    nonsense += [b'{"status": "FAILED", "expectedVersion": {}}', b'{"state": {"desired": {"a": 1}}, "version": "x"}']
    nonsense += [b'{"certificateSigningRequest": {"a": 1}}', b'{"certificateOwnershipToken": []}']
    asked = provisioning_topic(CSR_TOPIC, certificate_id=identity.certificate_id)
    async with background(link.run(), name="link"), background(requests.run(), name="answers"):
        await until(lambda: link.status().state is LinkState.CONNECTED)
        for topic in (f"{own}/shadow/name/config/update", f"{own}/jobs/x/update", f"{own}/jobs/start-next", asked):
            for payload in nonsense:
                await link.publish(topic, payload)
        answer = await requests.ask(f"{own}/shadow/name/limits/update", {"state": {"reported": {"a": 1}}})
        assert answer["version"] == 1


async def test_a_second_gateway_waits_for_release(stand: Stand) -> None:
    """Two boxes with one label: the second stays out until somebody has looked."""
    first = await stand.provisioner().provision()
    second = IdentityStore(stand.folder / "second")
    with pytest.raises(FleetRefused, match="hook refused"):
        await stand.provisioner(store=second).provision()
    release(stand.tables, "sn-0001")
    identity = await stand.provisioner(store=second).provision()
    assert identity.certificate_id != first.certificate_id
    retire(stand.tables, "sn-0001")
    with pytest.raises(FleetRefused, match="hook refused"):
        await stand.provisioner(store=IdentityStore(stand.folder / "third")).provision()


@BOTH
async def test_the_key_is_on_no_wire(stand: Stand, client: Client) -> None:
    """All that crossed the broker is searched for the key, its number and the secret."""
    heard: list[bytes] = []

    async def listen() -> None:
        async with stand.plain_client() as listener:
            await listener.subscribe("#", qos=1)
            await listener.subscribe("$aws/#", qos=1)
            heard.append(b"")
            async for message in listener.messages:
                heard.append(bytes(message.payload))

    async with background(listen(), name="listener"):
        await until(lambda: heard)
        identity = await stand.provisioner(client).provision()
        await until(lambda: any(b"thingName" in payload for payload in heard))
    everything = b"\n".join(heard)
    assert b"BEGIN CERTIFICATE REQUEST" in everything
    key_lines = [line for line in identity.key_file.read_bytes().splitlines() if not line.startswith(b"---")]
    assert not any(line in everything for line in key_lines)
    assert b"PRIVATE KEY" not in everything
    assert stand.secret not in everything
    assert stand.secret.hex().encode() not in everything


async def test_a_thing_reaches_its_own_topics_only(stand: Stand) -> None:
    """One gateway's key must not open another's site."""
    identity = await stand.provisioner().provision()
    link = make_link(stand.settings(Client.MQTT, identity=identity), client_id=SITE)
    async with background(link.run(), name="link"), asyncio.timeout(SAFETY_TIMEOUT_S):
        await link.wait_for(LinkState.CONNECTED)
        assert await link.publish(f"sitewatt/v1/{ZONE}/{SITE}/meter", b"{}") is Ack.ACCEPTED
        for foreign in (
            f"sitewatt/v1/{ZONE}/other/meter",
            f"sitewatt/v1/zone-b/{SITE}/meter",
            f"sitewatt/v1/{ZONE}/{SITE}/commands",
            "$aws/things/other/shadow/name/config/update",
        ):
            assert await link.publish(foreign, b"{}") is Ack.REFUSED, foreign


async def test_a_decommissioned_gateway_is_out(stand: Stand) -> None:
    """A stolen box is one command away from being a brick."""
    identity = await stand.provisioner().provision()
    stand.operator.decommission(SITE)
    await until(lambda: identity.certificate_id not in (stand.folder / "fleet" / "acl").read_text())
    link = make_link(stand.settings(Client.MQTT, identity=identity), client_id=SITE)
    async with background(link.run(), name="link"):
        # Some versions of the broker read the list of revoked certificates only when they start: there the gateway
        # still connects, and may do nothing.
        await until(lambda: link.status().last_error or link.status().state is LinkState.CONNECTED)
        if link.status().last_error is None:
            assert await link.publish(f"sitewatt/v1/{ZONE}/{SITE}/meter", b"{}") is Ack.REFUSED
            asked = provisioning_topic(CSR_TOPIC, certificate_id=identity.certificate_id)
            assert await link.publish(asked, b"{}") is Ack.REFUSED


@BOTH
async def test_a_link_that_breaks_in_between_is_no_dead_end(stand: Stand, client: Client) -> None:
    """The mobile router restarts just then."""
    wire = Wire(stand.doors.tls_port)
    async with wire.open():
        stand.fault_injection.plan(Operation.REGISTER, Manner.LOST)
        work = asyncio.create_task(stand.provisioner(client, answer_timeout_s=2.0, port=wire.port).provision())
        await until(lambda: stand.store().pending().stage is Stage.CERTIFIED)
        wire.cut()
        await assert_works(stand, await work)


@BOTH
async def test_an_order_by_hand_reaches_a_thing_and_its_answer_comes_back(
    stand: Stand, client: Client, tmp_path: Path
) -> None:
    """`command send` and `watch` beside a gateway that speaks through the SDK of AWS, with its own certificate."""
    identity = await stand.provisioner(client).provision()
    link = make_link(stand.settings(client, identity=identity), client_id=SITE)
    link.subscribe([site_topic(zone=ZONE, site=SITE, channel=Down.COMMANDS)])
    acks = site_topic(zone=ZONE, site=SITE, channel=Up.ACKS)
    key, door = tmp_path / "dso.pem", PlainDoor(folder=stand.folder / "fleet")
    where = (
        "--broker", f"mqtt://127.0.0.1:{stand.doors.plain_port}", "--username", OPERATOR_USER,
        "--password-file", str(door.password_path(OPERATOR_USER)), "--zone", ZONE, "--json",
    )  # fmt: skip
    assert (await cli("command", "keys", "new", str(key)))[0] == 0

    def said(order: Command, stage: AckStage, seq: int) -> bytes:
        now = datetime.now(UTC)
        return CommandAck(
            site=SITE, epoch=1, seq=seq, sent_at=now, at=now, command_id=order.command_id, stage=stage
        ).encode()

    async def answered() -> Command:
        order = Command.decode((await anext(link.messages())).payload)
        for seq, stage in enumerate((AckStage.ACCEPTED, AckStage.APPLIED, AckStage.EFFECTIVE), start=1):
            await link.publish(acks, said(order, stage, seq))
        return order

    async with background(link.run(), name="link"), asyncio.timeout(SAFETY_TIMEOUT_S):
        await link.wait_for(LinkState.CONNECTED)
        gateway = asyncio.create_task(answered())
        mine = ("--key", str(key), "--issuer", "dso", "--wait", "effective")
        code, out, err = await cli("command", "send", SITE, "limit-export", "--max-w", "500", *mine, *where)
        order = await gateway
        assert code == 0, err
        assert (json.loads(out)["stage"], json.loads(out)["command_id"]) == ("effective", order.command_id)
        watching = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sitewatt", "command", "watch", SITE, *where, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert watching.stdout is not None
            line = asyncio.create_task(watching.stdout.readline())
            # A watcher hears what is said from when it listens on, which nobody else is told.
            for seq in itertools.count(4):
                await link.publish(acks, said(order, AckStage.COMPLETED, seq))
                done, _ = await asyncio.wait([line], timeout=0.5)
                if done:
                    break
            heard = json.loads(await line)
            assert (heard["command_id"], heard["stage"]) == (order.command_id, "completed")
        finally:
            watching.kill()
            await watching.wait()
