"""A misspelled key gets the one that was meant, wherever in a file it stands."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.spelling import first_fault, known_keys, meant


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Cat(_Strict):
    kind: Literal["cat"]
    whiskers: int = 0


class _Dog(_Strict):
    kind: Literal["dog"]
    collar: str = Field(default="", alias="neckband")


class _House(_Strict):
    pets: tuple[Annotated[_Cat | _Dog, Field(discriminator="kind")], ...] = ()
    rooms: dict[str, _Cat] | None = None
    size: int = 0


class _Street(_Strict):
    house: _House


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"hause": {}}, "hause is not a known key (did you mean 'house'?)"),
        ({"house": {"sise": 3}}, "house.sise is not a known key (did you mean 'size'?)"),
        (
            {"house": {"pets": [{"kind": "cat", "wiskers": 3}]}},
            "house.pets.0.cat.wiskers is not a known key (did you mean 'whiskers'?)",
        ),
        (
            {"house": {"pets": [{"kind": "dog", "nekband": "red"}]}},
            "house.pets.0.dog.nekband is not a known key (did you mean 'neckband'?)",
        ),
        (
            {"house": {"rooms": {"attic": {"kind": "cat", "whisker": 1}}}},
            "house.rooms.attic.whisker is not a known key (did you mean 'whiskers'?)",
        ),
        ({"house": {"zebra": 1}}, "house.zebra is not a known key"),
        ({}, "house is missing"),
        ([], "street: must be a section of keys"),
    ],
)
def test_the_key_that_was_meant_is_named(told: object, says: str) -> None:
    """An unknown key is told before what is missing: it is why it is missing."""
    with pytest.raises(ValidationError) as refused:
        _Street.model_validate(told)
    assert first_fault(refused.value, of=_Street, whole="street") == says


def test_the_known_keys_of_a_place_are_those_of_its_section_alone() -> None:
    """A key of another section would be no help there."""
    assert known_keys(_Street, ("house", "sise")) == ("pets", "rooms", "size")
    assert known_keys(_Street, ("house", "pets", 0, "cat", "x")) == ("kind", "whiskers", "neckband")
    assert meant("SIZE", known_keys(_Street, ("house", "SIZE"))) == "; did you mean 'size'?"
