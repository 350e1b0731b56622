"""The gateway's identity on disk: what is active, what is being made, and the one atomic step between them.

``<folder>/pending/`` holds a key, then its certificate and token, then the thing's name; ``<folder>/identities/<id>/``
what was proven; ``<folder>/active`` is a link to one of those, replaced by a rename. The key is made here and never
leaves. ``<folder>/papers.json`` is what the gateway was delivered with, and renews its certificate by.
"""

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contracts.claim_proof import Proof
from contracts.reasons import reason_of
from contracts.units import epoch_ms, instant
from edge.errors import ConfigError, FleetError
from edge.private_files import private_folder, read_small, sync_folder, write_whole

# The service's ownership token lives an hour. Source: AWS IoT Core developer guide, fleet provisioning API.
TOKEN_LIFE = timedelta(minutes=55)
_KEPT_IDENTITIES = 2


class Stage(StrEnum):
    """How far an identity has come; each is a set of files, so a restart finds it again."""

    NONE = "none"
    KEY = "key"
    CERTIFIED = "certified"
    REGISTERED = "registered"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate, its key, and the name under which the fleet knows us; ``purpose`` is the job that it was for."""

    cert_file: Path
    key_file: Path
    thing_name: str
    certificate_id: str
    configuration: dict[str, Any]
    purpose: str = ""


@dataclass(frozen=True, kw_only=True)
class Papers:
    """What a gateway was delivered with: its serial, the secret that goes with it, and its fleet's template."""

    serial: str
    secret: bytes
    template: str
    proof: Proof = Proof.EARLIER


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What the making of an identity has come to."""

    stage: Stage
    certificate_id: str | None = None
    token: str | None = None
    token_until: datetime | None = None


def require_own(identity: Identity | None, *, folder: Path, site: str) -> None:
    """Refuse a site without an identity, or with that of another.

    Raises:
        ConfigError: So it is; with another's certificate the broker would throw the gateway out, again and again.
    """
    if identity is None:
        raise ConfigError(
            f"fleet.identity_dir {folder} holds no identity; the gateway does not start; "
            f"sitewatt fleet provision --state {folder} makes one"
        )
    if identity.thing_name != site:
        raise ConfigError(
            f"fleet.identity_dir {folder} is the identity of {identity.thing_name}, "
            f"site.id is {site}; the gateway does not start"
        )


class IdentityStore:
    """The folder that holds the gateway's identities."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending = folder / "pending"
        self._active = folder / "active"

    @property
    def folder(self) -> Path:
        """Return where the identities are."""
        return self._folder

    def keep_papers(self, papers: Papers) -> None:
        """Keep what a later renewal needs."""
        private_folder(self._folder)
        kept = {
            "serial": papers.serial,
            "secret": papers.secret.hex(),
            "template": papers.template,
            "proof": papers.proof,
        }
        write_whole(self._folder / "papers.json", json.dumps(kept).encode())

    def papers(self) -> Papers:
        """Return what the gateway was delivered with.

        Raises:
            FleetError: It is not there, or cannot be read.
        """
        kept = _load(self._folder / "papers.json")
        try:
            return Papers(
                serial=kept["serial"],
                secret=bytes.fromhex(kept["secret"]),
                template=kept["template"],
                proof=Proof(kept.get("proof", Proof.EARLIER)),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise FleetError(f"{self._folder / 'papers.json'} cannot be used: {error}; provision again") from error

    def active(self) -> Identity | None:
        """Return the identity in use, ``None`` where there is none.

        Raises:
            FleetError: It is there but cannot be read.
        """
        return self._read(self._target()) if (self._active / "thing.json").exists() else None

    def pending(self) -> Pending:
        """Return how far the next identity has come."""
        if not (self._pending / "key.pem").exists():
            return Pending(stage=Stage.NONE)
        if not (self._pending / "request.json").exists() or not (self._pending / "cert.pem").exists():
            return Pending(stage=Stage.KEY)
        request = _load(self._pending / "request.json")
        stage = Stage.REGISTERED if (self._pending / "thing.json").exists() else Stage.CERTIFIED
        return Pending(
            stage=stage,
            certificate_id=request["certificate_id"],
            token=request["token"],
            token_until=instant(request["token_until_ms"]),
        )

    def make_key(self) -> None:
        """Begin an identity: make its key."""
        private_folder(self._folder)
        private_folder(self._pending)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        write_whole(self._pending / "key.pem", pem)

    def signing_request(self, common_name: str) -> str:
        """Return the certificate signing request (PEM) of the pending key."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._key(), hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def key_fingerprint(self) -> str:
        """Return the SHA-256 of the pending public key (DER), in hex."""
        public = (
            self._key()
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(public)
        return digest.finalize().hex()

    def keep_certificate(
        self, *, certificate: str, certificate_id: str, token: str, now: datetime, purpose: str = ""
    ) -> None:
        """Keep the certificate of the pending key, the token that registers it, and what it is for.

        Raises:
            FleetError: It is not a certificate of our key; nothing is kept.
        """
        try:
            public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        except ValueError as error:
            raise FleetError(f"certificate {certificate_id} cannot be read: {error}; discarded") from error
        if public != self._key().public_key():
            raise FleetError(f"certificate {certificate_id} is not of our key; discarded")
        write_whole(self._pending / "cert.pem", certificate.encode(), mode=0o644)
        until_ms = epoch_ms(now + TOKEN_LIFE)
        request = {
            "certificate_id": certificate_id,
            "token": token,
            "token_until_ms": until_ms,
            "purpose": purpose,
        }
        write_whole(self._pending / "request.json", json.dumps(request).encode())

    def keep_thing(self, *, name: str, configuration: dict[str, Any]) -> Identity:
        """Keep the name under which the fleet registered us, and return the identity to be proven."""
        thing = {"name": name, "configuration": configuration}
        write_whole(self._pending / "thing.json", json.dumps(thing).encode())
        return self._read(self._pending)

    def to_be_proven(self) -> Identity:
        """Return the registered identity that is not active yet."""
        return self._read(self._pending)

    def promote(self) -> Identity:
        """Make the pending identity the active one in one step; earlier ones but the last are deleted."""
        identity = self._read(self._pending)
        identities = private_folder(self._folder / "identities")
        target = identities / identity.certificate_id
        if target.exists():
            shutil.rmtree(target)
        self._pending.rename(target)
        sync_folder(identities)
        following = self._folder / "active.new"
        following.unlink(missing_ok=True)
        following.symlink_to(target.relative_to(self._folder), target_is_directory=True)
        following.replace(self._active)
        sync_folder(self._folder)
        self._forget_old(identities, keep=target)
        active = self.active()
        assert active is not None, "promoted and gone"
        return active

    def adopt_orphan(self) -> Identity | None:
        """Finish a promotion that a power cut stopped after the folder had moved and before the link was set."""
        if self._active.exists() or self.pending().stage is not Stage.NONE:
            return None
        identities = self._folder / "identities"
        found = sorted(identities.iterdir(), key=lambda path: path.stat().st_mtime) if identities.exists() else []
        if not found:
            return None
        found[-1].rename(self._pending)
        return self.promote()

    def discard_certificate(self) -> None:
        """Give up the pending certificate but not its key: by the key the service knows that it is still us."""
        for name in ("thing.json", "request.json", "cert.pem"):
            (self._pending / name).unlink(missing_ok=True)
        if self._pending.exists():
            sync_folder(self._pending)

    def discard_pending(self) -> None:
        """Give up the identity that was being made."""
        if self._pending.exists():
            shutil.rmtree(self._pending)
            sync_folder(self._folder)

    def _forget_old(self, identities: Path, *, keep: Path) -> None:
        others = sorted((path for path in identities.iterdir() if path != keep), key=lambda path: path.stat().st_mtime)
        for old in others[: -(_KEPT_IDENTITIES - 1)]:
            shutil.rmtree(old)

    def _target(self) -> Path:
        """Return the folder that ``active`` names, which is one of ours: whoever reads it may be root."""
        try:
            target = self._active.readlink()
        except OSError as error:
            raise FleetError(f"{self._active} cannot be read: {reason_of(error)}; provision again") from error
        if target.parts != ("identities", target.name):
            raise FleetError(
                f"{self._active} leads to {str(target)!r}, not to an identity of {self._folder}; provision again"
            )
        return self._folder / target

    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key((self._pending / "key.pem").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey), "made by make_key"
        return key

    def _read(self, folder: Path) -> Identity:
        thing, request = _load(folder / "thing.json"), _load(folder / "request.json")
        return Identity(
            cert_file=folder / "cert.pem",
            key_file=folder / "key.pem",
            thing_name=thing["name"],
            certificate_id=request["certificate_id"],
            configuration=thing["configuration"],
            purpose=request.get("purpose", ""),
        )


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads(read_small(path))
    except (OSError, ValueError) as error:
        raise FleetError(f"{path} cannot be read: {reason_of(error)}; provision again") from error
    return loaded
