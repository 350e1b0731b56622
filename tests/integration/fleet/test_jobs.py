"""Jobs from an operator to a gateway and back, over the stand-in; real virtual environments; the SDK's own clients."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloud.infra.fleet import TEMPLATE_NAME
from cloud.stores.serials import release
from contracts.claim_proof import Proof
from contracts.clock import scaled_clock
from edge.fleet.identity import Identity
from edge.fleet.jobs import FleetJobs
from edge.fleet.provisioning import Claim, Provisioner
from edge.fleet.requests import Requests
from edge.fleet.service import TopicService
from edge.fleet.stopping import stopped
from edge.fleet.update import launch
from edge.fleet.update.environment import Environments, VenvEnvironments
from edge.fleet.update.updater import Step, Updater
from edge.links.link import Link, LinkState
from edge.links.making import make_link
from edge.links.settings import Client
from edge.process.lifetime import StopRequested
from tests.support.brokers.link_parts import AT, background, until
from tests.support.fleet.stand import SERIAL, SITE, Stand, standing
from tests.support.fleet.updates import PACKAGED, SIGNER, FileEnvironments, Shop, shop

__all__ = ["shop"]


class Gateway:
    """A provisioned gateway that is started anew whenever it asks for it."""

    def __init__(self, stand: Stand, identity: Identity, environments: Environments) -> None:
        self.root = stand.folder / "software"
        self.root.mkdir()
        self.complaint: str | None = None
        self.in_event = False
        self.starts: list[str | None] = []
        self._stand = stand
        self._identity = identity
        self._environments = environments

    def updater(self) -> Updater:
        """Return the updater of a fresh process."""
        return Updater(
            self.root,
            packaged=PACKAGED,
            trusted=SIGNER.public_key(),
            environments=self._environments,
            clock=scaled_clock(started_at=AT, speed=1000),
        )

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            self.starts.append(launch.choose(self.root, packaged=PACKAGED))
            link = make_link(self._stand.settings(Client.MQTT, identity=self._identity), client_id=SITE)
            requests = Requests(link, timeout_s=10.0)
            jobs = FleetJobs(
                link=link,
                requests=requests,
                thing=SITE,
                updater=self.updater(),
                clock=scaled_clock(started_at=AT, speed=1000),
                complaint=lambda: self.complaint,
                in_event=lambda: self.in_event,
                renew=functools.partial(self._renew, requests),
                identity=lambda: self._identity,
            )
            tasks = [
                asyncio.create_task(link.run(), name="link"),
                asyncio.create_task(_hear(link, jobs), name="hear"),
            ]
            try:
                async with asyncio.timeout(60):
                    await link.wait_for(LinkState.CONNECTED)
                await jobs.run()
            except StopRequested:
                continue
            finally:
                await stopped(*tasks)

    async def _renew(self, requests: Requests, job_id: str) -> Identity:
        provisioner = Provisioner(
            store=self._stand.store(),
            settings=self._stand.settings(Client.MQTT, identity=self._identity),
            template=TEMPLATE_NAME,
            claim=Claim(
                cert_file=self._identity.cert_file,
                key_file=self._identity.key_file,
                client_id=SITE,
                serial=SERIAL,
                secret=self._stand.secret,
                proof=Proof.DERIVED,
            ),
            clock=scaled_clock(started_at=AT, speed=1000),
            session=TopicService(requests, cert_file=self._identity.cert_file),
            purpose=job_id,
        )
        self._identity = await provisioner.provision()
        return self._identity


async def _hear(link: Link, jobs: FleetJobs) -> None:
    async for message in link.messages():
        jobs.arrived(message)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """A private fleet."""
    async with standing(tmp_path) as running:
        yield running


@pytest.fixture
def environments() -> Environments:
    """Quick environments; one test takes real ones."""
    return FileEnvironments()


@pytest.fixture
async def gateway(stand: Stand, environments: Environments) -> AsyncIterator[Gateway]:
    """A provisioned gateway, running."""
    made = Gateway(stand, await stand.provisioner().provision(), environments)
    async with background(made.run(), name="gateway"):
        yield made


def ended(stand: Stand, job_id: str) -> str | None:
    """Return how a job ended, ``None`` while it has not."""
    state = stand.operator.job(SITE, job_id).state
    return None if state in {"QUEUED", "IN_PROGRESS"} else state


async def test_an_update_is_carried_out_and_reported(stand: Stand, gateway: Gateway, shop: Shop) -> None:
    """From the operator's word to the new version and back."""
    shop.publish("1.1.0")
    stand.operator.create_job(SITE, job_id="up-1", document=shop.document("1.1.0"))
    await until(lambda: ended(stand, "up-1"))
    assert stand.operator.job(SITE, "up-1").state == "SUCCEEDED"
    assert stand.operator.job(SITE, "up-1").details == {"version": "1.1.0"}
    assert gateway.starts == [None, "1.1.0"]


