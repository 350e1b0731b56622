"""A certificate authority of its own, kept in a folder: signs requests, issues claims, revokes.

A certificate's common name is its certificate id, as the broker's rules are a certificate's and not a name's.
"""

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from cloud.errors import FleetDenied, SetupError
from cloud.stores.private_files import close_to_others, private_folder, write_private
from contracts.clock import SystemClock
from contracts.reasons import reason_of
from contracts.topics import PRIVATE_AUTHORITY

# As the service's own: nothing forces a renewal. Source: AWS IoT Core developer guide, X.509 client certificates.
DEVICE_UNTIL: Final = datetime(2049, 12, 31, tzinfo=UTC)
# Certificates are compared with the machine's clock, whatever clock the system runs on, so they begin long ago.
VALID_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
_REVOCATION_DAYS: Final = 36_500
HOSTS: Final = ("localhost",)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate and its id; ``key`` (PEM) only where the authority made the key itself."""

    certificate_id: str
    certificate: str
    serial_number: int
    key: str | None = None


class LocalAuthority:
    """The authority of one folder."""

    def __init__(self, folder: Path) -> None:
        """Open the authority of a folder, and make one where there is none.

        Raises:
            SetupError: The folder cannot be written, or what is in it cannot be read.
        """
        self._folder = folder
        try:
            private_folder(folder.parent)
            private_folder(folder)
            if not self.ca_path.exists():
                self._begin()
            for secret in (folder / "ca.key", folder / "server.key"):
                close_to_others(secret)
            key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
            self._cert = x509.load_pem_x509_certificate(self.ca_path.read_bytes())
        except (OSError, ValueError) as error:
            raise SetupError(f"the authority in {folder} cannot be used: {reason_of(error)}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SetupError(f"the authority's key in {folder} is a {type(key).__name__}, not an elliptic curve key")
        self._key = key

    @property
    def ca_path(self) -> Path:
        """Return the file with the authority's own certificate."""
        return self._folder / "ca.pem"

    @property
    def revocation_path(self) -> Path:
        """Return the file with the list of revoked certificates."""
        return self._folder / "revoked.pem"

    def sign(self, request_pem: str) -> Issued:
        """Return a certificate for the key of a signing request.

        Raises:
            FleetDenied: It is not a signing request, or not signed by its own key.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem.encode())
        except ValueError as error:
            raise FleetDenied(f"the signing request cannot be read: {error}", code="InvalidCsr") from error
        key = request.public_key()
        if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise FleetDenied(
                "the signing request is not signed by an elliptic curve key of its own", code="InvalidCsr"
            )
        return self._issue(key)

    def issue(self, *, valid_for: timedelta | None = None) -> Issued:
        """Make a key and its certificate (a claim), valid so long from now on the machine's clock, or as a device's."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._issue(key.public_key(), valid_for=valid_for)
        return Issued(
            certificate_id=issued.certificate_id,
            certificate=issued.certificate,
            serial_number=issued.serial_number,
            key=_pem(key).decode(),
        )

    def server(self) -> tuple[Path, Path]:
        """Return certificate and key of the broker on loopback, made where they are missing."""
        cert_path, key_path = self._folder / "server.pem", self._folder / "server.key"
        if not cert_path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            builder = self._builder("localhost", key.public_key(), DEVICE_UNTIL)
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            write_private(key_path, _pem(key))
            cert_path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return cert_path, key_path

    def revoke(self, serial_numbers: Iterable[int]) -> None:
        """Write the list of all certificates that are revoked."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._cert.subject)
            .last_update(VALID_FROM)
            .next_update(VALID_FROM + timedelta(days=_REVOCATION_DAYS))
        )
        for number in sorted(set(serial_numbers)):
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(VALID_FROM).build()
            builder = builder.add_revoked_certificate(entry)
        following = self.revocation_path.with_suffix(".new")
        following.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        following.replace(self.revocation_path)

    def _begin(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(PRIVATE_AUTHORITY)
        cert = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(VALID_FROM)
            .not_valid_after(DEVICE_UNTIL)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._folder / "ca.key", _pem(key))
        self.ca_path.write_bytes(cert.public_bytes(Encoding.PEM))

    def _issue(self, key: ec.EllipticCurvePublicKey, *, valid_for: timedelta | None = None) -> Issued:
        number = x509.random_serial_number()
        certificate_id = hashlib.sha256(str(number).encode()).hexdigest()
        until = DEVICE_UNTIL if valid_for is None else _machine_now() + valid_for
        cert = self._builder(certificate_id, key, until, number=number).sign(self._key, hashes.SHA256())
        pem = cert.public_bytes(Encoding.PEM).decode()
        return Issued(certificate_id=certificate_id, certificate=pem, serial_number=number)

    def _builder(
        self, common_name: str, key: ec.EllipticCurvePublicKey, until: datetime, *, number: int | None = None
    ) -> x509.CertificateBuilder:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self._cert.subject)
            .public_key(key)
            .serial_number(number or x509.random_serial_number())
            .not_valid_before(VALID_FROM)
            .not_valid_after(until)
            .add_extension(authority, critical=False)
        )


def _machine_now() -> datetime:
    """Return the machine's instant: TLS compares certificates with nothing else."""
    return SystemClock().now()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
