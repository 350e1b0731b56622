"""What is wrong with a value that a person or a program gave, in plain words: the key, the value, the bound. Pure.

The models say what is right; pydantic finds what is not, and names it for programmers. Each kind of fault has its words
here, once, for files, commands and questions alike.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

SHOWN_MAX = 80  # Characters of a value; a longer one is cut.
_LOOKED_AT_MAX = 2000  # For secrets; an address is no longer.
_BITS_SHOWN_MAX = 256
_UNWRITABLE = "Value error, Exceeds the limit ("  # Python, of a number that a rule's own sentence names.
# How a text must look, in words: each pattern that a model of a person's file or command has.
FORMS: Mapping[str, str] = {
    r"^(always|changed)$": "always or changed",
    r"^(tcp|rtu|rtu_over_tcp|ascii)$": "tcp, rtu, rtu_over_tcp or ascii",
    r"^8[NEO][12]$": "a serial format, as 8N1",
    r"^(https?://\S+)?$": "an address that begins with http:// or https://",
    r"^https?://[^\s/]+(/[^\s]*)?$": "an address that begins with http:// or https://",
    r"^https?://[^\s]{1,1000}$": "an address that begins with http:// or https://",
    r"^20[0-9]{2}-(0[1-9]|1[0-2])$": "a month, as 2026-03",
    r"^[0-9a-f]{64}$": "a SHA-256 of 64 hexadecimal digits",
    r"^[A-Za-z0-9_-]{43}$": "the thumbprint of a key, 43 characters of base64url",
    r"^[A-Z]{3}$": "a currency of three capital letters, as EUR",
    r"^[A-Za-z0-9*_=+|@.-]{1,48}$": "1 to 48 letters, digits and *_=+|@.-, as a station calls itself",
    r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$": "1 to 63 letters, digits and ._@-, the first a letter or a digit",
    r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3}$": "one to four names of letters, digits, _ and -, a / between",
    r"^[^\s:]+:[0-9]{1,5}$": "HOST:PORT",
    r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$": "a name of a host in small letters",
    r"^[a-z0-9][a-z0-9-]{0,62}$": "1 to 63 small letters, digits and hyphens, no hyphen first",
    r"^[a-z0-9][a-z0-9.-]{0,62}$": "1 to 63 small letters, digits, dots and hyphens, a letter or a digit first",
    r"^[a-z0-9][a-z0-9_-]{0,31}$": "1 to 32 small letters, digits, _ and -, a letter or a digit first",
    r"^[a-z0-9][a-z0-9_-]{0,62}$": "1 to 63 small letters, digits, _ and -, a letter or a digit first",
    r"^[a-z0-9][a-z0-9_]*$": "small letters, digits and _, a letter or a digit first",
    r"^[a-z][a-z0-9_]*$": "small letters, digits and _, a letter first",
    r"^\d{1,5}\.\d{1,5}\.\d{1,5}$": "a version, as 1.2.3",
}

_WHOLE, _NUMBER, _YES = "must be a whole number", "must be a number", "must be true or false"
_TEXT, _SECTION, _LIST = "must be a text", "must be a section of keys", "must be a list"
_INSTANT = "must be an instant, as 2026-03-17T12:00:00Z"
_DATE, _TIME = "must be a date, as 2026-03-17", "must be a time of day, as 06:30"
_SPAN = "must be a duration, as PT15M"
_FILE = "must be the name of a file or a folder"
_WORDS: Mapping[str, str] = {
    "bool_parsing": _YES,
    "bool_type": _YES,
    "bytes_type": _TEXT,
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_parsing": _DATE,
    "date_type": _DATE,
    "datetime_from_date_parsing": _INSTANT,
    "datetime_object_invalid": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_type": _INSTANT,
    "decimal_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "dict_type": _SECTION,
    "finite_number": "must be a finite number",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "frozen_set_type": _LIST,
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_type": _WHOLE,
    "is_instance_of": "must be one of those that are known",
    "iterable_type": _LIST,
    "list_type": _LIST,
    "mapping_type": _SECTION,
    "model_attributes_type": _SECTION,
    "model_type": _SECTION,
    "path_type": _FILE,
    "set_type": _LIST,
    "string_sub_type": _TEXT,
    "string_type": _TEXT,
    "string_unicode": "must be a text in UTF-8",
    "time_delta_parsing": _SPAN,
    "time_delta_type": _SPAN,
    "time_parsing": _TIME,
    "time_type": _TIME,
    "timezone_aware": "must name its time zone, as 2026-03-17T12:00:00Z",
    "timezone_naive": "must name no time zone",
    "tuple_type": _LIST,
    "union_tag_not_found": "must say what it is",
}
# Keys whose values are nobody's to read, not in an error either.
_SECRET = re.compile(r"(?:password|passphrase|secret|token|private_key)$")
# Within an address: who signs in, and what is a secret among its parameters.
_USER = re.compile(r"(?<=://)[^/@\s]*@")
_PARAMETER = re.compile(r"(?i)((?:pass|token|secret|key)[a-z_]{0,20})=[^&\s'\"]*")
# A part of a fault's place that names the library's way through a union, and no key.
_NO_KEY = re.compile(r"[\[(]|^(?:str|int|float|bool|none)$")


def place_of(fault: ErrorDetails) -> str:
    """Return the key of a fault, from the outermost to its own; empty for the whole."""
    return ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or _NO_KEY.search(part) is None)


def fault_of(fault: ErrorDetails, *, whole: str = "") -> str:
    """Say what is wrong: key, value and bound.

    Args:
        fault: One of a validation's.
        whole: What the whole is called where no key of it is at fault.
    """
    key, value = place_of(fault), fault.get("input")
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] == "too_short" and not value:
        return f"{key} is empty, it must hold at least one"
    bound = bound_of(fault)
    if key and fault["type"] == "value_error" and isinstance(value, Mapping):
        return f"{key}: {bound}"  # A rule among the keys of a section: its sentence names them.
    if not key:
        return f"{whole}: {bound}" if whole else bound
    return f"{key} is {'not shown' if _SECRET.search(key) else shown(value)}, {bound}"


def valueless(fault: ErrorDetails, *, whole: str) -> str:
    """Say what is wrong without the value, which is a stranger's: key and bound, within a line."""
    key = place_of(fault)[:80] or whole
    return f"{key}{':' if fault['type'] == 'value_error' else ''} {bound_of(fault)}"


