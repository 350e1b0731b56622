"""The key that signs the agents' cards: whoever kept its public half knows later cards for the same operator's.

Source: A2A specification 1.0, section 8.4 (card signatures); RFC 7515 (JWS), 7517 (JWK), 7638 (a key's thumbprint).
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from a2a.types import a2a_pb2
from a2a.utils.signing import create_agent_card_signer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from cloud.errors import SetupError
from cloud.stores.private_files import write_private

ALGORITHM: Final = "ES256"
KEYS_PATH: Final = "/.well-known/jwks.json"
_COORDINATE_BYTES: Final = 32

Sign = Callable[[a2a_pb2.AgentCard], a2a_pb2.AgentCard]


@dataclass(frozen=True, kw_only=True)
class CardKey:
    """A private key on the curve P-256."""

    private: ec.EllipticCurvePrivateKey

    def signer(self, *, url: str) -> Sign:
        """Return what signs a card; its signature names the key, and where under ``url`` its public half stands."""
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        header: Any = {"kid": self.jwk()["kid"], "alg": ALGORITHM, "jku": f"{url}{KEYS_PATH}", "typ": "JOSE"}
        return create_agent_card_signer(pem, header)

    def jwk(self) -> dict[str, str]:
        """Return the public half; its id is its thumbprint."""
        numbers = self.private.public_key().public_numbers()
        members = {"crv": "P-256", "kty": "EC", "x": _base64(numbers.x), "y": _base64(numbers.y)}
        return {**members, "kid": thumbprint(members), "use": "sig", "alg": ALGORITHM}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the name of a key on a curve that its numbers give it.

    Raises:
        KeyError: It is no such key.
    """
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def new_card_key() -> CardKey:
    """Return a new key."""
    return CardKey(private=ec.generate_private_key(ec.SECP256R1()))


def card_key(path: Path) -> CardKey:
    """Read the key of a file; one that is not there is made, for its owner alone to read.

    Raises:
        SetupError: The file cannot be read or written, or holds no unencrypted P-256 key in PEM.
    """
    try:
        if not path.exists():
            made = new_card_key()
            write_private(path, made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            return made
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SetupError(f"card key {path} cannot be used: {error.strerror or error}; no card is signed") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SetupError(f"card key {path} is no unencrypted private key in PEM: {error}") from error
    if not (isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1)):
        raise SetupError(
            f"card key {path} is a {type(private).__name__}; cards are signed by a key on P-256 ({ALGORITHM})"
        )
    return CardKey(private=private)


def _base64(number: int) -> str:
    return urlsafe_b64encode(number.to_bytes(_COORDINATE_BYTES, "big")).rstrip(b"=").decode()
