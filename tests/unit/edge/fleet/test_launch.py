"""A version that does not start any more never keeps the packaged one from being started."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge.fleet.update import launch


def _version(root: Path, name: str, script: str | None) -> None:
    folder = root / "versions" / name
    (folder / "bin").mkdir(parents=True)
    (folder / launch.WHOLE).write_text("{}")
    python = folder / "bin" / "python"
    if script is None:
        python.symlink_to("/usr/bin/python-that-is-gone")
    else:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)


@pytest.mark.parametrize("broken", [None, "exit 9", "kill -SEGV $$"], ids=["gone", "other-minor", "crashes"])
def test_kept_version_that_does_not_start_any_more_is_left_behind(tmp_path: Path, broken: str | None) -> None:
    """Debian was upgraded below it: it was started for ever, the packaged one never."""
    _version(tmp_path, "9.9.9", broken)
    launch.switch(tmp_path, "9.9.9")
    assert launch.choose_starting(tmp_path, packaged="1.0.0") is None
    assert launch.current(tmp_path) is None
    assert launch.choose_starting(tmp_path, packaged="1.0.0") is None


def test_last_good_version_is_started_in_its_place(tmp_path: Path) -> None:
    """The packaged one is the last resort."""
    _version(tmp_path, "9.9.8", "exit 0")
    _version(tmp_path, "9.9.9", None)
    launch.switch(tmp_path, "9.9.9")
    assert launch.choose_starting(tmp_path, packaged="1.0.0") == "9.9.8"


def test_trial_that_does_not_start_is_taken_back_at_once(tmp_path: Path) -> None:
    """Its note says why, for the report."""
    _version(tmp_path, "9.9.8", "exit 0")
    _version(tmp_path, "9.9.9", "exit 1")
    launch.switch(tmp_path, "9.9.9")
    launch.write_progress(tmp_path, {"stage": launch.TRIAL, "version": "9.9.9", "running": "9.9.8"})
    assert launch.choose_starting(tmp_path, packaged="1.0.0") == "9.9.8"
    progress = launch.read_progress(tmp_path)
    assert progress is not None
    assert (progress["stage"], progress["reason"]) == (launch.TAKEN_BACK, "9.9.9 does not start")


def _on_trial(root: Path) -> None:
    _version(root, "9.9.8", "exit 0")
    _version(root, "9.9.9", "exit 0")
    launch.switch(root, "9.9.9")
    launch.write_progress(root, {"stage": launch.TRIAL, "version": "9.9.9", "running": "9.9.8"})


@pytest.mark.parametrize("failing", [launch.BOOTS, launch.SITE_BOOTS])
def test_a_trial_ends_when_either_process_was_started_too_often(tmp_path: Path, failing: str) -> None:
    """Each process has a unit of its own; one that keeps failing takes the version back for both."""
    _on_trial(tmp_path)
    for counted in (launch.BOOTS, launch.SITE_BOOTS):
        assert launch.choose(tmp_path, packaged="1.0.0", counted=counted) == "9.9.9"
    more = [launch.choose(tmp_path, packaged="1.0.0", counted=failing) for _ in range(launch.BOOTS_MAX)]
    assert more == ["9.9.9"] * (launch.BOOTS_MAX - 1) + ["9.9.8"]
    other = launch.SITE_BOOTS if failing == launch.BOOTS else launch.BOOTS
    assert launch.choose(tmp_path, packaged="1.0.0", counted=other) == "9.9.8", "the other one follows"


def test_starts_that_come_at_once_are_all_counted(tmp_path: Path) -> None:
    """Both units start at the same moment, beside an updater that notes how far it has come."""
    _on_trial(tmp_path)
    code = (
        "import sys; from pathlib import Path; from edge.fleet.update import launch; "
        "launch.choose(Path(sys.argv[1]), packaged='1.0.0', counted=sys.argv[2])"
    )
    counts = [launch.BOOTS, launch.SITE_BOOTS] * launch.BOOTS_MAX
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), counted]) for counted in counts]
    assert [process.wait() for process in running] == [0] * len(counts)
    progress = launch.read_progress(tmp_path)
    assert progress is not None
    assert (progress[launch.BOOTS], progress[launch.SITE_BOOTS]) == (launch.BOOTS_MAX, launch.BOOTS_MAX)
