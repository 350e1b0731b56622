"""Every fault of a profile's text at once, where loading it ends with the first kind that it meets. Pure.

What breaks the format is taken out, and what is left is judged on its own: nothing is said of it that only follows from
what was taken out.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from edge.devices.profile import Profile, said_of
from edge.devices.profile_check import faults, faults_of_points

# What stands in for a key that is missing or cannot be, so that the others can be judged.
_STAND_INS: Mapping[str, Any] = {
    "id": "unnamed",
    "vendor": "unnamed",
    "models": ["unnamed"],
    "kinds": ["meter"],
    "status": "one_source",
    "sources": ["unnamed"],
    "link": {"framing": "tcp", "functions": [3]},
    "points": {"stand_in": {"canonical": "frequency_hz", "address": 0, "unit": "Hz"}},
}
_SECTIONS = ("points", "derived", "writes", "capabilities", "identify", "null_frame", "refusals", "link", "defaults")
_ROUNDS_MAX = 8


def every_fault(raw: Mapping[str, Any], *, known: Collection[str]) -> tuple[str, ...]:
    """Return every fault of a profile, of its format and beyond it, in words that name the key.

    Args:
        raw: What the YAML text holds.
        known: The canonical names that are in use.
    """
    try:
        return faults(Profile.model_validate(raw), known=known)
    except ValidationError:
        pass
    found: list[str] = []
    left: dict[str, Any] = {str(key): dict(one) if isinstance(one, Mapping) else one for key, one in raw.items()}
    gone: set[str] = set()
    for _ in range(_ROUNDS_MAX):
        try:
            profile = Profile.model_validate(left)
        except ValidationError as error:
            told = [
                (tuple(map(str, one["loc"])), text)
                for one in error.errors(include_url=False)
                for text in (said_of(one).split("; ") if not one["loc"] else [said_of(one)])
            ]
            found += [text for _, text in told if not any(repr(name) in text or f".{name} " in text for name in gone)]
            if all(not where for where, _ in told):  # Only what does not hold together is left.
                left = _points_alone(left)
            for where, _ in told:
                gone |= _take_out(left, where)
            continue
        found += faults_of_points(profile, known=known)
        break
    return tuple(dict.fromkeys(found))


def _take_out(left: dict[str, Any], where: tuple[str, ...]) -> set[str]:
    """Remove what a fault is about, or put something in its place; return the names that are gone with it."""
    if not where:
        return set()
    top = where[0]
    if len(where) > 1 and top in _SECTIONS and isinstance(left.get(top), dict):
        section: dict[Any, Any] = left[top]
        for key in [key for key in section if str(key) == where[1]]:
            del section[key]
        if top == "points" and not section:
            left[top] = _STAND_INS[top]
        if top == "link" and where[1] in _STAND_INS["link"]:
            section[where[1]] = _STAND_INS["link"][where[1]]
        return {where[1]} if top in ("points", "derived", "writes") else set()
    if top in _STAND_INS:
        left[top] = _STAND_INS[top]
    else:
        left.pop(top, None)
    return set()


def _points_alone(left: dict[str, Any]) -> dict[str, Any]:
    """Return the points without what refers to them, each only read, so that each is judged by itself."""
    alone = {key: one for key, one in left.items() if key in (*_STAND_INS, "sunspec", "defaults")}
    alone["points"] = {
        name: {key: one for key, one in spec.items() if key not in ("access", "write_address", "when")}
        for name, spec in left["points"].items()
    }
    return alone
