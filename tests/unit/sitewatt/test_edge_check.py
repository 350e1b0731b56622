"""``edge check`` tells an installer all that is wrong with a site's file at one go."""

import json
from pathlib import Path

from typer.testing import CliRunner

from sitewatt.__main__ import app, register

WRONG = """
site: {id: Home_1, zone: home, agent: consumr}
connection: {meter: meter, import_limit_w: -5, export_limit_w: 8000}
devices:
  - {id: meter, profile: eastron_sdm630, url: "tcp://127.0.0.1:5020?unit=1", role: metre}
  - {id: inverter, profil: x}
control: {period_s: "fast"}
nonsense: 1
"""
FAULTS = [
    "devices.1.profil is not a known key (did you mean 'profile'?)",
    "nonsense is not a known key",
    "site.id is 'Home_1', must be 1 to 63 small letters, digits and hyphens, no hyphen first",
    "site.agent is 'consumr', must be 'producer', 'consumer' or 'monitor'",
    "connection.import_limit_w is -5, must be greater than 0",
    "devices.0.role is 'metre', must be 'meter', 'pv', 'hybrid', 'battery', 'load' or 'relay'",
    "devices.1.profile is missing",
    "devices.1.url is missing",
    "devices.1.role is missing",
    "state_dir is missing",
    "control.period_s is 'fast', must be a number",
]


def test_all_faults_of_a_file_are_told_each_on_a_line_and_to_programs_as_a_list(tmp_path: Path) -> None:
    """Somebody who mends a file wants to do it once."""
    register()
    file = tmp_path / "site.yaml"
    file.write_text(WRONG, encoding="utf-8")
    told = CliRunner().invoke(app, ["edge", "check", "--config", str(file)])
    assert told.exit_code == 2
    head, *lines = told.output.splitlines()
    assert head.startswith(f"{file} has {len(FAULTS)} faults; the gateway does not start")
    assert [line.strip() for line in lines] == FAULTS
    answer = CliRunner().invoke(app, ["edge", "check", "--json", "--config", str(file)])
    assert json.loads(answer.output)["error"]["faults"] == FAULTS
