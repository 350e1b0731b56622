"""YAML of a person: plain values, and no key twice."""

import pytest
import yaml

from domain.yaml_text import load_yaml


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    """Of two limits the last would have counted."""
    for text in ("a: 1\na: 2\n", "x: {a: 1, a: 1}\n", "- {b: 1}\n- {b: 1, c: 2, b: 3}\n"):
        with pytest.raises(yaml.YAMLError, match="stands twice"):
            load_yaml(text)


def test_a_key_that_stands_twice_is_told_where_the_file_must_be_taken() -> None:
    """The last one counts, as it did before anybody looked."""
    told: list[str] = []
    assert load_yaml("x:\n  a: 1\n  b: 2\n  a: 3\n", twice=told.append) == {"x": {"a": 3, "b": 2}}
    assert told == ["'a' in line 4"]


@pytest.mark.parametrize("text", ["? [1, 2]\n: 3\n", "? {a: 1}\n: 3\n", "{{a: 1}: 2}"])
def test_what_can_be_no_key_is_refused(text: str) -> None:
    """YAML knows lists as keys, and nothing here does."""
    with pytest.raises(yaml.YAMLError, match="is no key"):
        load_yaml(text)


def test_what_is_merged_may_be_overridden() -> None:
    """Anchors and ``<<`` are how people write many sites that differ in one field."""
    text = "base: &b {a: 1, b: 2}\nmore: &m {c: 3}\nsite: {<<: [*b, *m], b: 9}\nother: {<<: *b}\n"
    found = load_yaml(text)
    assert found["site"] == {"a": 1, "b": 9, "c": 3} and found["other"] == {"a": 1, "b": 2}


def test_only_plain_values_are_made() -> None:
    """A file is data."""
    with pytest.raises(yaml.YAMLError):
        load_yaml("a: !!python/object/apply:os.getcwd []")
