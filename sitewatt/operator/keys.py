"""Ed25519 keys of those who order: made, shown, and written into a site's configuration."""

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge.public_key import check_public_key


class KeyUnusable(ValueError):
    """A key file cannot be made or read: which one, and why."""


class TrustRefused(ValueError):
    """A configuration cannot take one more issuer by itself: why, and what to do."""


def make_key(path: Path) -> str:
    """Write a new private key (PEM, PKCS 8, readable by its owner only) and return its public key in base64.

    Raises:
        KeyUnusable: The file is there already, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be made: {error.strerror}; no key was written") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_key(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a file.

    Raises:
        KeyUnusable: It cannot be read, or is no Ed25519 key in PEM without a password.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} holds a key of another kind than Ed25519")
    return key


def load_public_key(path: Path) -> str:
    """Return the public key of a file in base64: of a private key, or itself, in PEM or as a configuration has it.

    Whoever trusts somebody else has nothing but the public half.

    Raises:
        KeyUnusable: It cannot be read, or holds no Ed25519 key.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be read: {error.strerror}") from error
    if b"PRIVATE KEY" in content:
        return public_key(load_key(path))
    try:
        if b"PUBLIC KEY" not in content:
            return check_public_key(content.decode("ascii").strip())
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path} holds no key: neither PEM nor 32 bytes in base64") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{path} holds a key of another kind than Ed25519")
    return _base64(key)


def public_key(key: Ed25519PrivateKey) -> str:
    """Return the public key, 32 bytes in base64, as a site's configuration has it."""
    return _base64(key.public_key())


def trust_entry(
    *, issuer: str, role: str, public: str, valid_from: str | None = None, valid_until: str | None = None
) -> dict[str, str]:
    """Return the entry of a site's configuration that trusts a key of an issuer; instants as ISO 8601 has them."""
    life = {"valid_from": valid_from, "valid_until": valid_until}
    told = {name: instant for name, instant in life.items() if instant is not None}
    return {"issuer": issuer, "role": role, "public_key": public, **told}


def trust_yaml(entry: Mapping[str, str]) -> str:
    """Return the section of a site's configuration that trusts an issuer."""
    return yaml.safe_dump({"commands": {"trusted": [dict(entry)]}}, sort_keys=False)


def add_trust(path: Path, entry: Mapping[str, str], *, check: Callable[[Path], Any], also: bool = False) -> None:
    """Add an issuer, or another key of one, to a configuration file, every other character of it unchanged.

    Args:
        entry: Who is trusted, see ``trust_entry``.
        check: Loads a configuration; what it raises leaves the file as it was.
        also: The issuer may be there already; this is another key of it.

    Raises:
        TrustRefused: The issuer is there already, or the file's form leaves no place to put it.
        OSError: The file cannot be read or replaced.
    """
    text = path.read_text(encoding="utf-8")
    try:
        fresh_text = _with_issuer(text, dict(entry), also=also)
    except yaml.YAMLError as error:
        raise TrustRefused(f"{path} is not YAML; nothing was changed") from error
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(fresh_text, encoding="utf-8")
        status = path.stat()
        fresh.chmod(status.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(fresh, status.st_uid, status.st_gid)
        check(fresh)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _base64(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def _with_issuer(text: str, entry: dict[str, str], *, also: bool) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    commands = _child(root, "commands")
    if commands is None:
        ending = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{ending}{yaml.safe_dump({'commands': {'trusted': [entry]}}, sort_keys=False)}"
    trusted = _child(commands, "trusted")
    if not isinstance(trusted, yaml.SequenceNode):
        raise TrustRefused("its section commands has no list trusted; add the issuer by hand")
    if not also and any(_scalar(item, "issuer") == entry["issuer"] for item in trusted.value):
        raise TrustRefused(
            f"{entry['issuer']} is trusted already; take the old entry out first, or add a second key with --also"
        )
    start, end = trusted.start_mark, trusted.end_mark
    if trusted.flow_style:
        inside = ", ".join(text[item.start_mark.index : item.end_mark.index] for item in trusted.value)
        pair = ", ".join(f"{name}: {value!r}" for name, value in entry.items())
        body = f"[{inside}{', ' if inside else ''}{{{pair}}}]"
        return text[: start.index] + body + text[end.index :]
    last = trusted.value[-1].end_mark.index
    line_end = text.find("\n", last - 1)
    at = len(text) if line_end < 0 else line_end + 1
    margin = " " * start.column
    lines = yaml.safe_dump([entry], sort_keys=False).splitlines()
    body = "".join(f"{margin}{line}\n" for line in lines)
    return f"{text[:at]}{'' if text[:at].endswith(chr(10)) else chr(10)}{body}{text[at:]}"


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _scalar(node: yaml.Node, name: str) -> str | None:
    found = _child(node, name)
    return str(found.value) if isinstance(found, yaml.ScalarNode) else None
