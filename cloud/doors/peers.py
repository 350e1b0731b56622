"""Other organisations' agents: where they are, the token that they gave us, their keys, which zones are theirs."""

import ssl
from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cloud.errors import SetupError, SkillMissing
from contracts.reasons import reason_of
from contracts.spelling import first_fault
from contracts.units import ZoneId
from domain.yaml_text import load_yaml

_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_THUMBPRINT: Final = r"^[A-Za-z0-9_-]{43}$"


class Peer(BaseModel):
    """One server of agents.

    Args:
        name: By which letters call it.
        url: Of the server.
        token_file: Holds the token that it gave; files lie beside the file of peers where their path is not absolute.
        certificate_file: Our certificate for it (PEM), in a token's place or beside one, with its key.
        key_file: The certificate's key where it is in a file of its own.
        ca_file: Whose certificates its server may show; without it those that the machine trusts.
        zones: Which it answers for.
        keys: Thumbprints of the keys that may sign its cards; without any the first that is seen is kept.
        unsigned: Its cards are taken without a signature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=_NAME)
    url: str = Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$")
    token_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    zones: tuple[ZoneId, ...] = ()
    keys: tuple[Annotated[str, Field(pattern=_THUMBPRINT)], ...] = ()
    unsigned: bool = False

    def headers(self) -> dict[str, str]:
        """Return what a request to it carries; the token is read anew, so a new one needs no restart.

        Raises:
            SetupError: The token cannot be read.
        """
        if self.token_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self.token_file.read_text(encoding='utf-8').strip()}"}
        except (OSError, ValueError) as error:
            raise SetupError(
                f"token of peer {self.name} in {self.token_file} cannot be read: {reason_of(error)}"
            ) from error

    def trust(self) -> ssl.SSLContext | bool:
        """Return how both ends of a connection are proven; read anew, so that a renewed file needs no restart.

        Raises:
            SetupError: A file cannot be read, or holds no certificate or key.
        """
        if self.ca_file is None and self.certificate_file is None:
            return True
        file = self.ca_file
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                file = self.certificate_file
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ValueError) as error:  # What a file's content is not, is an SSLError, which is an OSError.
            raise SetupError(
                f"certificates of peer {self.name} in {file} cannot be used: {reason_of(error)}"
            ) from error
        return context

    @model_validator(mode="after")
    def _over_tls(self) -> Self:
        if (self.certificate_file or self.ca_file) and not self.url.startswith("https://"):
            raise ValueError(f"peer {self.name} has certificates and the address {self.url}, which is not https")
        if self.key_file and not self.certificate_file:
            raise ValueError(f"peer {self.name} has a key_file without a certificate_file")
        return self


_FILES: Final = ("token_file", "certificate_file", "key_file", "ca_file")


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    peers: tuple[Peer, ...] = Field(min_length=1)


def read_peers(path: Path) -> tuple[Peer, ...]:
    """Read the file of peers.

    Raises:
        SetupError: It cannot be read or breaks the schema; the message names the key.
    """
    try:
        raw: object = load_yaml(path.read_text(encoding="utf-8"))
        peers = _File.model_validate(raw).peers
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupError(f"peers {path} cannot be read: {reason_of(error)}") from error
    except ValidationError as error:
        fault = first_fault(error, of=_File, whole="peers")
        raise SetupError(f"peers {path} cannot be used: {fault}") from error
    names = [peer.name for peer in peers]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise SetupError(f"peers {path} name {doubled[0]} twice")
    beside = path.absolute().parent
    return tuple(
        peer.model_copy(
            update={
                "url": peer.url.rstrip("/"),
                **{name: beside / path for name in _FILES if (path := getattr(peer, name)) is not None},
            }
        )
        for peer in peers
    )


def peers_of(peers: tuple[Peer, ...], *, name: str | None, zone: str | None, broadcast: bool) -> tuple[Peer, ...]:
    """Return to whom a letter goes: the peer of a name, the one of a zone, or all of a zone.

    Raises:
        SkillMissing: Nobody fits, or several do and only one was meant.
    """
    found = tuple(
        peer for peer in peers if (name is None or peer.name == name) and (zone is None or zone in peer.zones)
    )
    if not found:
        known = ", ".join(f"{peer.name} ({', '.join(peer.zones) or 'no zones'})" for peer in peers)
        raise SkillMissing(f"no peer for {name or zone}; there are {known}")
    if len(found) > 1 and not broadcast:
        raise SkillMissing(f"{', '.join(peer.name for peer in found)} all answer for {zone}; name one, or broadcast")
    return found
