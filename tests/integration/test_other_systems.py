"""Every command on a system without Linux's parts, and without a Unix's: it works, or ends with one sentence."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sitewatt.__main__ import app, register
from tests.support.command_lines import LINES, made_in

SAFETY_S = 600.0
ROOT = Path(__file__).parents[2]

# What has to go on working where only the kernel differs, and where no Unix is.
ON_A_MAC = {
    *("plan", "device scan", "device identify", "device read", "device dump", "device plan", "device encode"),
    *("profile list", "profile show", "profile check", "command keys new", "command keys show", "command list"),
    *("market clear", "market simulate", "forecast run", "forecast backtest", "tariff list", "tariff price"),
    *("agent list", "agent token", "fleet documents", "cloud cost"),
}
ON_WINDOWS = {
    *("profile list", "profile show", "profile check", "market clear", "market simulate", "forecast run"),
    *("forecast backtest", "tariff list", "tariff show", "tariff check", "tariff price"),
}


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every command that does something, by its words."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path)
    else:
        for name, each in below.items():
            yield from leaves(each, (*path, name))


def command_of(line: str, commands: set[str]) -> str:
    """Return which command a line calls: the longest whose words it begins with."""
    return max((name for name in commands if f"{line} ".startswith(f"{name} ")), key=len, default=line)


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """Return every command there is."""
    register()
    return set(leaves(typer.main.get_command(app)))


@pytest.fixture(params=["darwin", "win32"])
def system(request: pytest.FixtureRequest) -> str:
    """Return the name of a system, as Python has it."""
    name: str = request.param
    return name


@pytest.fixture
def given(tmp_path: Path, system: str) -> Iterator[dict[str, str]]:
    """Make what the lines name, on this system; the meter is served by a process on that one."""
    names = made_in(tmp_path)
    if system == "win32":
        yield names
        return
    serve = ["sim", "device", "--profile-like", "sdm630", "--port", "0", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.other_system", system, *serve],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as device:
        assert device.stdout is not None
        try:
            yield {**names, "meter": json.loads(device.stdout.readline())["url"]}
        finally:
            device.send_signal(signal.SIGTERM)
            assert device.wait(SAFETY_S) == 0


def test_every_command_works_or_ends_with_one_sentence(
    system: str, given: dict[str, str], commands: set[str], tmp_path: Path
) -> None:
    """A person on another system learns in one line what to do instead."""
    lines = [line.format(**given) for line in LINES]
    assert {command_of(line, commands) for line in lines} == commands, "each command has its line"
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.other_system", system],
        input=json.dumps([line.split() for line in lines]),
        capture_output=True,
        text=True,
        timeout=SAFETY_S,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    worked, refused = set(), set()
    for line, (code, told, complained) in zip(lines, json.loads(done.stdout), strict=True):
        name = command_of(line, commands)
        assert "Traceback" not in told + complained and code in (0, 1, 2), f"{line}: {complained}"
        assert "[Errno" not in told + complained, f"{line}: {told}{complained}"
        if "needs" in complained and ("Mac" in complained or "WSL" in complained):
            assert complained.count("\n") == 1 and code == 1, f"{line}: {complained}"
            refused.add(name)
        elif code == 0:
            worked.add(name)
    assert (ON_A_MAC if system == "darwin" else ON_WINDOWS) <= worked, "what only computes goes on working"
    assert {"demo", "edge run", "cloud local", "sim swarm"} <= refused
