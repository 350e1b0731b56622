"""Read and check the file of a site; a complaint is one sentence: the file, the key, the value and the bound."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from contracts.faults import fault_of, place_of
from contracts.reasons import reason_of
from contracts.spelling import unknown_key
from domain.yaml_text import load_yaml
from edge.config.places import beside, placed
from edge.config.site_config import SiteConfig
from edge.errors import ConfigError

log = logging.getLogger(__name__)

FAULTS_SAID = 6  # In one sentence; ``ConfigError.faults`` has all of a file.


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
        said = faults(error, of=SiteConfig)
        raise ConfigError(f"{path}: {_bounded(said)}{end}", faults=said) from error
    return placed(config, lambda one: beside(one, folder=path.parent))


def _with_state_beside(raw: dict[Any, Any], *, folder: Path) -> dict[Any, Any]:
    """Return a raw file whose state folder is absolute: those of a fleet are made of it before anything is checked."""
    state = raw.get("state_dir")
    return {**raw, "state_dir": str(beside(Path(state), folder=folder))} if isinstance(state, str) and state else raw


def sentence(error: ValidationError, *, of: type[BaseModel] | None = None) -> str:
    """Say what is wrong: key, value and bound of each fault; of many the first, and how many more there are.

    With ``of``, what was read, a key that is not known is told with the one that was meant.
    """
    return _bounded(faults(error, of=of))


def faults(error: ValidationError, *, of: type[BaseModel] | None = None) -> tuple[str, ...]:
    """Return a sentence for each fault."""
    found = [one for one in error.errors(include_url=False) if not _of_its_items(one, error)]
    found.sort(key=lambda one: unknown_key("", one, of=None) is None)  # They are why others are missing.
    said = (unknown_key(place_of(one), one, of=of) or fault_of(one) for one in found)
    return tuple(dict.fromkeys(said))


def _bounded(said: Sequence[str]) -> str:
    more = len(said) - FAULTS_SAID
    return "; ".join(said[:FAULTS_SAID]) + (f"; {more} more" if more > 0 else "")


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
