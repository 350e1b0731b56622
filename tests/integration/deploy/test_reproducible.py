"""Two builds of one commit are the same byte by byte, whoever builds them, where and when."""

import hashlib
import os
from pathlib import Path

import pytest

from edge.deploy.build_wheel import build

pytestmark = pytest.mark.slow


def test_two_builds_of_the_wheel_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody can prove that what is installed was made from what can be read."""
    sums = []
    before = os.umask(0o022)
    try:
        for number, umask in enumerate((0o022, 0o077)):
            os.umask(umask)
            work = tmp_path / f"work-{number}"
            work.mkdir()
            monkeypatch.setenv("TMPDIR", str(work))
            wheel = build(tmp_path / f"out-{number}")
            parts = wheel.with_name(f"{wheel.name}.cdx.json")
            sums.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, parts)])
    finally:
        os.umask(before)
    assert sums[0] == sums[1]
