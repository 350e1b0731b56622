"""The set-up of ``make``: it says that it goes on, and an installer that fails has the last word."""

import importlib.util
import sys
from types import ModuleType

import pytest

from edge.deploy.lock import FOLDER


@pytest.fixture
def install() -> ModuleType:
    """The script, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("install", FOLDER / "install.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_long_step_says_that_it_goes_on(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Installers are silent for minutes; the step ends here only after it was seen to go on."""
    monkeypatch.setattr(install, "SAY_EVERY_S", 0.05)
    code, said = install.follow("installing", [sys.executable, "-c", "import time; print('one'); time.sleep(1)"])
    lines = capsys.readouterr().out.splitlines()
    assert (code, said) == (0, ["one\n"])
    assert lines[0] == "installing" and len(lines) > 1
    assert lines[-1].startswith("  one, ")


def test_the_words_of_an_installer_that_fails_are_kept(install: ModuleType) -> None:
    """They are the only hint that there is."""
    code, said = install.follow("installing", [sys.executable, "-c", "import sys; sys.exit('no such library')"])
    assert (code, said) == (1, ["no such library\n"])
