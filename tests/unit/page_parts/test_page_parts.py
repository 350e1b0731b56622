"""What pages are made of is what its list says it is, and goes to those that may have it."""

import hashlib
import json
from importlib.resources import files

import pytest

import page_parts

_VENDOR = files("page_parts").joinpath("vendor")
_LISTED = json.loads(_VENDOR.joinpath("vendored.json").read_text())


@pytest.mark.parametrize("entry", _LISTED, ids=[entry["file"] for entry in _LISTED])
def test_a_library_kept_here_is_the_one_that_was_published(entry: dict[str, str]) -> None:
    """A changed byte would run in every reader's browser."""
    assert hashlib.sha256(_VENDOR.joinpath(entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert all(_VENDOR.joinpath(name).read_text() for name in entry["licence_files"])


def test_every_library_kept_here_is_listed() -> None:
    """A file without a version and a licence is nobody's."""
    kept = {entry.name for entry in _VENDOR.iterdir() if entry.name.endswith((".js", ".css"))}
    assert kept == {entry["file"] for entry in _LISTED}


def test_all_parts_together_are_small() -> None:
    """A phone in a cellar loads them: 250 KB is the bound of a whole page."""
    assert sum(len(page_parts.part(name)) for name in page_parts.NAMES) < 150_000


@pytest.mark.parametrize("name", ["../pyproject.toml", "vendor/vendored.json", "", "vendor", "/base.css"])
def test_only_named_parts_are_given_out(name: str) -> None:
    """A path is no way into the machine."""
    with pytest.raises(KeyError, match="no part of a page is called"):
        page_parts.part(name)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("gateway.home:8080", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_a_page_of_somebody_else_cannot_call_this_machine_by_its_own_name(host: str, known: bool) -> None:
    """DNS rebinding lets a browser send any name here."""
    assert page_parts.known_host(host, frozenset({"gateway.home"})) is known
