"""The wheel, installed as people install a command: by uv and by pipx, each into an environment of its own."""

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from edge.deploy.build_wheel import build

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SAFETY_S = 1200.0


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the wheel and return what is to be installed."""
    return f"sitewatt[edge,sim] @ {build(tmp_path_factory.mktemp('dist')).resolve().as_uri()}"


def run(*command: str | Path, environ: dict[str, str] | None = None) -> str:
    """Run a command away from the checkout and return what it wrote."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd="/",
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SAFETY_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def works(sitewatt: Path, *, of: Path) -> None:
    """Prove that the installed command has its data along and stands alone, in the environment that was made for it."""
    assert sitewatt.resolve().is_relative_to(of)
    assert run(sitewatt, "--version").startswith("sitewatt ")
    assert "eastron_sdm630" in run(sitewatt, "profile", "list")
    assert "Run the gateway" in run(sitewatt, "edge", "run", "--help")


def uv_in(folder: Path) -> dict[str, str]:
    """Return where Python finds uv: with what installed this environment, or fetched by the lock of the installer."""
    if importlib.util.find_spec("uv") is not None:
        return {}
    lock = ("--require-hashes", "--requirement", ROOT / "requirements/installer.txt")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *lock)
    return {"PYTHONPATH": str(folder)}


def test_uv_tool_install_makes_a_command(wanted: str, tmp_path: Path) -> None:
    """One line, and nothing of it in anybody else's environment."""
    places = {
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        **uv_in(tmp_path / "uv"),
    }
    # Fetched by pip, which set this environment up: there are registries that only pip is told of.
    wheels = tmp_path / "wheels"
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", wheels, wanted)
    alone = ("--offline", "--no-index", "--find-links", wheels)
    run(sys.executable, "-m", "uv", "tool", "install", "--python", sys.executable, *alone, wanted, environ=places)
    (prefix,) = (tmp_path / "tools").glob("*/pyvenv.cfg")
    works(tmp_path / "bin/sitewatt", of=prefix.parent)


@pytest.mark.nightly
def test_pipx_install_makes_a_command(wanted: str, tmp_path: Path) -> None:
    """The same for who has pipx, as Debian brings it."""
    venv.create(tmp_path / "pipx", with_pip=True)
    run(tmp_path / "pipx/bin/pip", "install", "--quiet", "pipx")
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    run(tmp_path / "pipx/bin/pipx", "install", "--python", sys.executable, wanted, environ=places)
    works(tmp_path / "bin/sitewatt", of=tmp_path / "home")
