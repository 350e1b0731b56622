"""Who signs commands: the issuer's key, an Ed25519 private key in PEM."""

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from cloud.errors import SetupError
from contracts.control import Command, key_id


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One issuer and its key."""

    issuer: str
    key: Ed25519PrivateKey

    def sign(self, command: Command) -> Command:
        """Return the command with the signature over its own bytes, in Base64."""
        assert command.issuer == self.issuer, f"{self.issuer} signs for itself, not for {command.issuer}"
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        signature = b64encode(self.key.sign(command.signing_bytes())).decode()
        return command.model_copy(update={"signature": signature, "key_id": key_id(public)})


def read_signer(*, issuer: str, pem: bytes, where: str) -> Signer:
    """Read an issuer's key.

    Raises:
        SetupError: It is not an unencrypted Ed25519 private key in PEM.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SetupError(f"signing key of {issuer} in {where} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SetupError(f"signing key of {issuer} in {where} is a {type(key).__name__}, not an Ed25519 key")
    return Signer(issuer=issuer, key=key)


def read_signer_file(*, issuer: str, path: Path) -> Signer:
    """Read an issuer's key from a file.

    Raises:
        SetupError: The file cannot be read, or is not such a key.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise SetupError(f"signing key of {issuer} in {path} cannot be read: {error.strerror}") from error
    return read_signer(issuer=issuer, pem=pem, where=str(path))
