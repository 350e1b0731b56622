"""What people mistype is refused in one sentence before anything starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sitewatt.__main__ import app, register


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sites", "99"], "--sites is 99, must be 2 to 20"),
        (["--week", "wet"], "--week is 'wet', must be one of sunny, changing, dark"),
        (["--report", "/no/such/folder/report.json"], "its folder cannot be written"),
    ],
)
def test_a_mistake_is_refused_at_the_start(arguments: list[str], says: str) -> None:
    """Exit 2 and a sentence; no process, no file."""
    register()
    done = CliRunner().invoke(app, ["demo", "--headless", *arguments])
    assert done.exit_code == 2
    assert says in done.stderr


def test_a_folder_to_keep_that_exists_is_refused(tmp_path: Path) -> None:
    """Two runs in one folder would be one lie."""
    register()
    done = CliRunner().invoke(app, ["demo", "--headless", "--duration", "10", "--speed", "30", "--keep", str(tmp_path)])
    assert done.exit_code == 2
    assert "File exists" in done.stderr
    assert "10 s at speed 30 end before the event; --duration 90 sees it" in done.stderr
