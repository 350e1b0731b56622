"""Proven as two users: what root does in a folder that another user may change stays in that folder."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.private_files import private_folder, read_small, remove, write_whole
from tests.support.rigs.edge_parts import plain_config

NOBODY = 65534


def _as_nobody(program: str, folder: Path) -> None:
    """Run a few lines as the user nobody in a folder of that user."""
    subprocess.run(
        [sys.executable, "-I", "-c", f"import os; os.setgid({NOBODY}); os.setuid({NOBODY}); {program}"],
        cwd=folder,
        check=True,
    )


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of the user nobody, in one of root's; ``tmp_path / "secret"`` is root's own file."""
    assert os.geteuid() == 0, "only root can be two users; run this test as root"
    (tmp_path / "secret").write_text("root's")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "etc").mkdir(mode=0o755)
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    return folder


def test_root_locks_a_site_whose_user_has_put_links_there(theirs: Path, tmp_path: Path) -> None:
    """``sudo sitewatt edge lock`` neither writes nor opens up the file that a link names."""
    secret = tmp_path / "secret"
    _as_nobody(f"[os.symlink({str(secret)!r}, n) for n in ('maintenance.new', 'maintenance.lock.new')]", theirs)
    _as_nobody(f"os.symlink({str(secret)!r}, 'maintenance.lock')", theirs)
    config = tmp_path / "site.yaml"
    config.write_text(json.dumps(plain_config(state_dir=str(theirs))))
    for command in ("lock", "unlock"):
        subprocess.run(
            [sys.executable, "-m", "sitewatt", "edge", command, "--config", str(config)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert secret.read_text() == "root's"
        assert secret.stat().st_mode & 0o777 == 0o600
    assert not (theirs / "maintenance.lock").exists()


@pytest.mark.parametrize("work", [private_folder, lambda path: write_whole(path / "x", b""), read_small, remove])
def test_root_enters_no_folder_through_a_link_of_another_user(
    theirs: Path, tmp_path: Path, work: Callable[[Path], object]
) -> None:
    """A subfolder may be a link as well as a file may."""
    _as_nobody(f"os.symlink({str(tmp_path / 'etc')!r}, 'identity')", theirs)
    with pytest.raises(OSError, match="link of another user"):
        work(theirs / "identity" / "name")
    assert not list((tmp_path / "etc").iterdir())
