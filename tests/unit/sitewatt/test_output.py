"""What a device or a peer calls itself reaches a person's terminal harmless, whichever command shows it."""

import json
from pathlib import Path

import pytest
import typer

from sitewatt import commands
from sitewatt.output import as_told, fail, print_json, tell

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
