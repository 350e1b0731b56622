"""Ed25519 public keys as a configuration names them."""

import base64
from typing import Annotated

from pydantic import AfterValidator

ED25519_KEY_BYTES = 32


def check_public_key(text: str) -> str:
    """Return the text, a key of 32 bytes in Base64.

    Raises:
        ValueError: It is none; the sentence says why.
    """
    try:
        size = len(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise ValueError("must be an Ed25519 public key in base64") from error
    if size != ED25519_KEY_BYTES:
        raise ValueError(f"must be an Ed25519 public key of {ED25519_KEY_BYTES} bytes in base64, this has {size}")
    return text


PublicKey = Annotated[str, AfterValidator(check_public_key)]
