"""An identity by claim, on a real broker with client certificates; every fault ends provisioned or cleanly not."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.claim_proof import Proof, is_proven, verifier_of
from contracts.clock import scaled_clock
from contracts.units import epoch_ms
from edge.errors import FleetError, FleetRefused, FleetSilent
from edge.fleet.identity import Identity, IdentityStore, Stage
from edge.fleet.provisioning import Claim, Provisioner
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings
from tests.support.brokers.broker import Authority, Broker, running
from tests.support.brokers.link_parts import AT, background, until
from tests.support.fleet.service import ACL, CSR_TOPIC, REGISTER_TOPIC, TEMPLATE, FleetService

SERIAL = "gw-0001"
SECRET = b"printed on the label"


class Setting:
    """A broker, a service and a gateway's folder."""

    def __init__(self, broker: Broker, folder: Path, client: Client) -> None:
        assert broker.authority is not None
        self.authority = broker.authority
        self.service = FleetService(broker=broker, authority=broker.authority)
        self.folder = folder
        self.answer_timeout_s = 5.0
        self.claim_identity = self.authority.issue("claim")
        self.settings = LinkSettings(
            client=client,
            url=broker.url,
            ca_file=self.authority.ca_path,
            cert_file=self.claim_identity.cert_path,
            key_file=self.claim_identity.key_path,
            throttle=False,
            reconnect_s_min=0.05,
            reconnect_s_max=0.2,
        )

    def provisioner(self, store: IdentityStore | None = None, **claim: Any) -> Provisioner:
        """Return a provisioner as a fresh process would make it."""
        fields: dict[str, Any] = {
            "cert_file": self.claim_identity.cert_path,
            "key_file": self.claim_identity.key_path,
            "client_id": f"claim-{SERIAL}",
            "serial": SERIAL,
            "secret": SECRET,
        }
        return Provisioner(
            store=store or IdentityStore(self.folder),
            settings=self.settings,
            template=TEMPLATE,
            claim=Claim(**{**fields, **claim}),
            clock=scaled_clock(started_at=AT, speed=1000),
            answer_timeout_s=self.answer_timeout_s,
        )

    async def assert_works(self, identity: Identity) -> None:
        """Connect as the provisioned thing."""
        settings = self.settings.model_copy(update={"cert_file": identity.cert_file, "key_file": identity.key_file})
        link = make_link(settings, client_id=identity.thing_name)
        async with background(link.run(), name="link"):
            await until(lambda: link.status().state is LinkState.CONNECTED)


@pytest.fixture
def client() -> Client:
    """The client library; tests that ask both say so."""
    return Client.MQTT


@pytest.fixture
def setting(client: Client, tmp_path: Path) -> Iterator[Setting]:
    """A service on a broker, and a gateway without an identity."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker(folder=folder, authority=Authority(folder=folder), acl=ACL)) as broker:
        yield Setting(broker, tmp_path / "fleet", client)


@pytest.mark.parametrize("client", Client)
async def test_a_claim_becomes_an_identity_whose_key_never_left(setting: Setting) -> None:
    """Whoever reads the wire or the cloud's log must not be able to become the gateway."""
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        identity = await setting.provisioner().provision()
        await setting.assert_works(identity)
    assert (identity.thing_name, identity.configuration) == (SERIAL, {"zone": "zone-a"})
    key = identity.key_file.read_text()
    secret_lines = [line for line in key.splitlines() if not line.startswith("---")]
    sent = str(setting.service.requests)
    assert not any(line in sent for line in secret_lines)
    assert identity.key_file.stat().st_mode & 0o777 == 0o600
    assert identity.key_file.resolve().parent.stat().st_mode & 0o777 == 0o700
    (parameters,) = setting.service.registered
    expected = hmac.new(SECRET, f"{SERIAL}:{parameters['KeyFingerprint']}".encode(), hashlib.sha256).hexdigest()
    assert parameters["Proof"] == expected
    assert SECRET.decode() not in sent


async def test_a_claim_says_how_its_list_wants_the_proof(setting: Setting) -> None:
    """A list that holds only what is derived of the secret cannot check the proof of before."""
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        await setting.provisioner(proof=Proof.DERIVED).provision()
    (parameters,) = setting.service.registered
    asked = {"serial": SERIAL, "fingerprint": parameters["KeyFingerprint"]}
    assert is_proven(parameters["Proof"], verifier_of(SECRET), **asked)


async def test_a_silent_service_is_asked_again_and_then_given_up(setting: Setting) -> None:
    """A cloud that is slow today must not need an installer tomorrow."""
    setting.answer_timeout_s = 1.0
    setting.service.silent = {CSR_TOPIC: 1, REGISTER_TOPIC: 1}
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        identity = await setting.provisioner().provision()
    assert identity.thing_name == SERIAL
    asked = [topic for topic, _ in setting.service.requests]
    assert asked.count(CSR_TOPIC) >= 2
    assert asked.count(REGISTER_TOPIC) >= 2
    assert setting.service.registered


