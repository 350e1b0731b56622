"""The package's units under a real systemd: either process comes back alone, and a bad update goes back whole."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.deploy.build_deb import Target, build, this_arch
from edge.fleet.update import launch
from tests.integration.deploy.test_deb import AS_GATEWAY, MAKE_CURRENT, SETUP, STATE, install
from tests.support.fleet.scene import wheel
from tests.support.rigs.debian_boot import Booted, booted
from tests.support.rigs.debian_root import PYTHON, clean_debian

pytestmark = pytest.mark.nightly

CONTROL, SITE = "sitewatt-control.service", "sitewatt-site.service"
SAFETY_S = 300.0
ROOT = Path(f"{STATE}/software")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """Install the package, set a site up, boot, and start the gateway."""
    folder = tmp_path_factory.mktemp("booted")
    root = clean_debian(folder / "root")
    install(root, build(Target(arch=this_arch(), python=PYTHON), out=folder / "dist"))
    root.run(*SETUP)
    with booted(root) as system:
        system.run("systemctl", "restart", "sitewatt")
        until(lambda: both_run(system), "both processes run", system)
        yield system


def until(holds: Callable[[], object], what: str, system: Booted) -> None:
    """Wait until something holds."""
    until_s = time.monotonic() + SAFETY_S
    while not holds():
        assert time.monotonic() < until_s, f"{what}: {system.run('systemctl', 'status', '--no-pager', 'sitewatt*')}"
        time.sleep(0.2)


def pids(system: Booted) -> tuple[str, str]:
    """Return the main processes of both units."""
    return system.shows(CONTROL, "MainPID"), system.shows(SITE, "MainPID")


def both_run(system: Booted) -> bool:
    """Say whether both units are ready, and see one another."""
    active = [system.shows(unit, "ActiveState") for unit in (CONTROL, SITE)]
    said = system.run(*AS_GATEWAY, "sitewatt", "edge", "status", "--json")
    if active != ["active", "active"] or not said.startswith("{"):
        return False
    return all(process["alive"] for process in json.loads(said)["processes"].values())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("dies", [CONTROL, SITE])
def test_either_process_that_dies_comes_back_alone(system: Booted, dies: str, number: signal.Signals) -> None:
    """A crash of trading is none of control, and control's own costs the link nothing."""
    before = pids(system)
    system.kill(dies, number)
    until(lambda: pids(system) != before and both_run(system), f"{dies} is back", system)
    changed = [old != new for old, new in zip(before, pids(system), strict=True)]
    assert changed == [dies == CONTROL, dies == SITE]


def test_a_site_process_that_stands_still_is_replaced_and_control_is_not(system: Booted) -> None:
    """Its own watchdog: it reads nothing and says nothing, and no reader of its process is left to notice."""
    before = pids(system)
    system.kill(SITE, signal.SIGSTOP)
    until(lambda: pids(system)[1] not in {before[1], "0"} and both_run(system), "the site process is replaced", system)
    assert pids(system)[0] == before[0]


def test_one_name_stops_and_starts_both(system: Booted) -> None:
    """What an installer types."""
    system.run("systemctl", "stop", "sitewatt")
    until(lambda: pids(system) == ("0", "0"), "both are stopped", system)
    system.run("systemctl", "start", "sitewatt")
    until(lambda: both_run(system), "both run again", system)


@pytest.mark.parametrize("fails", ["control", "site"])
def test_an_update_of_which_one_process_fails_is_taken_back_for_both(
    system: Booted, fails: str, tmp_path: Path
) -> None:
    """The half that works must not go on in another version than the half that was taken back."""
    version = "9.1.0" if fails == "control" else "9.2.0"
    artefact = wheel(tmp_path, version)
    shutil.copy(artefact, system.root.path("/var/tmp") / artefact.name)
    make = MAKE_CURRENT.replace('Path("/tmp")', 'Path("/var/tmp")')
    system.run(*AS_GATEWAY, "/opt/sitewatt/bin/python3", "-I", "-c", make, version)
    modules = next(system.root.path(str(ROOT / "versions" / version)).glob("lib/python*/site-packages"))
    broken = modules / "edge" / "site" / f"{fails}_process.py"
    broken.parent.mkdir(parents=True, exist_ok=True)
    assert broken.exists(), "the version brings the module that is broken here"
    broken.write_text("raise RuntimeError('broken build')\n")
    note = {"job_id": "j", "stage": launch.TRIAL, "version": version, "running": "packaged", "document": {}}
    write = (
        "from pathlib import Path; from edge.fleet.update import launch; "
        f"launch.write_progress(Path({str(ROOT)!r}), {note!r})"
    )
    system.run(*AS_GATEWAY, "/opt/sitewatt/bin/python3", "-I", "-c", write)
    system.run("systemctl", "restart", "sitewatt")
    progress = system.root.path(str(ROOT / launch.PROGRESS))
    until(lambda: json.loads(progress.read_text())["stage"] == launch.TAKEN_BACK, "the version is taken back", system)

    def both_are_packaged() -> bool:
        return both_run(system) and all(
            system.run("readlink", f"/proc/{pid}/exe") and "/opt/sitewatt" in system.run("cat", f"/proc/{pid}/cmdline")
            for pid in pids(system)
        )

    until(both_are_packaged, "both run the packaged version", system)
    assert not system.root.path(str(ROOT / launch.CURRENT)).is_symlink()
    progress.unlink()
