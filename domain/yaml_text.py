"""YAML that a person wrote, as plain values; a key that stands twice is refused or told."""

from collections.abc import Callable, Hashable
from typing import Any, Final

import yaml

_SafeLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE: Final = "tag:yaml.org,2002:merge"


class _Unique(_SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands twice in one mapping, or tells of it: the first would be lost without a word."""

    twice: Callable[[str], None] | None = None


def _mapping(loader: Any, node: Any, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise _error("a list or a section is no key", key_node)
        if key in seen and loader.twice is None:
            raise _error(f"the key {key!r} stands twice", key_node)
        if key in seen:
            loader.twice(f"{key!r} in line {key_node.start_mark.line + 1}")
        seen.add(key)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


def _error(what: str, node: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


_Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_yaml(text: str, *, twice: Callable[[str], None] | None = None) -> Any:
    """Return the plain values of a YAML text.

    Args:
        text: What a person wrote.
        twice: Is told of each key that stands twice in one mapping, and where; the last one counts then.

    Raises:
        yaml.YAMLError: It is no YAML, or a key stands twice in one mapping and nobody is to be told of it.
    """
    loader = _Unique(text)
    loader.twice = twice
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
