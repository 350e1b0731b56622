"""The frames of OCPP-J, with bounds: what is no frame is refused before anything of it is looked at.

Payloads are held against the schemas of the protocol, those of the library, in both directions.
Source: OCPP 1.6J, 4.2; OCPP 2.0.1 edition 2 part 4, 4.2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from jsonschema.exceptions import ValidationError
from ocpp.messages import get_validator

from edge.ocpp.settings import Version

FRAME_BYTES_MAX = 64 * 1024
ID_CHARS_MAX = 36  # Source: OCPP 1.6J, 4.1.4.
CALL, RESULT, ERROR = 2, 3, 4
_CAUSE_CHARS_MAX = 200

# The first is 1.6J's own spelling of the code. Source: OCPP 1.6J, 4.2.3.
_CODES: Final[Mapping[str, str]] = {
    "required": "OccurenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
}
# Their schemas want multiples of 0.1, which no binary fraction is.
_IN_DECIMALS: Final = frozenset({(Version.V16, "SetChargingProfile"), (Version.V16, "GetCompositeSchedule")})


class FrameRefused(Exception):
    """A frame cannot be used; ``code`` is the protocol's own word, ``unique_id`` says which call it was."""

    def __init__(self, message: str, *, code: str, unique_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.unique_id = unique_id


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame: a call with its action, a result, or an error with its code in ``action``."""

    kind: int
    unique_id: str
    action: str
    payload: dict[str, Any]


def read_frame(text: str) -> Frame:
    """Return the frame of a message.

    Raises:
        FrameRefused: It is none.
    """
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FrameRefused("it is no JSON", code="FormationViolation") from error
    if not isinstance(parts, list) or len(parts) < 3 or parts[0] not in (CALL, RESULT, ERROR):
        raise FrameRefused("it is no frame", code="FormationViolation")
    kind, unique_id, third = parts[:3]
    if not isinstance(unique_id, str) or not 0 < len(unique_id) <= ID_CHARS_MAX:
        raise FrameRefused("it has no id", code="FormationViolation")
    if kind == RESULT:
        if not isinstance(third, dict):
            raise FrameRefused("a result without a payload", code="FormationViolation", unique_id=unique_id)
        return Frame(kind=RESULT, unique_id=unique_id, action="", payload=third)
    if not isinstance(third, str) or not 0 < len(third) <= ID_CHARS_MAX:
        raise FrameRefused("it has no action", code="FormationViolation", unique_id=unique_id)
    if kind == ERROR:
        return Frame(kind=ERROR, unique_id=unique_id, action=third, payload={})
    if len(parts) != 4 or not isinstance(parts[3], dict):
        raise FrameRefused("a call without a payload", code="FormationViolation", unique_id=unique_id)
    return Frame(kind=CALL, unique_id=unique_id, action=third, payload=parts[3])


def check_payload(version: Version, kind: int, action: str, payload: dict[str, Any]) -> None:
    """Hold a payload against the schema of its action, which is one that we know: its name leads to a file.

    Raises:
        FrameRefused: It does not fit.
    """
    decimals = (version, action) in _IN_DECIMALS
    found = json.loads(json.dumps(payload), parse_float=Decimal) if decimals else payload
    try:
        get_validator(kind, action, version.value, parse_float=Decimal if decimals else float).validate(found)
    except ValidationError as error:
        code = _CODES.get(str(error.validator), "FormationViolation")
        if version is Version.V201 and code == _CODES["required"]:
            code = "OccurrenceConstraintViolation"
        where = "/".join(str(part) for part in error.absolute_path)
        cause = f"{action} {where}: {error.message}"[:_CAUSE_CHARS_MAX]
        raise FrameRefused(cause, code=code) from error
    except RecursionError as error:
        raise FrameRefused(f"{action} is too deep", code="FormationViolation") from error


def call_text(unique_id: str, action: str, payload: dict[str, Any]) -> str:
    """Return a call as it is sent."""
    return json.dumps([CALL, unique_id, action, payload], separators=(",", ":"))


def result_text(unique_id: str, payload: dict[str, Any]) -> str:
    """Return an answer as it is sent."""
    return json.dumps([RESULT, unique_id, payload], separators=(",", ":"))


def error_text(unique_id: str, code: str, said: str) -> str:
    """Return an answer that says no as it is sent."""
    return json.dumps([ERROR, unique_id, code, said[:_CAUSE_CHARS_MAX], {}], separators=(",", ":"))
