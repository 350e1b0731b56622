"""The commands of a stack end with one answer where they cannot begin; what they do is tried by ``make aws``."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewatt.commands.cloud import app
from tests.support.cloud.sites import registry_data

# Nobody answers on the discard port of the loopback, and nobody is asked.
NOWHERE = ("--endpoint", "http://127.0.0.1:9", "--json")


def _refused(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, *NOWHERE])
    assert done.exit_code == 2, done.output
    (line,) = done.output.splitlines()
    return json.loads(line)["error"]


def test_a_deployment_without_its_code_says_how_to_build_it(tmp_path: Path) -> None:
    """One answer, and before anything is asked of the account."""
    told = _refused("deploy", "--bundles", str(tmp_path))
    assert told["code"] == "no_bundle"
    assert f"sitewatt cloud bundle --arch arm64 --out {tmp_path} builds it" in told["message"]


def test_an_end_is_not_begun_by_mistake() -> None:
    """It says what would go, and what would stay."""
    told = _refused("destroy")
    assert told["code"] == "not_confirmed" and "keep its tables, lake and keys: give --yes" in told["message"]
    assert "with all its data, for good" in _refused("destroy", "--with-data")["message"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("zones: [", "cannot be read"),
        ("zones: 7", "cannot be used: zones"),
        ("registry: {sites: 7}", "zones is missing"),
    ],
)
def test_a_registry_that_is_wrong_is_refused_before_it_is_sent(tmp_path: Path, text: str, told: str) -> None:
    """The account is left as it was."""
    (tmp_path / "zones.yaml").write_text(text)
    assert told in _refused("register", "--registry", str(tmp_path / "zones.yaml"))["message"]


def test_a_signing_key_that_is_none_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    """Functions would fail at their first order."""
    (tmp_path / "zones.yaml").write_text(json.dumps(registry_data()))
    (tmp_path / "key.pem").write_text("no key")
    given = ("--registry", str(tmp_path / "zones.yaml"), "--signing-key", str(tmp_path / "key.pem"))
    assert "cannot be read" in _refused("register", *given)["message"]
