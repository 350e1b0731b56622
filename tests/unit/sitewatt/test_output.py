"""What a device or a peer calls itself reaches a person's terminal harmless, whichever command shows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sitewatt import commands
from sitewatt.output import FAILED, as_told, fail, print_json, tell

# Colours, a C1 control sequence, a title of the window, a turned line, a carriage return.
HOSTILE = "Fro\x1b[31mnius \x9b2J \x1b]0;owned\x07 \u202eabc\rGEN24"


def _harmless(text: str) -> bool:
    return not set(text) & set("\x1b\x9b\x07\u202e\r")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (7624.94189453125, "7624.942"),
        (49.97999954223633, "49.98"),
        (230.0, "230"),
        (-0.5, "-0.5"),
        (0.1 * 3, "0.3"),
        (123456789.1, "123456789.1"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (16, "16"),
        (True, "True"),
        ("MPPT", "MPPT"),
    ],
)
def test_a_number_has_no_more_digits_than_its_register_tells(value: object, told: str) -> None:
    """A meter of half a percent that shows eleven decimals is not believed."""
    assert as_told(value) == told


def test_lines_for_people_are_harmless_and_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A table keeps its lines; a name within one cannot begin another."""
    tell(f"first {HOSTILE}\nsecond")
    tell(HOSTILE, err=True)
    said = capsys.readouterr()
    assert _harmless(said.out) and _harmless(said.err)
    assert said.out.count("\n") == 2 and "nius" in said.out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failure_says_what_a_device_said_without_doing_it(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """The sentence of a refused connection carries what the other side sent."""
    with pytest.raises(typer.Exit):
        fail(f"refused by {HOSTILE}", code="device", as_json=as_json)
    said = capsys.readouterr()
    assert _harmless(said.out + said.err) and "refused" in said.out + said.err


def test_an_answer_for_programs_loses_nothing_and_harms_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads the very text; a person who looks at it is safe."""
    print_json({"model": HOSTILE, "unit": "°C"})
    said = capsys.readouterr().out
    assert _harmless(said)
    assert json.loads(said) == {"model": HOSTILE, "unit": "°C"}


def test_commands_that_show_devices_have_one_way_to_print() -> None:
    """A second way is one that somebody forgets to make harmless."""
    folder = Path(commands.__file__).parent
    files = [*folder.glob("device*.py"), *folder.glob("edge*.py")]
    assert len(files) > 3
    assert [path.name for path in files if "typer.echo(" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_letters_that_a_terminal_has_not_end_no_command(encoding: str, tmp_path: Path) -> None:
    """A gateway's serial console knows no arrows; the sentence is worth more than its sign."""
    config = tmp_path / "site.yaml"
    config.write_text(
        "site: {id: farm, zone: east, agent: consumer}\n"
        "connection: {meter: m, import_limit_w: 9000, export_limit_w: 0}\n"
        "devices: [{id: m, profile: eastron_sdm630, url: '127.0.0.1:9', role: meter}]\n"
        "state_dir: /proc/nobody/writes/here\n"
    )
    command = [sys.executable, "-m", "sitewatt", "edge", "check", "--offline", "--config", str(config)]
    ended = subprocess.run(
        command, capture_output=True, timeout=60, check=False, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert (ended.returncode, ended.stderr) == (FAILED, b"")
    shown = [line for line in ended.stdout.split(b"\n") if b"                " in line]
    assert shown, "what to do stands behind an arrow"
    arrow = b"?" if encoding in ("latin-1", "cp1252") else "→".encode()
    assert all(line.strip().startswith(arrow) for line in shown)


@pytest.mark.parametrize("arguments", [["tariff", "list"], ["tariff", "list", "--json"]])
def test_an_answer_that_cannot_be_written_is_one_sentence(arguments: list[str]) -> None:
    """A report into a file on a full disk must not look written, nor end in a traceback."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "sitewatt", *arguments], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert ended.returncode == FAILED
    assert ended.stderr.decode() == "sitewatt: the answer could not be written: No space left on device\n"


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    """``| head -1`` is no fault."""
    with subprocess.Popen(
        [sys.executable, "-m", "sitewatt", "profile", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as listing:
        assert listing.stdout is not None and listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == b""
