"""Tariffs from text: YAML in the form of ``tariffs/schema.json``, or the short form of two numbers."""

from typing import Any

import yaml
from pydantic import ValidationError

from contracts.reasons import reason_of
from contracts.spelling import first_fault
from domain.tariff.model import Tariff, flat
from domain.yaml_text import load_yaml

SHORT_FORM = {"import_mct_per_kwh", "export_mct_per_kwh"}


class BadTariff(ValueError):
    """A text is no tariff; the message names the place, the value and what would be right."""


def read_tariff(text: str, *, where: str) -> Tariff:
    """Return the tariff of a YAML text.

    Args:
        text: The file's content.
        where: Its name, for the message.

    Raises:
        BadTariff: It is none.
    """
    try:
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        raise BadTariff(f"{where} cannot be read: {reason_of(error)}") from error
    return tariff_of(raw, where=where)


def tariff_of(raw: Any, *, where: str) -> Tariff:
    """Return the tariff of decoded YAML or JSON.

    Raises:
        BadTariff: It is none.
    """
    if not isinstance(raw, dict):
        raise BadTariff(f"{where} is a {type(raw).__name__}, not a tariff's fields")
    if raw.keys() == SHORT_FORM and all(type(value) is int for value in raw.values()):
        return flat(**raw)
    try:
        return Tariff.model_validate(raw)
    except ValidationError as error:
        raise BadTariff(f"{where}: {first_fault(error, of=Tariff, whole='tariff')}") from error