async def test_a_version_that_is_not_well_goes_back_by_itself(stand: Stand, gateway: Gateway, shop: Shop) -> None:
    """The operator reads why."""
    gateway.complaint = "no control cycle"
    shop.publish("1.1.0")
    stand.operator.create_job(SITE, job_id="up-1", document=shop.document("1.1.0"))
    await until(lambda: ended(stand, "up-1"))
    told = stand.operator.job(SITE, "up-1")
    assert told.state == "FAILED"
    assert "no control cycle" in told.details["reason"]
    assert gateway.starts == [None, "1.1.0", None]


async def test_an_unsigned_job_is_rejected_and_the_next_one_done(stand: Stand, gateway: Gateway, shop: Shop) -> None:
    """A refused job must not stand in the way."""
    shop.publish("1.1.0")
    stand.operator.create_job(SITE, job_id="a-bad", document={**shop.document("1.1.0"), "signature": ""})
    stand.operator.create_job(SITE, job_id="b-good", document=shop.document("1.1.0"))
    await until(lambda: ended(stand, "b-good"))
    assert (ended(stand, "a-bad"), ended(stand, "b-good")) == ("REJECTED", "SUCCEEDED")
    assert stand.operator.job(SITE, "a-bad").details["code"] == "bad_signature"


async def test_an_update_waits_for_the_end_of_an_event(stand: Stand, gateway: Gateway, shop: Shop) -> None:
    """What was promised to the grid goes before."""
    gateway.in_event = True
    shop.publish("1.1.0")
    stand.operator.create_job(SITE, job_id="up-1", document=shop.document("1.1.0"))
    await until(lambda: gateway.updater().next_step() is Step.SWITCH)
    assert gateway.starts == [None]
    gateway.in_event = False
    await until(lambda: ended(stand, "up-1"))
    assert gateway.starts == [None, "1.1.0"]


async def test_a_certificate_is_renewed_by_a_job(stand: Stand, gateway: Gateway) -> None:
    """Over the open session, as two sessions under one name throw each other out."""
    before = stand.operator.gateway(SITE).certificates
    release(stand.tables, SERIAL)
    stand.operator.create_job(SITE, job_id="renew-1", document={"operation": "renew"})
    await until(lambda: ended(stand, "renew-1"))
    assert ended(stand, "renew-1") == "SUCCEEDED"
    active = stand.store().active()
    assert active is not None
    assert active.certificate_id not in before
    await until(lambda: len(gateway.starts) == 2)


