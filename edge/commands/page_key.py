"""The gateway's own key, with which its page signs what people ask there: the gate judges it as every other command.

The key is made by control at its start, and only where the page takes actions; the site process signs with it. Whoever
has the gateway's user may sign, so it opens nothing that the site's own limits close.
"""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_pem

from contracts.reasons import reason_of
from edge.control.keys import Role, SigningKey, TrustedKey
from edge.errors import ConfigError
from edge.private_files import read_small, write_whole

FILE = "page.key"
# The roles that people sign in with, and as whose orders theirs are told.
ISSUERS = {Role.OWNER: "page-owner", Role.INSTALLER: "page-installer"}


def page_key(state_dir: Path) -> Ed25519PrivateKey:
    """Return the page's key; one is made where there is none.

    Raises:
        ConfigError: It cannot be read or made.
    """
    path = state_dir / FILE
    try:
        return read_page_key(state_dir)
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        try:
            write_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}; the page takes no actions") from error
        return key


def read_page_key(state_dir: Path) -> Ed25519PrivateKey:
    """Return the page's key.

    Raises:
        FileNotFoundError: Control has not made one yet.
        ConfigError: It cannot be read.
    """
    path = state_dir / FILE
    try:
        key = load_pem(read_small(path), password=None)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{path} cannot be read: {reason_of(error)}; remove it, a new one is made at the start"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key; remove it, a new one is made at the start")
    return key


def page_issuers(state_dir: Path) -> dict[str, TrustedKey]:
    """Return the page's issuers, as the gate trusts them.

    Raises:
        ConfigError: The key cannot be read or made.
    """
    public = page_key(state_dir).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {name: TrustedKey(role=role, keys=(SigningKey(public_key=public),)) for role, name in ISSUERS.items()}
