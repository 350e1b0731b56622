"""Who may act at the page is set at the gateway, and each mistake there is a sentence."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.web.passwords import matches
from sitewatt.commands.edge import app
from tests.support.rigs.edge_parts import plain_config

PASSWORD = "a kettle in the cellar"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site's file whose page takes sign-ins, and its state folder."""
    (tmp_path / "state").mkdir()
    path = tmp_path / "site.yaml"
    path.write_text(json.dumps(plain_config(state_dir=str(tmp_path / "state"), page={"tls_port": 8443})))
    return path


def _run(*arguments: str, typed: str = "", code: int = 0) -> str:
    ended = CliRunner().invoke(app, ["page", *arguments, "--json"], input=typed)
    assert ended.exit_code == code, ended.output
    return ended.output


def test_a_password_is_set_from_a_pipe_and_taken_away(config: Path) -> None:
    """Neither argument nor environment holds it, where others of the machine could read it."""
    where = ("password", "--config", str(config))
    assert json.loads(_run(*where, typed=f"{PASSWORD}\n"))["tls_port"] == 8443
    state_dir = config.parent / "state"
    assert matches(state_dir, "owner", PASSWORD)
    assert "it must have 10" in _run(*where, typed="short\n", code=2)
    assert "does not sign in" in _run(*where, "--role", "aggregator", typed=f"{PASSWORD}\n", code=2)
    assert matches(state_dir, "owner", PASSWORD)
    _run(*where, "--clear")
    assert not matches(state_dir, "owner", PASSWORD)


def test_a_gateway_that_never_ran_and_a_page_without_a_door_are_said(config: Path) -> None:
    """An installer hears what to do next, not the system's word."""
    (config.parent / "state").rmdir()
    assert "start the gateway once" in _run("password", "--config", str(config), typed=f"{PASSWORD}\n", code=1)
    config.write_text(json.dumps(plain_config(state_dir=str(config.parent / "state"))))
    assert "no page.tls_port" in _run("certificate", "--config", str(config), code=1)


def test_the_certificate_is_the_one_that_the_page_shows(config: Path) -> None:
    """Asked twice it is the same, so that the fingerprint can be compared."""
    told = [json.loads(_run("certificate", "--config", str(config))) for _ in range(2)]
    assert told[0] == told[1]
    assert len(told[0]["sha256"]) == 32 * 3 - 1
