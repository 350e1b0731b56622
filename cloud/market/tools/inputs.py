"""Values out of files: whole numbers, texts and lists, or one sentence about what is wrong."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from contracts.units import DELIVERY_INTERVAL_S, epoch_ms


class BadInput(ValueError):
    """A file says something that cannot be; the message names the place, the value and what would be right."""


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{where} is a {type(value).__name__}, not an object")
    return value


def without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, for ``json.loads(object_pairs_hook=…)``.

    Raises:
        BadInput: A key stands twice: of two values only the last would count.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise BadInput(f"the key {key!r} stands twice in one object, with {found[key]!r} and {value!r}")
        found[key] = value
    return found


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
    if value != value.strip() or not value.isprintable():
        raise BadInput(
            f"{name} of {where} is {value!r}: spaces around it or signs that nobody sees make it another name"
        )
    return value


def instant_of(data: Mapping[str, object], name: str, where: str) -> datetime:
    """Return an instant with an offset."""
    value = text(data, name, where)
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadInput(f"{name} of {where} is {value!r}, not an instant like 2026-11-10T12:00+01:00") from error
    if at.tzinfo is None:
        raise BadInput(f"{name} of {where} has no offset, as 2026-11-10T12:00+01:00 has")
    return at


def interval_start_ms(data: Mapping[str, Any], *, follows_clock: bool) -> int:
    """Return when the file's (first) interval begins, in ms since the epoch; 0 where nothing depends on it.

    Args:
        data: Its ``start`` is an instant on a quarter of an hour.
        follows_clock: The rules have prices that depend on the hour.
    """
    if data.get("start") is None:
        if follows_clock:
            raise BadInput(
                "rules.last_resort.tariff follows the clock: add start, when the interval begins, as "
                "2026-11-10T12:00+01:00"
            )
        return 0
    start_ms = epoch_ms(instant_of(data, "start", "the file"))
    if start_ms < 0 or start_ms % (DELIVERY_INTERVAL_S * 1000):
        raise BadInput(f"start of the file is {data['start']!r}, on no quarter of an hour since 1970")
    return start_ms
