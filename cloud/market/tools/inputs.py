"""Values out of files: whole numbers, texts and lists, or one sentence about what is wrong."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class BadInput(ValueError):
    """A file says something that cannot be; the message names the place, the value and what would be right."""


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{where} is a {type(value).__name__}, not an object")
    return value


def rows(data: Mapping[str, Any], name: str, *, where: str = "the file") -> list[Mapping[str, Any]]:
    """Return a list of objects, empty where it is absent."""
    value = data.get(name, [])
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise BadInput(f"{name} in {where} is a {type(value).__name__}, not a list")
    return [mapping(row, f"{name}[{index}]") for index, row in enumerate(value)]


def only(data: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse an object with a key that nobody reads: a misspelled key would else stand for nothing."""
    for key in data:
        if key not in known:
            near = get_close_matches(str(key), list(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise BadInput(f"{where} has the unknown key {key!r}; {hint}")


def whole(
    data: Mapping[str, Any], name: str, where: str, *, least: int | None = None, default: int | None = None
) -> int:
    """Return a whole number, at least ``least``."""
    value = data.get(name, default)
    if type(value) is not int:
        raise BadInput(f"{name} of {where} is {value!r}, not a whole number")
    if least is not None and value < least:
        raise BadInput(f"{name} of {where} is {value}, below {least}")
    return value


def text(data: Mapping[str, Any], name: str, where: str, *, default: str | None = None) -> str:
    """Return a text that is not empty; a whole number, as many files have for an id or a zone, is taken as its text."""
    value = data.get(name, default)
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or not value:
        raise BadInput(f"{name} of {where} is {value!r}, not a text")
    return value
