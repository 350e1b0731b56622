"""On which devices of a family a point exists, or means what its entry says: by what other points tell. Pure."""

import re
from typing import Annotated

from pydantic import BeforeValidator, model_validator

from edge.devices.section import Section

_NUMBERS = re.compile(r"\d+")


class Condition(Section):
    """What another point must read; all of what is given holds together.

    Args:
        matches: A pattern that the text holds.
        one_of: Codes, one of which it reads.
        at_least: The first version with it, compared number by number; ``below`` the first without.
    """

    matches: str | None = None
    one_of: tuple[int, ...] | None = None
    at_least: str | None = None
    below: str | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "Condition":
        if not self.model_fields_set:
            raise ValueError("asks for nothing: give matches, one_of, at_least or below")
        for bound in (self.at_least, self.below):
            if bound is not None and not version(bound):
                raise ValueError(f"has the version {bound!r}, which holds no number")
        return self

    def example(self) -> str:
        """Return a text for which it holds: the first alternative of a pattern of plain text, a code, a version."""
        if self.matches is not None:
            return re.sub(r"\(\?i\)|[\^$()]", "", self.matches).split("|")[0]
        if self.one_of is not None:
            return str(self.one_of[0])
        return self.at_least if self.at_least is not None else "0"

    def holds(self, text: str) -> bool:
        """Return whether it holds for what the point reads, as text."""
        if self.matches is not None and not re.search(self.matches, text):
            return False
        if self.one_of is not None and text not in {str(code) for code in self.one_of}:
            return False
        told = version(text)
        if self.at_least is not None and not (told and told >= version(self.at_least)):
            return False
        return self.below is None or (bool(told) and told < version(self.below))


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, trailing zeros left out: 1.10 is later than 1.9, and 2.0 is 2."""
    numbers = [int(number) for number in _NUMBERS.findall(text)]
    while numbers and numbers[-1] == 0:
        del numbers[-1]
    return tuple(numbers) or ((0,) if _NUMBERS.search(text) else ())


def _short(value: object) -> object:
    """Return a pattern, a code or a list of codes as the condition that it stands for."""
    if isinstance(value, str):
        return {"matches": value}
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"one_of": [value]}
    return {"one_of": value} if isinstance(value, list | tuple) else value


ShortCondition = Annotated[Condition, BeforeValidator(_short)]
