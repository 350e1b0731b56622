"""The page's certificate: each gateway makes its own, and nobody else has its key.

No authority signs it, so a browser asks once; ``sitewatt edge page certificate`` tells the fingerprint to compare.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.private_files import read_small, write_whole

FILE: Final = "page.tls.pem"
# The longest that browsers of telephones take. Source: Apple, "Requirements for trusted certificates", HT210176.
LIFE: Final = timedelta(days=825)
RENEWED: Final = timedelta(days=60)
# A clock that is set back a little must not make a new certificate one of the future.
_BEFORE: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class PageCertificate:
    """The file that holds the key and the certificate, and what people compare of it."""

    path: Path
    fingerprint: str
    until_at: datetime
    is_new: bool


def page_certificate(state_dir: Path, *, names: Iterable[str], now: datetime) -> PageCertificate:
    """Return the page's certificate; it is made where there is none, or where it ends soon, or begins in the future.

    Args:
        state_dir: The gateway's state folder.
        names: Host names and addresses that the page is called by.
        now: The wall clock.

    Raises:
        OSError: It cannot be read or written.
    """
    path = state_dir / FILE
    try:
        certificate = x509.load_pem_x509_certificate(read_small(path))
    except (FileNotFoundError, ValueError):
        certificate = None
    wanted = sorted(set(names))
    is_new = certificate is None or not _serves(certificate, wanted, now)
    if certificate is None or is_new:
        content, certificate = _make(wanted, now)
        # Root may ask for it before the gateway first ran.
        write_whole(path, content, as_folder=True)
    digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return PageCertificate(path=path, fingerprint=digest, until_at=certificate.not_valid_after_utc, is_new=is_new)


def _serves(certificate: x509.Certificate, names: list[str], now: datetime) -> bool:
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWED:
        return False
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}
    return known == set(names)


def _make(names: list[str], now: datetime) -> tuple[bytes, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sitewatt gateway")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now - _BEFORE + LIFE)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM), certificate


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
