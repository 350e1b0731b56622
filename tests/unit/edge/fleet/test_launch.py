"""A version that does not start any more never keeps the packaged one from being started."""

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
