"""The Debian package in a clean Debian: it installs, its commands run there, its unit verifies, and it leaves well."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.deploy.build_deb import UNITS, Target, build, this_arch
from tests.support.fleet.scene import wheel
from tests.support.rigs.debian_root import PYTHON, DebianRoot, NoDebian, clean_debian

pytestmark = pytest.mark.slow

EXPOSURE_MAX = 1.6
SAFETY_S = 120.0
CONFIG, STATE = "/etc/sitewatt/site.yaml", "/var/lib/sitewatt"
AS_GATEWAY = ("setpriv", "--reuid=sitewatt", "--regid=sitewatt", "--init-groups")
# Nobody answers on the discard port of the loopback.
SETUP = (
    *("sitewatt", "edge", "setup", "--yes", "--force", "--site", "farm", "--zone", "east", "--agent", "producer"),
    *("--device", "meter,eastron_sdm630,tcp://127.0.0.1:9?unit=1,meter"),
    *("--import-limit-w", "17250", "--export-limit-w", "9000", "--link-url", "mqtt://127.0.0.1:9"),
)


MAKE_CURRENT = f"""
import sys
from pathlib import Path
from edge.fleet.update import launch
from edge.fleet.update.environment import VenvEnvironments
root, version = Path("{STATE}/software"), sys.argv[1]
folder = root / "versions" / version
VenvEnvironments().make(Path("/tmp") / (version + ".whl"), folder)
VenvEnvironments().try_out(folder)
launch.write_whole(folder / launch.WHOLE, b"{{}}")
launch.switch(root, version)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package for this machine's architecture."""
    return build(Target(arch=this_arch(), python=PYTHON), out=tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> DebianRoot:
    """Install it into a clean Debian and set a site up there."""
    try:
        root = clean_debian(tmp_path_factory.mktemp("debian") / "root")
    except NoDebian as error:
        pytest.fail(str(error))
    install(root, package)
    root.run(*SETUP)
    return root


def install(root: DebianRoot, package: Path) -> str:
    """Install a package file."""
    shutil.copy(package, root.path("/tmp/sitewatt.deb"))
    return root.run("dpkg", "--install", "/tmp/sitewatt.deb")


def started_by_its_unit(root: DebianRoot, process: str) -> str:
    """Start what a process's unit starts, as its user, until it is ready, and return the command that runs then."""
    unit = root.path(f"/lib/systemd/system/sitewatt-{process}.service").read_text().replace("\\\n", " ")
    started = re.search(r"(?m)^ExecStart=(.*)$", unit)
    assert started is not None
    command = root.alive(*AS_GATEWAY, *started[1].split())
    log = root.path("/tmp/gateway.log")
    with log.open("w") as says, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=says, text=True) as gateway:
        assert gateway.stdout is not None
        try:
            assert json.loads(gateway.stdout.readline())["ready"] is True
            return Path(f"/proc/{gateway.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        finally:
            gateway.terminate()
            gateway.wait(SAFETY_S)
            told = log.read_text(encoding="utf-8")
            assert "Traceback" not in told, "on the Python of this Debian too it ends in order, whatever still waits"


def owner(root: DebianRoot, path: str) -> str:
    """Return who owns a path, and its mode."""
    return root.run("stat", "-c", "%U:%G %a", path).strip()


def test_it_makes_its_user_and_its_folders(installed: DebianRoot) -> None:
    """The gateway reads the serial line and its configuration, writes its outbox, and nobody else does."""
    assert "dialout" in installed.run("id", "-nG", "sitewatt")
    assert owner(installed, "/etc/sitewatt") == "root:sitewatt 2750"
    assert owner(installed, CONFIG) == "root:sitewatt 640"
    assert owner(installed, STATE) == "sitewatt:sitewatt 750"
    assert installed.path("/etc/systemd/system/multi-user.target.wants/sitewatt.service").is_symlink()


def test_the_check_runs_there_as_the_gateways_user(installed: DebianRoot) -> None:
    """What the installer does last: the environment is whole, the file can be read, the folder can be written."""
    answer = json.loads(installed.run(*AS_GATEWAY, "sitewatt", "edge", "check", "--offline", "--json"))
    assert answer["ok"] and answer["site"] == "farm"
    told = installed.run(*AS_GATEWAY, "sitewatt", "edge", "check", "--timeout", "1", code=1)
    assert "does not answer" in told and "→" in told


def test_the_gateway_itself_starts_there(installed: DebianRoot) -> None:
    """Every library that it needs is in the package, and a missing device and broker do not hold it up."""
    for process, store in (("control", "control.db"), ("site", "journal.db")):
        command = started_by_its_unit(installed, process)
        assert command.startswith("/opt/sitewatt/bin/python3 -I -m edge run --config")
        assert command.split()[-2:] == ["--only", process]
        assert installed.path(f"{STATE}/{store}").exists()
    installed.run("/opt/sitewatt/bin/python3", "-I", "-c", "import numpy, highspy, uvloop, awsiot, awscrt")


def test_the_units_start_a_newer_update_and_leaves_an_older_one_behind(installed: DebianRoot) -> None:
    """The gateway itself makes the environments, as its user and without pip; a newer package supersedes them."""
    for version, runs in (("0.0.9", "/opt/sitewatt/"), ("9.1.0", f"{STATE}/software/versions/9.1.0/bin/python -I")):
        artefact = wheel(installed.path("/tmp"), version)
        artefact.chmod(0o644)
        installed.run(*AS_GATEWAY, "/opt/sitewatt/bin/python3", "-I", "-c", MAKE_CURRENT, version)
        assert all(started_by_its_unit(installed, process).startswith(runs) for process in ("control", "site"))
        assert installed.path(f"{STATE}/software/current").is_symlink() is (version == "9.1.0")


def test_code_is_compiled_when_it_is_installed(installed: DebianRoot) -> None:
    """The service may not write beside its code, so a start would compile everything again."""
    modules = installed.path(f"/opt/sitewatt/lib/python{PYTHON}/site-packages/edge")
    assert list(modules.glob("__pycache__/errors.*.pyc")) and list(modules.glob("config/__pycache__/__init__.*.pyc"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_verifies_and_exposes_little(installed: DebianRoot, unit: str) -> None:
    """Systemd itself reads the unit, and says how much of the machine it leaves open."""
    verified = installed.run("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}")
    assert "sitewatt" not in verified
    said = installed.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    exposure = re.search(rf"Overall exposure level for {unit}: ([\d.]+)", said)
    assert exposure is not None and float(exposure[1]) <= EXPOSURE_MAX


def test_upgrade_and_removal_keep_what_purge_takes(installed: DebianRoot, package: Path, tmp_path: Path) -> None:
    """What was measured and not delivered is money: only a purge, asked for by name, takes it."""
    root = installed.copied(tmp_path / "root")
    root.path(f"{STATE}/kept").write_text("outbox")
    written = root.path(CONFIG).read_text()
    install(root, repacked(package, tmp_path, version="9.0"))
    assert "9.0" in root.run("dpkg-query", "--show", "sitewatt")
    assert root.path(CONFIG).read_text() == written and root.path(f"{STATE}/kept").exists()
    root.path(CONFIG).unlink()
    root.run("/var/lib/dpkg/info/sitewatt.postinst", "configure")  # An upgrade is not held up by it.
    root.path(CONFIG).write_text(written)
    root.run("dpkg", "--remove", "sitewatt")
    assert root.path(CONFIG).read_text() == written and root.path(f"{STATE}/kept").exists()
    assert not root.path("/opt/sitewatt").exists() and not root.path("/usr/bin/sitewatt").is_symlink()
    root.run("dpkg", "--purge", "sitewatt")
    for path in ("/etc/sitewatt", STATE, "/etc/systemd/system/multi-user.target.wants/sitewatt.service"):
        assert not root.path(path).exists() and not root.path(path).is_symlink()
    root.run("getent", "passwd", "sitewatt", code=2)


def repacked(package: Path, folder: Path, *, version: str) -> Path:
    """Return the same package under another version."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(folder / "next.deb")], check=True
    )
    return folder / "next.deb"
