"""What was meant by a name that nobody knows: the nearest that is known, for whoever mistyped it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from contracts.faults import fault_of, place_of

_UNKNOWN = "extra_forbidden"


def meant(name: str, known: Iterable[str]) -> str:
    """Return a question to append to a complaint, empty where no known name is near."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest, ``None`` where none is near."""
    by_lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def unknown_key(key: str, fault: ErrorDetails, *, of: type[BaseModel] | None) -> str | None:
    """Return what is said of a key that a model does not know, ``None`` for any other fault.

    Args:
        key: As it is named to the person.
        fault: One of the error's.
        of: What the whole file was read as; without it no near key is named.
    """
    if fault["type"] != _UNKNOWN:
        return None
    near = None if of is None else nearest(str(fault["loc"][-1]), known_keys(of, fault["loc"]))
    return f"{key} is not a known key" + ("" if near is None else f" (did you mean {near!r}?)")


def first_fault(error: ValidationError, *, of: type[BaseModel], whole: str) -> str:
    """Return which key of a file is wrong and why; an unknown key before what is missing, as it may have been meant.

    Args:
        error: The refusal of a file.
        of: What it was read as.
        whole: What the file is called where no key of it is at fault.
    """
    if (unknown := first_unknown(error, of=of)) is not None:
        return unknown
    return fault_of(error.errors(include_url=False)[0], whole=whole)


def first_unknown(error: ValidationError, *, of: type[BaseModel]) -> str | None:
    """Return what is said of the first key that the model does not know, ``None`` where it knows all."""
    said = (unknown_key(place_of(fault), fault, of=of) for fault in error.errors(include_url=False))
    return next((one for one in said if one is not None), None)


def known_keys(model: type[BaseModel], place: Sequence[int | str]) -> tuple[str, ...]:
    """Return the keys that are known beside the one at a place; of a union, those of all that it may be."""
    models: tuple[type[BaseModel], ...] = (model,)
    for part in place[:-1]:
        inner = [field.annotation for one in models for name, field in _fields(one) if name == part]
        if inner:  # Another part is an index, a key of a mapping or the tag of a union.
            models = tuple(found for annotation in inner for found in _models(annotation))
    return tuple(dict.fromkeys(name for one in models for name, _ in _fields(one)))


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
