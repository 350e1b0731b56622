"""What an update job says, and why one is refused before anything of it is begun.

Only this form is understood: no document can name a command to run.
"""

import base64
import json
import re
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts.units import Instant
from edge.errors import UpdateRefused

ARTEFACT_BYTES_MAX = 200_000_000
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

Version = Annotated[str, StringConstraints(pattern=r"^\d{1,5}\.\d{1,5}\.\d{1,5}$")]


class UpdateDocument(BaseModel):
    """One update.

    ``artefact_url`` leads to a wheel of ``size_bytes`` whose SHA-256 is ``sha256``. ``signature`` (Ed25519, Base64) is
    over ``signing_bytes``. A gateway older than ``min_from`` is not updated, nor is one that has not begun to try the
    new version by ``deadline``. ``not_during_event`` says what always holds: never within a demand-response event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Literal["update"] = "update"
    version: Version
    artefact_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]{1,1000}$")]
    size_bytes: int = Field(gt=0, le=ARTEFACT_BYTES_MAX)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    min_from: Version
    deadline: Instant
    not_during_event: Literal[True] = True
    signature: str

    def signing_bytes(self) -> bytes:
        """Return what is signed: all but the signature, as canonical JSON."""
        content = self.model_dump(mode="json", exclude={"signature"})
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def read_update(raw: Any, *, trusted: Ed25519PublicKey, running: str) -> UpdateDocument:
    """Check an update document.

    Args:
        raw: The job's document.
        trusted: Whose signature counts.
        running: The present version.

    Raises:
        UpdateRefused: It is not of our form, not signed by whom we trust, not newer, or not for our version.
    """
    try:
        document = UpdateDocument.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise UpdateRefused(f"update document: {where}: {first['msg']}; nothing done", code="bad_document") from error
    try:
        trusted.verify(base64.b64decode(document.signature, validate=True), document.signing_bytes())
    except (InvalidSignature, ValueError) as error:
        raise UpdateRefused(
            f"update to {document.version} is not signed by the key we trust; nothing done", code="bad_signature"
        ) from error
    if order(document.version) <= order(running):
        raise UpdateRefused(
            f"update to {document.version} is not newer than {running}, which runs; nothing done", code="downgrade"
        )
    if order(running) < order(document.min_from):
        raise UpdateRefused(
            f"update to {document.version} needs at least {document.min_from}, {running} runs; nothing done",
            code="too_old",
        )
    return document


def order(version: str) -> tuple[int, int, int]:
    """Return what versions are compared by; whatever follows the third number is not looked at."""
    found = _VERSION.match(version)
    assert found is not None, f"{version} is no version"
    return int(found[1]), int(found[2]), int(found[3])
