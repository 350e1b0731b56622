"""What is no YAML or no JSON is told by its place and in plain words, whichever decoder there is."""

import json

import pytest
import yaml

from contracts.reasons import reason_of

NOT_YAML = {
    "a: {b: 1\nc: 2": "a section in { } is not closed",
    "a: [1, 2\nb: 3": "a list in [ ] is not closed",
    "a:\n\tb: 1": "a tab",
    "a: @b": "needs quotation marks",
    "a: b: c": "a second colon",
    "a: 1\n b: 2": "a second colon in one line, or a line too far to the right",
    "a: {b: 1}\n c: 2": "does not stand under",
    "a: 1\nb\nc: 2": "a key without its colon",
    'a: "b': "a quotation mark is not closed",
    "- a\nb: 1": "does not stand under",
    "a: *b": "a text that begins with *",
    "a: !b c": "a text that begins with !",
    'a: "C:\\dir"': "a backslash that begins nothing known",
    "a: - b": "a list must begin on a line of its own",
    "a: }": "a value is missing, or a bracket closes nothing",
    "a: &": "a text that begins with &",
    "a: 1\n...\nb": "goes on after its end",
}
NOT_JSON = {
    "": "a value is missing",
    '{"a": 1,}': "key in double quotation marks is missing",
    "{'a': 1}": "key in double quotation marks is missing",
    '{"a" 1}': "the colon after a key is missing",
    '{"a": 1 "b": 2}': "a comma is missing",
    '["a': "a quotation mark is not closed",
    '["a\tb"]': "within a text",
    '["\\x"]': "a backslash that begins nothing known",
    '["\\u12"]': "a backslash that begins nothing known",
    "[1] 2": "it goes on after its end",
    "[1": "a comma is missing, or a bracket is not closed",
}
_LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


@pytest.mark.parametrize("loader", _LOADERS)
@pytest.mark.parametrize(("text", "words"), NOT_YAML.items())
def test_a_fault_of_yaml_is_told_by_its_place_and_what_a_person_did(text: str, words: str, loader: type) -> None:
    """The two decoders have words of their own for each."""
    with pytest.raises(yaml.YAMLError) as refused:
        yaml.load(text, Loader=loader)
    said = reason_of(refused.value)
    assert said.startswith("it is not YAML at line ") and words in said, said
    assert "expected" not in said and "found" not in said


@pytest.mark.parametrize(("text", "words"), NOT_JSON.items())
def test_a_fault_of_json_is_told_by_its_place_and_what_a_person_did(text: str, words: str) -> None:
    """A line is named where there are several."""
    for before in ("", "\n\n"):
        with pytest.raises(json.JSONDecodeError) as refused:
            json.loads(before + text)
        said = reason_of(refused.value)
        assert words in said and "xpect" not in said, said
    several = reason_of(json.JSONDecodeError("Expecting value", "{\n\n", 3))
    assert several == "it is not JSON at column 1: a value is missing"


def test_a_nest_without_end_is_told_as_one() -> None:
    """The decoder gives up with an error of its own."""
    with pytest.raises(RecursionError) as refused:
        json.loads("[" * 100_000)
    assert reason_of(refused.value) == "it is nested too deep"
