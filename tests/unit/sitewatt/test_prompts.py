"""Questions at a terminal: what is no answer is asked again, and who leaves is told what came of it."""

import pytest
import typer
from typer.testing import CliRunner

from sitewatt.output import INTERRUPTED
from sitewatt.prompts import ask, ask_secret, confirm

LEFT = "nothing was written"


def _app() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def name() -> None:
        print("named", ask("Its name", default="meter", left=LEFT))

    @app.command()
    def yes() -> None:
        print("decided", confirm("Write it?", default=True, left=LEFT))

    @app.command()
    def secret() -> None:
        print("kept", ask_secret("Password", left=LEFT))

    return app


@pytest.mark.parametrize(
    ("command", "typed", "shown"),
    [
        ("name", "\n", "named meter"),
        ("name", "  pv \n", "named pv"),
        ("yes", "\n", "decided True"),
        ("yes", "perhaps\nN\n", "decided False"),
        ("secret", "one \ntwo\none \none \n", "kept one "),
    ],
)
def test_an_answer_is_taken_and_what_is_none_is_asked_again(command: str, typed: str, shown: str) -> None:
    """A slip costs a line, not the sitting."""
    done = CliRunner().invoke(_app(), [command], input=typed)
    assert done.exit_code == 0, done.output
    assert shown in done.output and "Error" not in done.output


@pytest.mark.parametrize("command", ["name", "yes", "secret"])
def test_who_leaves_is_told_what_came_of_it(command: str) -> None:
    """``Aborted!`` leaves open whether half of it was written."""
    done = CliRunner().invoke(_app(), [command], input="")
    assert done.exit_code == INTERRUPTED
    assert f"ended before all was answered; {LEFT}" in done.output and "Aborted" not in done.output
