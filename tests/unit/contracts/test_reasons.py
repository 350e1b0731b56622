"""Why a file cannot be used is said in words."""

import sqlite3
from pathlib import Path

import pytest
import yaml

from contracts.reasons import file_reason_of, reason_of


def test_the_machines_error_is_told_without_its_number_and_path(tmp_path: Path) -> None:
    """The path stands in the sentence already."""
    with pytest.raises(OSError) as caught:
        (tmp_path / "none").read_bytes()
    assert reason_of(caught.value) == "No such file or directory"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)"), "Connection refused"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), [Errno 111] Connect …"),
            "Connection refused",
        ),
        (
            OSError(2, "could not open port /dev/ttyUSB0: [Errno 2] No such file or directory: '/dev/ttyUSB0'"),
            "No such file or directory",
        ),
        (
            OSError(98, "error while attempting to bind on address ('127.0.0.1', 80): address already in use"),
            "Address already in use",
        ),
    ],
)
def test_the_machines_error_is_found_in_a_librarys_sentence(error: OSError, said: str) -> None:
    """asyncio and pyserial wrap it in words that name the address once more."""
    assert reason_of(error) == said


def test_bytes_that_are_no_text_are_told_by_their_place() -> None:
    """A codec's own words help nobody."""
    with pytest.raises(UnicodeDecodeError) as caught:
        b"power;\xfc".decode()
    assert reason_of(caught.value) == "it is not text in UTF-8 (byte 7)"


def test_what_is_no_yaml_is_told_by_its_line() -> None:
    """A tab, a missing quote: whoever mends it needs the place."""
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load("site: farm\n\tzone: east\n")
    assert reason_of(caught.value).startswith("it is not YAML at line 2, column 1: ")


def test_another_error_says_what_it_says() -> None:
    """Ours are sentences, and an error of the machine may have none."""
    assert reason_of(ValueError("columns are missing")) == "columns are missing"
    assert reason_of(OSError("no route")) == "no route"


def test_a_library_that_hands_the_machines_error_on_as_text_loses_its_number() -> None:
    """An MQTT client says so of a broker that is not there."""
    assert reason_of(ValueError("[Errno 111] Connection refused")) == "Connection refused"


def test_a_database_that_cannot_be_opened_is_told_in_words(tmp_path: Path) -> None:
    """A new site's history is not there before its first five minutes are over."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(f"{(tmp_path / 'none.db').as_uri()}?mode=ro", uri=True)
    assert reason_of(caught.value) == "it is not there, or this user may not open it"


def test_a_file_that_no_sentence_names_stands_before_its_reason(tmp_path: Path) -> None:
    """A sentence without the file sends people looking."""
    with pytest.raises(OSError) as caught:
        (tmp_path / "none").read_bytes()
    assert file_reason_of(caught.value) == f"{tmp_path / 'none'}: No such file or directory"
    assert file_reason_of(ValueError("of no use")) == "of no use"
