"""The list of serials and the hook that guards it, on a real table."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.errors import FleetDenied, SetupError
from cloud.handlers import provisioning_hook
from cloud.local.fleet.authority import LocalAuthority
from cloud.stores import keys
from cloud.stores.serials import admit, release, retire, serials
from cloud.stores.sqlite import SqliteTables
from contracts.claim_proof import earlier_proof_of, is_proven, proof_of, verifier_of


class Applicant:
    """A gateway with a key of its own."""

    def __init__(
        self, authority: LocalAuthority, secret: bytes, *, serial: str = "sn-1", earlier: bool = False
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        issued = authority.sign(request.public_bytes(Encoding.PEM).decode())
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.fingerprint = hashlib.sha256(public).hexdigest()
        self.certificate_id = issued.certificate_id
        make = earlier_proof_of if earlier else proof_of
        proof = make(secret, serial=serial, fingerprint=self.fingerprint)
        self.event: dict[str, Any] = {
            "payloadVersion": "2020-04-01",
            "claimCertificateId": "claim",
            "certificateId": issued.certificate_id,
            "certificatePem": issued.certificate,
            "templateArn": "arn",
            "clientId": "claim-sn-1",
            "parameters": {"SerialNumber": serial, "KeyFingerprint": self.fingerprint, "Proof": proof},
        }

    def ask(self, *, by: str = "claim") -> dict[str, Any]:
        """Ask the hook, connected with a certificate."""
        return provisioning_hook.handler({**self.event, "claimCertificateId": by}, None)


REFUSED = {"allowProvisioning": False}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[SqliteTables]:
    """Tables on which the hook works."""
    opened = SqliteTables.open(tmp_path / "tables.db")
    provisioning_hook.install(opened)
    yield opened
    provisioning_hook.install(None)
    opened.close()


@pytest.fixture
def authority(tmp_path: Path) -> LocalAuthority:
    """Whoever signs."""
    return LocalAuthority(tmp_path / "authority")


def test_a_listed_serial_becomes_its_site(tables: SqliteTables, authority: LocalAuthority) -> None:
    """The list says which site and zone, whatever the gateway says."""
    secret = admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    applicant = Applicant(authority, secret)
    applicant.event["parameters"] |= {"SiteId": "site-9", "Zone": "zone-z"}
    assert applicant.ask() == {
        "allowProvisioning": True,
        "parameterOverrides": {"SiteId": "site-1", "Zone": "zone-a"},
    }


def test_an_unlisted_serial_and_a_guessed_secret_are_refused(tables: SqliteTables, authority: LocalAuthority) -> None:
    """A claim alone opens nothing."""
    assert Applicant(authority, b"any").ask() == REFUSED
    admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    assert Applicant(authority, b"guessed").ask() == REFUSED


def test_who_reads_the_list_can_make_no_proof(tables: SqliteTables, authority: LocalAuthority) -> None:
    """A stolen copy of the tables must not be a fleet's worth of identities."""
    secret = admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    item = tables.get(keys.gateway("sn-1"))
    assert item is not None
    assert secret.hex() not in str(item.body) and set(item.body) == {"verifier", "site", "zone"}
    verifier = bytes.fromhex(item.body["verifier"])
    for stolen in (verifier, verifier.hex().encode()):
        for earlier in (False, True):
            assert Applicant(authority, stolen, earlier=earlier).ask() == REFUSED
    assert Applicant(authority, secret).ask()["allowProvisioning"]


