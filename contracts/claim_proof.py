"""How a gateway proves that it has the secret it was delivered with, to a list that holds only what is derived of it.

The list keeps a verifier, the hash of a key derived from the secret. A proof hides that key under a mask which only the
verifier makes, for one serial and one new key; whoever checks it takes the mask away and hashes what is left. Who reads
the list can check proofs and make none. Source: RFC 5802 (SCRAM), section 3, with a secret of 256 random bits in place
of a salted password.
"""

import hashlib
import hmac
from enum import StrEnum
from typing import Final

PREFIX: Final = "s1:"
"""How a proof of this kind begins; one without it is the HMAC of the secret itself, as earlier gateways send it."""


class Proof(StrEnum):
    """How a gateway proves that it has its secret; the claim says what its list can check."""

    EARLIER = "hmac"
    DERIVED = "derived"


_KEY_OF: Final = b"sitewatt claim key"


def verifier_of(secret: bytes) -> bytes:
    """Return what the list keeps of a secret, 32 bytes."""
    return hashlib.sha256(_key(secret)).digest()


def proof_of(secret: bytes, *, serial: str, fingerprint: str) -> str:
    """Return the proof that the one who has the secret asks for a certificate of a key.

    Args:
        secret: What the gateway was delivered with.
        serial: Its serial number.
        fingerprint: SHA-256 of its new public key, in hexadecimal digits.
    """
    return PREFIX + _masked(_key(secret), verifier_of(secret), serial=serial, fingerprint=fingerprint).hex()


def is_proven(proof: str, verifier: bytes, *, serial: str, fingerprint: str) -> bool:
    """Say whether a proof was made by one who has the secret of a verifier, for this serial and this key."""
    digits = proof.removeprefix(PREFIX)
    if not proof.startswith(PREFIX) or len(digits) != 2 * len(verifier):
        return False
    try:
        masked = bytes.fromhex(digits)
    except ValueError:
        return False
    if len(masked) != len(verifier):
        return False
    key = _masked(masked, verifier, serial=serial, fingerprint=fingerprint)
    return hmac.compare_digest(hashlib.sha256(key).digest(), verifier)


def earlier_proof_of(secret: bytes, *, serial: str, fingerprint: str) -> str:
    """Return the proof of earlier versions, for a list that holds the secret itself."""
    return hmac.new(secret, _asked(serial, fingerprint), hashlib.sha256).hexdigest()


def _key(secret: bytes) -> bytes:
    return hmac.new(secret, _KEY_OF, hashlib.sha256).digest()


def _masked(key: bytes, verifier: bytes, *, serial: str, fingerprint: str) -> bytes:
    mask = hmac.new(verifier, _asked(serial, fingerprint), hashlib.sha256).digest()
    return bytes(left ^ right for left, right in zip(key, mask, strict=True))


def _asked(serial: str, fingerprint: str) -> bytes:
    return f"{serial}:{fingerprint}".encode()
