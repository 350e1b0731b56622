"""Which profiles there are: ours, and a user's folder that goes before them."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from contracts.reasons import reason_of
from contracts.spelling import meant
from domain.yaml_text import load_yaml
from edge.devices.profile import Profile, sentence
from edge.errors import ConfigError

_PACKAGE = "device_profiles"
_SUFFIX = ".yaml"


def load_profile(profile_id: str, user_dir: Path | None = None) -> Profile:
    """Return a checked profile; one of the user's own folder goes before ours.

    Raises:
        ConfigError: There is no such profile or folder, or the profile breaks a rule; one sentence names the key.
    """
    if user_dir is not None and (own := _folder(user_dir) / f"{profile_id}{_SUFFIX}").is_file():
        try:
            text = own.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"profile {own} cannot be read: {reason_of(error)}") from error
        return parse_profile(profile_id, text)
    return _shipped(profile_id)


def parse_profile(profile_id: str, text: str) -> Profile:
    """Return the profile that a YAML text holds.

    Raises:
        ConfigError: It is not YAML, or breaks a rule; one sentence names the key.
    """
    raw = keys_of(profile_id, text)
    try:
        profile = Profile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(sentence(profile_id, error)) from error
    if profile.id != profile_id:
        raise ConfigError(f"profile {profile_id}: id is {profile.id!r}, which must be the name of its file")
    return profile


def keys_of(profile_id: str, text: str) -> Mapping[str, Any]:
    """Return what a YAML text holds by its keys.

    Raises:
        ConfigError: It is not YAML, or holds no keys.
    """
    try:
        raw = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"profile {profile_id} cannot be read: {reason_of(error)}") from error
    if not isinstance(raw, Mapping):
        raise ConfigError(f"profile {profile_id} holds no keys, expected id, vendor, models, link, points")
    return raw


def list_profiles(user_dir: Path | None = None) -> tuple[str, ...]:
    """Return the ids of all profiles, a user's included, in alphabetical order.

    Raises:
        ConfigError: There is no such folder.
    """
    ids = {entry.name.removesuffix(_SUFFIX) for entry in files(_PACKAGE).iterdir() if entry.name.endswith(_SUFFIX)}
    if user_dir is not None:
        ids |= {path.stem for path in _folder(user_dir).glob(f"*{_SUFFIX}")}
    return tuple(sorted(ids))


def known_names() -> frozenset[str]:
    """Return the canonical names in use: those of all profiles that ship."""
    profiles = [_shipped(name) for name in list_profiles()]
    points = {spec.canonical for profile in profiles for spec in profile.points.values()}
    return frozenset(points | {spec.canonical for profile in profiles for spec in profile.derived.values()})


def json_schema() -> str:
    """Return the JSON Schema of the profile format, as it ships beside the profiles."""
    schema = Profile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "sitewatt device profile"
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _folder(path: Path) -> Path:
    """Return a user's folder that is there: behind a slip of the pen ours would be taken without a word."""
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder, so no profile in it could go before ours")
    return path


@lru_cache(maxsize=128)
def _shipped(profile_id: str) -> Profile:
    entry: Traversable = files(_PACKAGE) / f"{profile_id}{_SUFFIX}"
    if "/" in profile_id or "." in profile_id or not entry.is_file():
        known = list_profiles()
        raise ConfigError(
            f"there is no profile {profile_id!r}; `sitewatt profile list` names the {len(known)}"
            f"{meant(profile_id, known)}"
        )
    return parse_profile(profile_id, entry.read_text(encoding="utf-8"))