def bound_of(fault: ErrorDetails) -> str:
    """Say what would be right, without the value: it may be a secret, or without end."""
    kind = fault["type"]
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _BOUNDS:
        return _BOUNDS[kind](fault.get("ctx", {}))
    if fault["msg"].startswith(_UNWRITABLE):
        return "is a number without end"
    return (
        fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").removeprefix("Input ")
    ).replace("should ", "must ", 1)


def shown(value: Any) -> str:
    """Return a value as a sentence names it."""
    if value is None:
        return "empty"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        return "a section" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and value.bit_length() > _BITS_SHOWN_MAX:
        return "a number without end"  # Python refuses to write one of more than 4,300 digits.
    told = _PARAMETER.sub(r"\1=…", _USER.sub("…@", repr(value)[:_LOOKED_AT_MAX]))
    return told if len(told) <= SHOWN_MAX else f"{told[:SHOWN_MAX]}…"


def _form(pattern: str) -> str:
    return f"must be {FORMS[pattern]}" if pattern in FORMS else f"must have the form {pattern}"


_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "extra_forbidden": lambda _: "is not a known key",
    "missing": lambda _: "is missing",
    "string_pattern_mismatch": lambda ctx: _form(ctx["pattern"]),
    "string_too_long": lambda ctx: f"must have {ctx['max_length']} characters at most",
    "string_too_short": lambda ctx: f"must be {ctx['min_length']} or more characters long",
    "too_long": lambda ctx: f"must hold {ctx['max_length']} at most, not {ctx.get('actual_length') or 'more'}",
    "too_short": lambda ctx: f"must hold {ctx['min_length']} at least, not {ctx['actual_length']}",
    "union_tag_invalid": lambda ctx: f"its {ctx['discriminator']} must be one of {ctx['expected_tags']}",
}
