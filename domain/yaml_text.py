"""YAML that a person wrote, as plain values; a key that stands twice is refused."""

from typing import Any, Final

import yaml

_SafeLoader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE: Final = "tag:yaml.org,2002:merge"


class _Unique(_SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands twice in one mapping: the first would be lost without a word."""


def _mapping(loader: Any, node: Any, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:
            continue
        key = loader.construct_object(key_node, deep=deep)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_yaml(text: str) -> Any:
    """Return the plain values of a YAML text.

    Raises:
        yaml.YAMLError: It is no YAML, or a key stands twice in one mapping.
    """
    # The loader constructs plain values only: it derives from the safe one.
    return yaml.load(text, Loader=_Unique)
