"""What every command line is asked first: its version and its help."""

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from sitewatt.__main__ import app, register


def test_the_version_is_told() -> None:
    """Whoever reports a fault is asked for it."""
    register()
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"sitewatt {version('sitewatt')}\n")


@pytest.mark.parametrize("arguments", [["-h"], ["edge", "-h"], ["market", "clear", "-h"], ["demo", "-h"]])
def test_a_short_flag_asks_for_help_everywhere(arguments: list[str]) -> None:
    """People type ``-h`` before they type ``--help``."""
    register()
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "Usage:" in done.stdout
