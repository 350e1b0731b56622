"""The page's passwords: none by default, kept as scrypt makes them, unreadable for others."""

import json
from pathlib import Path

import pytest

from edge.control.keys import Role
from edge.web.passwords import FILE, LETTERS_MAX, PasswordRefused, clear_password, matches, set_password, stamps

PASSWORD = "ein Kessel im Keller äöü"


def test_a_password_is_its_roles_alone_and_is_not_kept_as_it_is(tmp_path: Path) -> None:
    """Who reads the card learns no password, and the installer's opens nothing as the owner."""
    assert stamps(tmp_path) == {}
    assert not matches(tmp_path, "owner", "")
    set_password(tmp_path, Role.INSTALLER, PASSWORD)
    assert matches(tmp_path, "installer", PASSWORD)
    assert not matches(tmp_path, "installer", f"{PASSWORD} ")
    assert not matches(tmp_path, "owner", PASSWORD)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in json.loads((tmp_path / FILE).read_text())["installer"].values()
    before = stamps(tmp_path)
    set_password(tmp_path, Role.INSTALLER, PASSWORD)
    assert stamps(tmp_path) != before
    assert clear_password(tmp_path, Role.INSTALLER)
    assert not clear_password(tmp_path, Role.INSTALLER)
    assert not matches(tmp_path, "installer", PASSWORD)


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaa", "x" * (LETTERS_MAX + 1)])
def test_what_is_no_password_is_refused_and_changes_nothing(tmp_path: Path, password: str) -> None:
    """An empty line from a pipe must not become a password."""
    with pytest.raises(PasswordRefused):
        set_password(tmp_path, Role.OWNER, password)
    with pytest.raises(PasswordRefused):
        set_password(tmp_path, Role.GRID_OPERATOR, PASSWORD)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"owner": 1}', '{"owner": {"salt": "?", "scrypt": ""}}'])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    """A torn write must not open the site."""
    (tmp_path / FILE).write_text(content)
    assert not matches(tmp_path, "owner", "")
    assert not matches(tmp_path, "owner", PASSWORD)
    set_password(tmp_path, Role.OWNER, PASSWORD)
    assert matches(tmp_path, "owner", PASSWORD)
