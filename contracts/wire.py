"""What every message has in common: its version, its sender and sequence, its bytes.

Payloads are JSON. Unknown fields are ignored, so that a newer sender can talk to an older reader; an unknown version is
refused with a reason.
"""

import json
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.units import Instant, SiteId

VERSION: Literal[1] = 1
# The broker's own bound is 128 KB (AWS IoT Core quotas, message broker); nothing of ours comes near it.
PAYLOAD_BYTES_MAX = 128 * 1024


class WireError(ValueError):
    """A payload cannot be read as the message that its topic promises."""


class UnknownVersion(WireError):
    """The payload carries a version that this reader does not know."""


class Message(BaseModel):
    """A versioned payload."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    v: Literal[1] = VERSION

    def encode(self) -> bytes:
        """Return the payload bytes, without absent fields."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload.

        Raises:
            UnknownVersion: The payload is of another version.
            WireError: The payload is too large, is not JSON, or breaks the schema.
        """
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise WireError(f"{cls.__name__} of {len(payload)} bytes, above {PAYLOAD_BYTES_MAX}; refused")
        try:
            raw: Any = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise WireError(f"{cls.__name__} is not JSON: {type(error).__name__}; refused") from error
        if not isinstance(raw, dict):
            raise WireError(f"{cls.__name__} is a JSON {type(raw).__name__}, not an object; refused")
        version = raw.get("v")
        if version != VERSION:
            raise UnknownVersion(f"{cls.__name__} has version {version!r}, this reader knows {VERSION}; refused")
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "message"
            raise WireError(f"{cls.__name__} breaks its schema at {where}: {first['msg']}; refused") from error


class SiteMessage(Message):
    """A message that a site sends: numbered within its channel, so that loss and repetition can be proven.

    ``epoch`` names the journal that numbered the message and changes only when a journal is begun anew; ``seq`` rises
    by one for each message of the same site, channel and epoch, starting at 1.
    """

    channel: ClassVar[str]

    site: SiteId
    epoch: int = Field(ge=0)
    seq: int = Field(ge=1)
    sent_at: Instant
