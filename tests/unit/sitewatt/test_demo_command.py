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


def test_a_folder_to_keep_that_holds_something_is_refused(tmp_path: Path) -> None:
    """Two runs in one folder would be one lie."""
    register()
    (tmp_path / "truth.jsonl").touch()
    for taken in (tmp_path, tmp_path / "truth.jsonl"):
        done = CliRunner().invoke(app, ["demo", "--headless", "--keep", str(taken)])
        assert done.exit_code == 2
        assert f"--keep is {taken}, which is not an empty folder" in done.stderr


def test_a_run_too_short_for_the_event_says_what_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its report would miss what the demonstration is for; an empty folder is as good as none."""

    def stop(*_: object) -> None:
        raise OSError("no more is started here")

    monkeypatch.setattr("sitewatt.demo.run.run", stop)
    register()
    arguments = ["demo", "--headless", "--no-page", "--duration", "10", "--speed", "30", "--keep", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert "10 s at speed 30 end before the event; --duration 90 sees it" in done.stderr
    assert "not an empty folder" not in done.stderr
