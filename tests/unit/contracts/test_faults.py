"""Whatever a person gets wrong is told in plain words, and in no library's."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

import cloud
import contracts
import domain
import edge
import firmware_sim
from contracts.faults import FORMS, SHOWN_MAX, fault_of, shown

OURS = (contracts, domain, edge, cloud, firmware_sim)
_ENDLESS = 10**5000
BAD: tuple[Any, ...] = (
    None, "", "x", "x" * 3000, "\x00", "ä ö", "\ud800", "2020-99-99", b"\xff", -1, 0, 1.5, 10**30, _ENDLESS,
    float("nan"), True, [], ["x"], {}, {"x": 1}, {"kind": "x"}, set(),
)  # fmt: skip
# What only a programmer understands.
_LIBRARYS = ("Input ", "should ", "String must", "Tuple ", "valid ", "pydantic", "<class", "instance of", "conversion")


def _models() -> Iterator[type[BaseModel]]:
    """Yield every model of the product, but for those of the stack's definition, whose library a gateway lacks."""
    for package in OURS:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".infra" not in found.name and "__main__" not in found.name:
                importlib.import_module(found.name)
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting += below
        yield from (one for one in below if one.__module__.partition(".")[0] in {each.__name__ for each in OURS})


@pytest.fixture(scope="module")
def models() -> tuple[type[BaseModel], ...]:
    """Return every model once."""
    return tuple(dict.fromkeys(_models()))


def _faults(model: type[BaseModel]) -> Iterator[ErrorDetails]:
    for name, field in model.model_fields.items():
        for bad in BAD:
            try:
                model.model_validate({field.alias or name: bad})
            except ValidationError as error:
                yield from error.errors(include_url=False)


def test_no_fault_of_any_model_is_told_in_a_librarys_words(models: tuple[type[BaseModel], ...]) -> None:
    """Every key of every model, with what people and programs put there."""
    told, kinds = set(), set()
    for model in models:
        for fault in _faults(model):
            kinds.add(fault["type"])
            told.add(fault_of(fault, whole="file"))
    assert len(models) > 200 and len(kinds) > 30, "the walk found what there is"
    wrong = [one for one in told if any(word in one for word in _LIBRARYS)]
    assert not wrong, wrong[:10]
    for one in told:
        one.encode()


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for inner in schema.values():
            yield from _patterns(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _patterns(inner)


def test_every_form_that_a_text_must_have_has_words_and_no_words_are_left_over(
    models: tuple[type[BaseModel], ...],
) -> None:
    """A regular expression is no answer to somebody who mistyped a name."""
    assert {pattern for model in models for pattern in _patterns(model.model_json_schema())} == set(FORMS)


class _Login(BaseModel):
    port: int
    api_token: str
    password_file: str


def test_a_secret_is_not_repeated_and_a_long_value_is_cut() -> None:
    """An error goes into logs and onto screens."""
    with pytest.raises(ValidationError) as refused:
        _Login.model_validate({"port": "x" * 500, "api_token": 4711, "password_file": 4711})
    port, token, file = (fault_of(one) for one in refused.value.errors(include_url=False))
    assert port == f"port is {shown('x' * 500)}, must be a whole number" and len(port) < SHOWN_MAX + 50
    assert token == "api_token is not shown, must be a text"
    assert file == "password_file is 4711, must be a text"