def test_a_gateway_of_an_earlier_version_proves_what_its_list_holds(
    tables: SqliteTables, authority: LocalAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """A list of before, and a claim made for such a gateway, go on as they were; a claim of now says what is wrong."""
    older = admit(tables, serial="sn-1", site="site-1", zone="zone-a", earlier=True)
    applicant = Applicant(authority, older, earlier=True)
    assert applicant.ask()["allowProvisioning"]
    assert Applicant(authority, older, earlier=True).ask(by=applicant.certificate_id)["allowProvisioning"]
    newer = admit(tables, serial="sn-1", site="site-1", zone="zone-a", again=True)
    assert Applicant(authority, newer, earlier=True).ask() == REFUSED
    assert "--earlier" in str([vars(record).get("reason") for record in caplog.records])
    assert Applicant(authority, newer).ask()["allowProvisioning"]
    item = tables.get(keys.gateway("sn-1"))
    assert item is not None and "secret" not in item.body, "the secret of before is gone with its list's entry"


@pytest.mark.parametrize(
    "proof", ["", "s1:", "s1:" + "0" * 64, "s1:" + "zz" * 32, "s1:" + " " * 64, "\ud800" * 67, "s1:é" * 9]
)
def test_a_proof_that_is_none_is_refused(proof: str) -> None:
    """Strangers choose its every character."""
    assert not is_proven(proof, verifier_of(b"secret"), serial="sn-1", fingerprint="f")


def test_a_proof_holds_for_one_serial_and_one_key() -> None:
    """What was heard once opens nothing else."""
    proof, verifier = proof_of(b"secret", serial="sn-1", fingerprint="f"), verifier_of(b"secret")
    assert is_proven(proof, verifier, serial="sn-1", fingerprint="f")
    assert not is_proven(proof, verifier, serial="sn-2", fingerprint="f")
    assert not is_proven(proof, verifier, serial="sn-1", fingerprint="g")


def test_the_same_key_may_ask_again(tables: SqliteTables, authority: LocalAuthority) -> None:
    """The answer of the first time was lost on the way."""
    applicant = Applicant(authority, admit(tables, serial="sn-1", site="site-1", zone="zone-a"))
    assert applicant.ask()["allowProvisioning"]
    assert applicant.ask()["allowProvisioning"]


def test_another_key_needs_a_release_which_holds_once(tables: SqliteTables, authority: LocalAuthority) -> None:
    """Two boxes under one serial are one too many."""
    secret = admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    assert Applicant(authority, secret).ask()["allowProvisioning"]
    assert Applicant(authority, secret).ask() == REFUSED
    release(tables, "sn-1")
    assert Applicant(authority, secret).ask()["allowProvisioning"]
    assert Applicant(authority, secret).ask() == REFUSED


def test_the_present_certificate_renews_itself(tables: SqliteTables, authority: LocalAuthority) -> None:
    """Renewal needs no operator; the service vouches for who is connected."""
    secret = admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    first = Applicant(authority, secret)
    assert first.ask()["allowProvisioning"]
    assert Applicant(authority, secret).ask(by=first.certificate_id)["allowProvisioning"]


def test_a_retired_serial_is_out(tables: SqliteTables, authority: LocalAuthority) -> None:
    """Also for the key that it once registered."""
    applicant = Applicant(authority, admit(tables, serial="sn-1", site="site-1", zone="zone-a"))
    assert applicant.ask()["allowProvisioning"]
    retire(tables, "sn-1")
    assert applicant.ask() == REFUSED


def test_a_certificate_of_another_key_is_refused(tables: SqliteTables, authority: LocalAuthority) -> None:
    """The proof is over a key; it must be the key that is being certified."""
    secret = admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    applicant, other = Applicant(authority, secret), Applicant(authority, secret)
    applicant.event["certificatePem"] = other.event["certificatePem"]
    assert applicant.ask() == REFUSED


@pytest.mark.parametrize("missing", ["parameters", "certificatePem", "certificateId"])
def test_an_incomplete_request_is_refused(tables: SqliteTables, authority: LocalAuthority, missing: str) -> None:
    """A hook that fails is a hook that is retried; a wrong request is simply no."""
    applicant = Applicant(authority, admit(tables, serial="sn-1", site="site-1", zone="zone-a"))
    del applicant.event[missing]
    assert applicant.ask() == REFUSED


def test_a_serial_is_admitted_once_and_changed_only_if_listed(tables: SqliteTables) -> None:
    """Its secret is told to one person, once."""
    admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    with pytest.raises(FleetDenied, match="sn-1 is on the list already, as site site-1"):
        admit(tables, serial="sn-1", site="site-2", zone="zone-a")
    with pytest.raises(FleetDenied, match="sn-2 is not on the list"):
        release(tables, "sn-2")
    assert [item.key.sk for item in serials(tables)] == ["sn-1"]


def test_a_lost_card_is_replaced_by_a_new_secret(tables: SqliteTables, authority: LocalAuthority) -> None:
    """Its key is gone with it; whoever finds the old claim gets nothing by it, and no third key comes in."""
    lost = admit(tables, serial="sn-1", site="site-1", zone="zone-a")
    assert Applicant(authority, lost).ask()["allowProvisioning"]
    secret = admit(tables, serial="sn-1", site="site-2", zone="zone-a", again=True)
    assert Applicant(authority, lost).ask() == REFUSED
    assert Applicant(authority, secret).ask()["parameterOverrides"]["SiteId"] == "site-2"
    assert Applicant(authority, secret).ask() == REFUSED


@pytest.mark.parametrize(
    "names",
    [{"serial": "a/+#"}, {"serial": "x" * 65}, {"serial": ""}, {"site": "Farm 8/#"}, {"site": ""}, {"zone": "+"}],
)
def test_names_that_no_topic_or_certificate_can_hold_are_not_listed(
    tables: SqliteTables, names: dict[str, str]
) -> None:
    """A wildcard for a name would open other sites' topics."""
    given = {"serial": "sn-1", "site": "site-1", "zone": "zone-a"} | names
    with pytest.raises(SetupError, match="nothing listed"):
        admit(tables, serial=given["serial"], site=given["site"], zone=given["zone"])
    assert serials(tables) == ()
