"""Who comes through a door: a token or a client's certificate names a caller and what was granted.

The file holds hashes alone: of tokens, and of certificates.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cloud.agents.rights import ALL, Caller
from cloud.errors import SetupError
from contracts.reasons import reason_of
from contracts.skills.base import Effect, Role
from contracts.spelling import first_fault
from domain.yaml_text import load_yaml

# Where a server is for this machine alone, so that no token is needed.
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TOKEN_BYTES: Final = 32
_SHA256: Final = r"^[0-9a-f]{64}$"

# Who comes without a token where none is asked for: only from this machine, and never to act.
LOCAL: Final = Caller(name="local", role=Role.OPERATOR, zones=frozenset([ALL]), sites=frozenset([ALL]))


class CallerEntry(BaseModel):
    """One caller in the file, known by a bearer token or by the certificate of his TLS client, or by either."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$")
    role: Role
    token_sha256: str | None = Field(default=None, pattern=_SHA256)
    certificate_sha256: str | None = Field(default=None, pattern=_SHA256)
    zones: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = (Effect.READS, Effect.PROPOSES)

    @model_validator(mode="after")
    def _is_known(self) -> "CallerEntry":
        if self.token_sha256 is None and self.certificate_sha256 is None:
            raise ValueError("needs token_sha256 or certificate_sha256; nobody could be this caller")
        return self

    def caller(self) -> Caller:
        """Return whom the token or the certificate stands for."""
        return Caller(
            name=self.name,
            role=self.role,
            zones=frozenset(self.zones),
            sites=frozenset(self.sites),
            effects=frozenset(self.effects),
        )


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    callers: tuple[CallerEntry, ...] = Field(min_length=1)


class Callers:
    """Everyone who is known; without anyone, whoever is at this machine may look."""

    def __init__(self, entries: tuple[CallerEntry, ...] = ()) -> None:
        self._by_token = {entry.token_sha256: entry.caller() for entry in entries if entry.token_sha256 is not None}
        self._by_certificate = {
            entry.certificate_sha256: entry.caller() for entry in entries if entry.certificate_sha256 is not None
        }

    @property
    def needs_token(self) -> bool:
        """Return whether a caller must show who he is."""
        return bool(self._by_token or self._by_certificate)

    @property
    def by_certificate(self) -> bool:
        """Return whether some are known by the certificate of their client."""
        return bool(self._by_certificate)

    def of(self, headers: Mapping[str, str], *, certificate: str | None = None) -> Caller | None:
        """Return who sends a request with these headers, ``None`` where nobody is known.

        Args:
            headers: Names in lower case. A token that is shown counts alone: a wrong one is not made good.
            certificate: The fingerprint of the one that the TLS layer has verified.
        """
        if not self.needs_token:
            return LOCAL
        shown = headers.get("authorization")
        if shown is None:
            return self._by_certificate.get(certificate) if certificate is not None else None
        scheme, _, token = shown.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        digest = hash_of(token.strip())
        return next((who for known, who in self._by_token.items() if hmac.compare_digest(known, digest)), None)


def hash_of(token: str) -> str:
    """Return what the file keeps of a token. A token is 256 random bits, so one round is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Return a new token."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def read_callers(path: Path) -> Callers:
    """Read the file of callers.

    Raises:
        SetupError: It cannot be read or breaks the schema; the message names the key.
    """
    try:
        raw: Any = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SetupError(f"callers {path} cannot be read: {reason_of(error)}") from error
    try:
        entries = _File.model_validate(raw).callers
    except ValidationError as error:
        fault = first_fault(error, of=_File, whole="callers")
        raise SetupError(f"callers {path} cannot be used: {fault}") from error
    names = [entry.name for entry in entries]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise SetupError(f"callers {path} name {doubled[0]} twice; nobody could tell from the record who it was")
    return Callers(entries)