@pytest.mark.parametrize("topic", [CSR_TOPIC, REGISTER_TOPIC])
async def test_a_refusal_is_final_and_leaves_no_identity(setting: Setting, topic: str) -> None:
    """A serial that is not on the list stays out; asking for ever would hide it."""
    setting.service.refuse = {topic: 100}
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        with pytest.raises(FleetRefused, match="not on the list"):
            await setting.provisioner().provision()
    store = IdentityStore(setting.folder)
    assert store.active() is None
    assert store.pending().stage in {Stage.NONE, Stage.KEY}
    setting.service.refuse = {}
    setting.service.ready.clear()
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        assert (await setting.provisioner().provision()).thing_name == SERIAL


async def test_a_certificate_of_another_key_is_not_kept(setting: Setting) -> None:
    """An identity that we cannot prove is worse than none."""
    setting.service.foreign_certificate = True
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        with pytest.raises(FleetError, match="not of our key"):
            await setting.provisioner().provision()
    assert IdentityStore(setting.folder).pending().stage is Stage.KEY


class _PowerCut(BaseException):
    """The power goes."""


class _Cut(IdentityStore):
    """A store during whose n-th step the power goes, before or after the step has taken effect."""

    def __init__(self, folder: Path, *, step: int, after: bool) -> None:
        super().__init__(folder)
        self._left = step
        self._after = after

    def make_key(self) -> None:
        self._cut(before=True)
        super().make_key()
        self._cut(before=False)

    def keep_certificate(self, **fields: Any) -> None:
        self._cut(before=True)
        super().keep_certificate(**fields)
        self._cut(before=False)

    def keep_thing(self, **fields: Any) -> Identity:
        self._cut(before=True)
        kept = super().keep_thing(**fields)
        self._cut(before=False)
        return kept

    def promote(self) -> Identity:
        self._cut(before=True)
        active = super().promote()
        self._cut(before=False)
        return active

    def _cut(self, *, before: bool) -> None:
        if before:
            self._left -= 1
        if self._left == 0 and before is not self._after:
            raise _PowerCut


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
async def test_a_power_cut_between_any_two_steps_is_continued(setting: Setting, step: int, after: bool) -> None:
    """Gateways are plugged in, looked at, and unplugged again."""
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        with pytest.raises(_PowerCut):
            await setting.provisioner(_Cut(setting.folder, step=step, after=after)).provision()
        store = IdentityStore(setting.folder)
        identity = store.active() or await setting.provisioner().provision()
        await setting.assert_works(identity)


async def test_an_interrupted_promotion_is_finished(setting: Setting) -> None:
    """The folder had moved, the link was not yet set: the proven identity must not be lost."""
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        first = await setting.provisioner().provision()
        (setting.folder / "active").unlink()
        assert IdentityStore(setting.folder).active() is None
        again = await setting.provisioner().provision()
    assert again.certificate_id == first.certificate_id
    assert len(setting.service.registered) == 1


async def test_an_expired_token_is_not_used(setting: Setting) -> None:
    """The service has deleted the certificate by then; going on with it would fail later and darker."""
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        with pytest.raises(_PowerCut):
            await setting.provisioner(_Cut(setting.folder, step=2, after=True)).provision()
        request = setting.folder / "pending" / "request.json"
        old_ms = str(epoch_ms(AT - timedelta(minutes=1)))
        fresh_ms = str(epoch_ms(IdentityStore(setting.folder).pending().token_until or AT))
        request.write_text(request.read_text().replace(fresh_ms, old_ms))
        await setting.provisioner().provision()
    assert [topic for topic, _ in setting.service.requests] == [CSR_TOPIC, CSR_TOPIC, REGISTER_TOPIC]


async def test_the_present_identity_renews_itself_by_the_same_path(setting: Setting) -> None:
    """A certificate is changed without anybody on site, and the old one stays until the new one is proven."""
    async with background(setting.service.run(), name="service"):
        await until(setting.service.ready.is_set)
        first = await setting.provisioner().provision()
        second = await setting.provisioner().provision()
        await setting.assert_works(second)
    assert second.certificate_id != first.certificate_id
    assert first.certificate_id in {path.name for path in (setting.folder / "identities").iterdir()}


async def test_a_revoked_claim_is_reported_as_silence_with_its_reason(setting: Setting) -> None:
    """The installer must read why: the broker does not let the claim in."""
    setting.answer_timeout_s = 1.0
    stranger = setting.folder.parent / "stranger"
    stranger.mkdir()
    other = Authority(folder=stranger).issue("claim")
    provisioner = setting.provisioner(cert_file=other.cert_path, key_file=other.key_path)
    with pytest.raises(FleetSilent, match="does not accept our certificate"):
        await provisioner.provision()
    assert IdentityStore(setting.folder).active() is None
