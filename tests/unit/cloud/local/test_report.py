"""What the tables prove, as a program and a person ask for it."""

import json
from datetime import timedelta
from pathlib import Path

from typer.testing import CliRunner

from cloud.handlers import telemetry
from cloud.local.report import read_report
from cloud.local.sqlite_streams import StreamLog
from cloud.stores.registry import save_registry
from contracts.topics import Up
from sitewatt.commands.cloud import app
from tests.support.cloud.sites import START, batch, context, house_in, write_config
from tests.support.cloud.sites import telemetry as message


def _ran(folder: Path) -> None:
    """Leave what a short run leaves: two messages of three, one of them twice."""
    folder.mkdir()
    StreamLog.open(folder / "streams.db").close()
    with house_in(folder) as (services, _):
        save_registry(services.stores.tables, services.registry)
        told = [message("home-1", seq, START + timedelta(minutes=seq), {"meter/w": [1.0]}) for seq in (1, 3)]
        telemetry.handler(batch(Up.TELEMETRY, *told, told[0], b"{}", at=START), context())


def test_the_report_names_what_is_missing_and_what_was_refused(tmp_path: Path) -> None:
    """A report that cannot say that something was lost proves nothing."""
    _ran(tmp_path / "cloud")
    told = read_report(tmp_path / "cloud")
    assert told.telemetry == {"published": 3, "stored": 2, "lost": 1, "duplicated": 1}
    assert told.refused == 1
    assert told.ledger == {"sum": 0, "energy_sum": 0, "lines": 0}
    assert told.streams["set_aside"] == 0


def test_the_command_answers_for_programs(tmp_path: Path) -> None:
    """Other programs read the report."""
    config = write_config(tmp_path, port=1883)
    _ran(tmp_path / "cloud")
    answer = CliRunner().invoke(app, ["report", "--config", str(config), "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["telemetry"]["stored"] == 2


def test_the_command_answers_in_words(tmp_path: Path) -> None:
    """A person reads what was lost without knowing a field's name."""
    config = write_config(tmp_path, port=1883)
    _ran(tmp_path / "cloud")
    lines = CliRunner().invoke(app, ["report", "--config", str(config)]).output.splitlines()
    assert "telemetry: 2 of 3 stored, 1 LOST, 1 repeated and taken once" in lines
    assert "ledger: nothing is settled yet" in lines
    assert "1 message of sites refused at the border" in lines
    assert not any("{" in line for line in lines)


def test_a_run_that_never_was_is_said_so(tmp_path: Path) -> None:
    """An empty folder is not a run without losses."""
    config = write_config(tmp_path, port=1883)
    answer = CliRunner().invoke(app, ["report", "--config", str(config), "--json"])
    assert answer.exit_code == 1
    assert "tables.db" in json.loads(answer.stdout)["error"]["message"]
    answer = CliRunner().invoke(app, ["report", "--config", str(tmp_path / "none.yaml"), "--json"])
    assert answer.exit_code == 2
