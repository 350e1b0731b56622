"""Who may use the broker's plain door on loopback: the cloud's own processes and the operator, each by a password.

Each user's password is a file that only this user of the machine may read, ``<user>.password``; the broker is given
salted hashes of them. A gateway on the same machine, or another user of it, is not let in.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud.errors import SetupError
from cloud.stores.private_files import close_to_others, private_folder, write_private
from contracts.reasons import reason_of
from contracts.topics import ROOT, Down

CLOUD_USER: Final = "sitewatt-cloud"
OPERATOR_USER: Final = "operator"
# What each may do. The operator orders and listens; only the cloud speaks as the market and the fleet's services.
_RIGHTS: Final = {
    CLOUD_USER: ("readwrite #", "readwrite $aws/#", "read $SYS/#"),
    OPERATOR_USER: (f"write {ROOT}/+/+/{Down.COMMANDS}", f"read {ROOT}/#"),
}
_PASSWORD_BYTES: Final = 32
# The passwords are random and 256 bits long: more rounds would guard nothing. mosquitto's own default.
# Source: mosquitto_passwd(1), hash type 7 (PBKDF2-SHA512).
_ROUNDS: Final = 101
_SALT_BYTES: Final = 12
_HASH_BYTES: Final = 64


@dataclass(frozen=True, kw_only=True)
class PlainDoor:
    """The files of the plain door, in the folder of the fleet."""

    folder: Path

    @property
    def hashes_path(self) -> Path:
        """Return the broker's file of users and hashed passwords."""
        return self.folder / "plain.passwords"

    @property
    def rules_path(self) -> Path:
        """Return the broker's file of what each user may do."""
        return self.folder / "plain.acl"

    def password_path(self, user: str) -> Path:
        """Return the file with a user's password, as a client is told it."""
        return self.folder / f"{user}.password"

    def password(self, user: str) -> str:
        """Return a user's password.

        Raises:
            SetupError: Its file cannot be read.
        """
        path = self.password_path(user)
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"password file {path} cannot be read: {reason_of(error)}") from error

    def prepare(self) -> None:
        """Make the passwords that are missing, and write the broker's files anew.

        Raises:
            SetupError: A file cannot be written or read.
        """
        try:
            private_folder(self.folder)
            for user in _RIGHTS:
                close_to_others(self.password_path(user))
                if not self.password_path(user).exists():
                    write_private(self.password_path(user), f"{secrets.token_urlsafe(_PASSWORD_BYTES)}\n".encode())
            hashes = "".join(f"{user}:{_hash(self.password(user))}\n" for user in _RIGHTS)
            write_private(self.hashes_path, hashes.encode())
            write_private(self.rules_path, ("\n".join(_rules()) + "\n").encode())
        except OSError as error:
            raise SetupError(
                f"the plain door's files in {self.folder} cannot be written: {reason_of(error)}"
            ) from error


def _rules() -> list[str]:
    return [line for user, rights in _RIGHTS.items() for line in (f"user {user}", *(f"topic {one}" for one in rights))]


def _hash(password: str) -> str:
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, _HASH_BYTES)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
