"""What every message has in common: its version, its sender and sequence, its bytes.

Payloads are JSON. Unknown fields are ignored, so that a newer sender can talk to an older reader; an unknown version is
refused with a reason.
"""

import json
import re
from typing import Any, ClassVar, Final, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.faults import bound_of, place_of
from contracts.units import Count, Instant, Number, SiteId, printable

VERSION: Literal[1] = 1
# The broker's own bound is 128 KB (AWS IoT Core quotas, message broker); nothing of ours comes near it.
PAYLOAD_BYTES_MAX = 128 * 1024
# Our deepest message has five levels; a newer one may have a few more in a field that we ignore.
DEPTH_MAX: Final = 16
# Digits of one number; the widest of ours has 28. Python itself would take 4,300, at a cost that grows with the square.
DIGITS_MAX: Final = 40
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class WireError(ValueError):
    """A payload cannot be read as the message that its topic promises."""


class UnknownVersion(WireError):
    """The payload carries a version that this reader does not know."""


def read_json(payload: bytes | str, *, bytes_max: int = PAYLOAD_BYTES_MAX) -> Any:
    """Return the value of a JSON text that others wrote.

    Every border reads with this: a text that is too large, too deep, has a number without measure (NaN, infinity, more
    than ``DIGITS_MAX`` digits), or half a character (a lone surrogate) is refused before anything is made of it.

    Raises:
        WireError: It is one of these, or is no JSON.
    """
    raw = payload.encode(errors="surrogatepass") if isinstance(payload, str) else payload
    if len(raw) > bytes_max:
        raise WireError(f"{len(raw)} bytes, above {bytes_max}")
    if _depth(raw) > DEPTH_MAX:
        raise WireError(f"nested deeper than {DEPTH_MAX} levels")
    try:
        text = raw.decode()
        value = json.loads(text, parse_constant=_no_number, parse_int=_whole, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise WireError("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, WireError) else type(error).__name__
        raise WireError(f"not JSON: {reason}") from error
    if "\\ud" in text.lower():
        _whole_characters(value)
    return value


def _depth(raw: bytes) -> int:
    """Return how deep brackets nest, without following them; those within texts do not count."""
    deepest = depth = 0
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return 0
    for bracket in _BRACKETS.finditer(raw):
        mark = bracket.group()[:1]
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark != b'"':
            depth -= 1
    return deepest


def _no_number(word: str) -> NoReturn:
    raise WireError(f"{word} is no number")


def _whole(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise WireError(f"number of {len(digits)} digits, above {DIGITS_MAX}")
    return int(digits)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise WireError("number beyond the range of a double")
    return value


def _whole_characters(value: Any) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise WireError("text with half a character (a lone surrogate)")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _whole_characters(name)
            _whole_characters(inner)
    elif isinstance(value, list):
        for inner in value:
            _whole_characters(inner)


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
        try:
            raw = read_json(payload)
        except WireError as error:
            raise WireError(f"{cls.__name__}: {error}; refused") from error
        if not isinstance(raw, dict):
            raise WireError(f"{cls.__name__} is a JSON {type(raw).__name__}, not an object; refused")
        version = raw.get("v")
        if version != VERSION:
            raise UnknownVersion(
                f"{cls.__name__} has version {printable(repr(version), 40)}, this reader knows {VERSION}; refused"
            )
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = place_of(first) or "message"
            told = printable(f"{cls.__name__} breaks its schema at {where}: {bound_of(first)}", 400)
            raise WireError(f"{told}; refused") from error
        except RecursionError as error:
            raise WireError(f"{cls.__name__} is nested too deep; refused") from error


class SiteMessage(Message):
    """A message that a site sends: numbered within its channel, so that loss and repetition can be proven.

    ``epoch`` names the journal that numbered the message and changes only when a journal is begun anew; ``seq`` rises
    by one for each message of the same site, channel and epoch, starting at 1.
    """

    channel: ClassVar[str]

    site: SiteId
    epoch: Count
    seq: Number
    sent_at: Instant
