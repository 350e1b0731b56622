"""The passwords of a gateway's page: none by default, set by who stands at the gateway, kept as scrypt makes them.

Source: RFC 7914 (scrypt); OWASP, Password Storage Cheat Sheet: N 2^14, r 8, p 5 (16 MiB, as strong as N 2^17 with p 1).
"""

import base64
import hashlib
import json
import secrets
from pathlib import Path
from threading import Lock
from typing import Any, Final

from edge.control.keys import Role
from edge.private_files import read_small, write_whole

FILE: Final = "page.passwords.json"
ROLES: Final = (Role.OWNER, Role.INSTALLER)
LETTERS_MIN: Final = 10
LETTERS_MAX: Final = 200
_N, _R, _P = 2**14, 8, 5
_MEMORY_MAX: Final = 64 * 1024 * 1024
_SALT_BYTES: Final = 16
# One at a time: each takes 16 MiB, and a flood of guesses must not take a gateway's memory.
_ONE: Final = Lock()


class PasswordRefused(ValueError):
    """It cannot be a password; nothing was changed."""


def set_password(state_dir: Path, role: Role, password: str) -> None:
    """Set a role's password; on the disk on return, and sessions of the one before end.

    Raises:
        PasswordRefused: It is too short, too long, or the role does not sign in.
        OSError: It cannot be written; the one before stands.
    """
    if role not in ROLES:
        raise PasswordRefused(f"{role.value} does not sign in; owner and installer do")
    if not LETTERS_MIN <= len(password) <= LETTERS_MAX:
        raise PasswordRefused(f"a password of {len(password)} letters; it must have {LETTERS_MIN} to {LETTERS_MAX}")
    if len(set(password)) == 1:
        raise PasswordRefused("a password of one letter repeated is none")
    salt = secrets.token_bytes(_SALT_BYTES)
    kept = {**_read(state_dir), role.value: {"salt": _text(salt), "scrypt": _text(_hashed(password, salt))}}
    # Root sets it for the gateway's own user, who reads it.
    write_whole(state_dir / FILE, json.dumps(kept).encode(), as_folder=True)


def clear_password(state_dir: Path, role: Role) -> bool:
    """Take a role's password away, and return whether there was one; nobody signs in as it then.

    Raises:
        OSError: It cannot be written; the password stands.
    """
    kept = _read(state_dir)
    if kept.pop(role.value, None) is None:
        return False
    write_whole(state_dir / FILE, json.dumps(kept).encode(), as_folder=True)
    return True


def matches(state_dir: Path, role: str, password: str) -> bool:
    """Say whether a password is a role's; it takes as long for a role that has none."""
    entry = _read(state_dir).get(role)
    salt, wanted = _bytes(entry, "salt"), _bytes(entry, "scrypt")
    found = _hashed(password[: LETTERS_MAX + 1], salt or bytes(_SALT_BYTES))
    return secrets.compare_digest(found, wanted) if wanted else False


def stamps(state_dir: Path) -> dict[str, str]:
    """Return the roles that have a password, each with what changes when it is set anew."""
    return {role: str(entry.get("salt")) for role, entry in _read(state_dir).items() if isinstance(entry, dict)}


def _hashed(password: str, salt: bytes) -> bytes:
    with _ONE:
        return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY_MAX)


def _read(state_dir: Path) -> dict[str, Any]:
    """Return what is kept; a file that is damaged holds no password, so nobody signs in."""
    try:
        kept = json.loads(read_small(state_dir / FILE))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _bytes(entry: Any, name: str) -> bytes:
    try:
        return base64.b64decode(entry[name], validate=True)
    except (KeyError, TypeError, ValueError):
        return b""


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
