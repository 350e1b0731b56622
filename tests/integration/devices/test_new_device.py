"""A new device in ten minutes: the page's own commands, from a register list to a device in control."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.devices.catalogue import load_profile
from edge.devices.session import open_session
from sitewatt.commands import device, edge, profile

APPS = {"device": device.app, "edge": edge.app, "profile": profile.app}

PAGE = (Path(__file__).parents[3] / "docs" / "devices.md").read_text(encoding="utf-8")
HOW_TO = PAGE.partition("## A new device in ten minutes")[2].partition("\n## ")[0]
STEPS_MAX = 8
WAIT_S = 120.0
IMPORT_LIMIT_W = 6_000.0


def blocks(kind: str) -> list[str]:
    """Return the code blocks of a kind, as they stand on the page."""
    found = re.findall(rf"```{kind}\n(.*?)```", HOW_TO.replace("\\\n", " "), re.DOTALL)
    return ["\n".join(line.strip() for line in text.strip().splitlines()) for text in found]


def sitewatt(command: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """Run a command of the page in a folder, and return what it says; it must not fail."""
    name, group, *arguments = shlex.split(command)
    assert name == "sitewatt"
    monkeypatch.chdir(folder)
    answer = CliRunner().invoke(APPS[group], arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


@contextmanager
def beside(command: str, folder: Path) -> Iterator[str]:
    """Run a command that stays, and yield the first line that it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sitewatt", *shlex.split(command)[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)


async def until_limited(url: str, folder: Path) -> None:
    """Read the device until it holds a limit and the site draws no more than it may."""
    async with asyncio.timeout(WAIT_S), open_session(load_profile("acme", folder / "profiles"), url) as session:
        while True:
            held = await session.read(["current_limit", "grid_power"])
            limit, power = held["current_limit"].value, held["grid_power"].canonical_value
            assert isinstance(limit, int | float) and isinstance(power, int | float)
            if 0 < limit < 16 and power <= 1.05 * IMPORT_LIMIT_W:
                return
            await asyncio.sleep(0.2)


def test_a_register_list_becomes_a_device_in_control_in_eight_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a list and ten minutes must end with a car that leaves the fuse alone."""
    commands = blocks("console")
    assert len(re.findall(r"(?m)^\d\. ", HOW_TO)) <= STEPS_MAX and len(commands) == 7
    new, check, play, look, setup, prove, go = commands
    (tmp_path / "acme.csv").write_text(blocks("csv")[0] + "\n", encoding="utf-8")
    (tmp_path / "profiles").mkdir()
    for command in (new, check):
        sitewatt(command, monkeypatch, tmp_path)
    with beside(play.replace("--port 5020", "--port 0"), tmp_path) as answers:
        assert "not a witness" in answers
        found = re.search(r"tcp://127\.0\.0\.1:(\d+)\?unit=1", answers)
        assert found is not None, answers
        port, url = f":{found[1]}", found[0]
        said = sitewatt(look.replace(":5020", port) + " --json", monkeypatch, tmp_path)
        assert json.loads(said)["grid_power"]["canonical_value"] > IMPORT_LIMIT_W
        for command in (setup, prove):
            sitewatt(command.replace(":5020", port), monkeypatch, tmp_path)
        with beside(go, tmp_path):
            asyncio.run(until_limited(url, tmp_path))


def test_a_look_at_a_device_finds_the_grid_and_what_its_display_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a list, the installer starts from what can be seen."""
    with beside("sitewatt sim device --profile eastron_sdm630", tmp_path) as answers:
        found = re.search(r"tcp://127\.0\.0\.1:\d+\?unit=1", answers)
        assert found is not None, answers
        shown = sitewatt(f"sitewatt device read {found[0]} --profile eastron_sdm630 --json", monkeypatch, tmp_path)
        power_w = json.loads(shown)["power"]["value"]
        sitewatt(
            f"sitewatt profile new meter1 --scan {found[0]} --last 80 --seen active_power_w={power_w}",
            monkeypatch,
            tmp_path,
        )
    points = load_profile("meter1", tmp_path).points
    places = {spec.canonical: (spec.address, spec.type) for spec in points.values()}
    assert places["active_power_w"][1] == "float32" and places["voltage_l1_v"] == (0, "float32")
    assert places["frequency_hz"] == (70, "float32")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acme"], "give one of --csv FILE and --scan URL"),
        (["acme", "--csv", "nothing.csv"], "nothing.csv cannot be read"),
        (
            ["acme", "--csv", "nothing.csv", "--out", "other.yaml"],
            "the file of a profile has its id as name, acme.yaml",
        ),
        (["acme", "--csv", "x.csv", "--kind", "toaster"], "'toaster' is not a valid Kind"),
    ],
)
def test_what_cannot_become_a_profile_is_refused_with_a_sentence(arguments: list[str], said: str) -> None:
    """Nothing is written for a slip of the pen."""
    answer = CliRunner().invoke(profile.app, ["new", *arguments])
    assert answer.exit_code == 2 and said in answer.output
