"""Who comes through a door: a token names a caller and what was granted; the file holds only the tokens' hashes."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloud.agents.rights import ALL, Caller
from cloud.errors import SetupError
from contracts.skills.base import Effect, Role

# Where a server is for this machine alone, so that no token is needed.
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TOKEN_BYTES: Final = 32

# Who comes without a token where none is asked for: only from this machine, and never to act.
LOCAL: Final = Caller(name="local", role=Role.OPERATOR, zones=frozenset([ALL]), sites=frozenset([ALL]))


class CallerEntry(BaseModel):
    """One caller in the file; ``token_sha256`` is the hash of what he sends as a bearer token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$")
    role: Role
    token_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    zones: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = (Effect.READS, Effect.PROPOSES)

    def caller(self) -> Caller:
        """Return whom the token stands for."""
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
    """Everyone who is known by a token; without any, whoever is at this machine may look."""

    def __init__(self, entries: tuple[CallerEntry, ...] = ()) -> None:
        self._by_hash = {entry.token_sha256: entry.caller() for entry in entries}

    @property
    def needs_token(self) -> bool:
        """Return whether a caller must show a token."""
        return bool(self._by_hash)

    def of(self, headers: Mapping[str, str]) -> Caller | None:
        """Return who sends a request with these headers (names in lower case), ``None`` where nobody is known."""
        if not self._by_hash:
            return LOCAL
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        digest = hash_of(token.strip())
        return next((who for known, who in self._by_hash.items() if hmac.compare_digest(known, digest)), None)


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
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SetupError(f"callers {path} cannot be read: {error}") from error
    try:
        entries = _File.model_validate(raw).callers
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "callers"
        raise SetupError(f"callers {path} cannot be used: {at}: {first['msg']}") from error
    names = [entry.name for entry in entries]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise SetupError(f"callers {path} name {doubled[0]} twice; nobody could tell from the record who it was")
    return Callers(entries)
