"""Read and check the file of a site; a complaint is one sentence: the file, the key, the value and the bound."""

import logging
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contracts.reasons import reason_of
from contracts.spelling import unknown_key
from domain.yaml_text import load_yaml
from edge.config.places import beside, placed
from edge.config.site_config import SiteConfig
from edge.errors import ConfigError

log = logging.getLogger(__name__)

FAULTS_SAID = 6  # Of one file: an installer mends several at once, and reads no more.


def load_config(path: Path, *, otherwise: str | None = "the gateway does not start") -> SiteConfig:
    """Read and check a configuration file; relative paths in it are beside it, and absolute in what is returned.

    Args:
        path: The file.
        otherwise: What a file that cannot be used means for whoever asked; it ends the sentence.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or breaks a rule; one sentence says which.
    """
    end = "" if otherwise is None else f"; {otherwise}"
    try:
        # A file with which a gateway ran before an update starts it after one too.
        raw = load_yaml(
            path.read_text(encoding="utf-8"),
            twice=lambda key: log.warning("%s: the key %s stands twice, the last one counts", path, key),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}{end}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no keys, expected site, connection, devices, state_dir{end}")
    try:
        config = SiteConfig.model_validate(_with_state_beside(raw, folder=path.parent))
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error, of=SiteConfig)}{end}") from error
    return placed(config, lambda one: beside(one, folder=path.parent))


def _with_state_beside(raw: dict[Any, Any], *, folder: Path) -> dict[Any, Any]:
    """Return a raw file whose state folder is absolute: those of a fleet are made of it before anything is checked."""
    state = raw.get("state_dir")
    return {**raw, "state_dir": str(beside(Path(state), folder=folder))} if isinstance(state, str) and state else raw


def sentence(error: ValidationError, *, of: type[BaseModel] | None = None) -> str:
    """Say what is wrong: key, value and bound of each fault; of many the first, and how many more there are.

    With ``of``, what was read, a key that is not known is told with the one that was meant.
    """
    faults = [one for one in error.errors(include_url=False) if not _of_its_items(one, error)]
    faults.sort(key=lambda one: unknown_key("", one, of=None) is None)  # They are why others are missing.
    said = [
        unknown_key(key, one, of=of) or _said(key, one["type"], one["msg"], one.get("input"))
        for one in faults[:FAULTS_SAID]
        for key in [".".join(map(str, one["loc"]))]
    ]
    more = len(faults) - len(said)
    return "; ".join(said) + (f"; {more} more" if more else "")


def _of_its_items(fault: Any, error: ValidationError) -> bool:
    """Whether a list is called too short only because those of its items that are wrong were left out of the count."""
    return (
        fault["type"] == "too_short"
        and bool(fault.get("input"))
        and any(
            len(one["loc"]) > len(fault["loc"]) and one["loc"][: len(fault["loc"])] == fault["loc"]
            for one in error.errors()
        )
    )


# Where the library's own sentence names its types, in plain words.
_PLAIN_BOUND = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "dict_type": "must be a section of keys",
    "model_type": "must be a section of keys",
    "model_attributes_type": "must be a section of keys",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
}


def _said(key: str, kind: str, message: str, value: Any) -> str:
    bound = message.removeprefix("Value error, ").removeprefix("Input ").replace("should ", "must ")
    if kind == "missing":
        return f"{key} is missing"
    if kind == "too_short" and not value:
        return f"{key} is empty, it must hold at least one"
    bound = _PLAIN_BOUND.get(kind, bound)
    if not key:
        return bound
    shown = _shown(value)
    return f"{key} is {shown}, {bound}"


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    return "a section" if isinstance(value, dict) else "a list" if isinstance(value, list | tuple) else repr(value)