@pytest.mark.parametrize("environments", [VenvEnvironments(trial=("-c", "import tiny_gateway, pydantic"))])
async def test_a_real_environment_is_made_beside_the_running_one(
    stand: Stand, gateway: Gateway, shop: Shop, environments: Environments
) -> None:
    """A virtual environment with the artefact in it, and one that does not start is never switched to."""
    shop.publish("1.1.0")
    shop.publish("1.2.0", broken=True)
    stand.operator.create_job(SITE, job_id="a-good", document=shop.document("1.1.0"))
    await until(lambda: ended(stand, "a-good"), timeout_s=60)
    stand.operator.create_job(SITE, job_id="b-bad", document=shop.document("1.2.0"))
    await until(lambda: ended(stand, "b-bad"), timeout_s=60)
    assert (ended(stand, "a-good"), ended(stand, "b-bad")) == ("SUCCEEDED", "FAILED")
    assert "broken build" in stand.operator.job(SITE, "b-bad").details["reason"]
    python = gateway.root / "current" / "bin" / "python"
    process = await asyncio.create_subprocess_exec(
        str(python), "-c", "import tiny_gateway; print(tiny_gateway.VERSION)", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"1.1.0\n"


async def test_the_sdks_clients_find_the_service_they_expect(stand: Stand) -> None:
    """Shadows and jobs by ``IotShadowClientV2`` and ``IotJobsClientV2``: the stand-in speaks as the service does."""
    identity = await stand.provisioner().provision()
    stand.operator.create_job(SITE, job_id="j1", document={"operation": "renew"})
    await asyncio.to_thread(_drive_sdk, stand, identity)
    assert stand.operator.job(SITE, "j1").state == "SUCCEEDED"


def _drive_sdk(stand: Stand, identity: Identity) -> None:
    import threading

    from awscrt import mqtt_request_response
    from awsiot import V2ServiceException, iotjobs, iotshadow, mqtt5_client_builder

    connected, stopped = threading.Event(), threading.Event()
    client = mqtt5_client_builder.mtls_from_path(
        endpoint="localhost",
        port=stand.doors.tls_port,
        cert_filepath=str(identity.cert_file),
        pri_key_filepath=str(identity.key_file),
        ca_filepath=str(stand.authority.ca_path),
        client_id=SITE,
        on_lifecycle_connection_success=lambda data: connected.set(),
        on_lifecycle_stopped=lambda data: stopped.set(),
    )
    client.start()
    try:
        assert connected.wait(60)
        options = mqtt_request_response.ClientOptions(
            max_request_response_subscriptions=8, max_streaming_subscriptions=2, operation_timeout_in_seconds=10
        )
        shadows: Any = iotshadow.IotShadowClientV2(client, options)
        of = {"thing_name": SITE, "shadow_name": "config"}
        with pytest.raises(V2ServiceException) as missing:
            shadows.get_named_shadow(iotshadow.GetNamedShadowRequest(**of)).result(10)
        assert missing.value.modeled_error.code == 404
        state = iotshadow.ShadowState(desired={"a": 1, "b": {"c": 2}}, reported={"a": 1})
        updated = shadows.update_named_shadow(iotshadow.UpdateNamedShadowRequest(state=state, **of)).result(10)
        assert updated.version == 1
        got = shadows.get_named_shadow(iotshadow.GetNamedShadowRequest(**of)).result(10)
        assert (got.state.desired, got.state.delta) == ({"a": 1, "b": {"c": 2}}, {"b": {"c": 2}})
        stale = iotshadow.UpdateNamedShadowRequest(state=state, version=9, **of)
        with pytest.raises(V2ServiceException) as conflict:
            shadows.update_named_shadow(stale).result(10)
        assert conflict.value.modeled_error.code == 409
        jobs: Any = iotjobs.IotJobsClientV2(client, options)
        listed = jobs.get_pending_job_executions(iotjobs.GetPendingJobExecutionsRequest(thing_name=SITE)).result(10)
        assert [job.job_id for job in listed.queued_jobs] == ["j1"]
        asked = iotjobs.StartNextPendingJobExecutionRequest(thing_name=SITE)
        begun = jobs.start_next_pending_job_execution(asked).result(10)
        assert (begun.execution.job_id, begun.execution.status) == ("j1", "IN_PROGRESS")
        told = iotjobs.UpdateJobExecutionRequest(
            thing_name=SITE, job_id="j1", status="SUCCEEDED", expected_version=begun.execution.version_number
        )
        jobs.update_job_execution(told).result(10)
    finally:
        client.stop()
        assert stopped.wait(60)
