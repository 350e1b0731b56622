"""What the package ships, without building it: the unit's promises, the scripts' syntax, the target's wheels."""

import configparser
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from domain.one_thread import ONE_THREAD
from edge.deploy.build_deb import Target, control_text, set_modes
from edge.process.memory import MALLOC

SHIPPED = files("edge.deploy")
PROCESSES = ("sitewatt-control.service", "sitewatt-site.service")


def unit(name: str) -> configparser.ConfigParser:
    """Return a unit; of keys that stand several times, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((SHIPPED / "files" / name).read_text())
    return parser


def test_the_gateway_is_its_two_units_and_neither_holds_the_other_up() -> None:
    """Started and stopped together by one name; an end or a delay of the one is none of the other."""
    gateway = unit("sitewatt.service")
    assert set(gateway["Unit"]["Wants"].split()) == set(PROCESSES)
    assert gateway["Service"]["RemainAfterExit"] == "yes" and "Restart" not in gateway["Service"]
    for name in PROCESSES:
        section = unit(name)["Unit"]
        assert section["PartOf"] == "sitewatt.service" and section["After"] == "network.target"
        assert not {"Requires", "BindsTo", "Before", "Upholds", "Wants"} & set(section)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_unit_is_watched_and_always_started_again(name: str) -> None:
    """A process that stands still is replaced, without end, except where its configuration is wrong."""
    service = unit(name)["Service"]
    assert (service["Type"], service["Restart"], service["RestartPreventExitStatus"]) == ("notify", "always", "2")
    assert 0 < int(service["WatchdogSec"]) <= 60 and unit(name)["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("name", PROCESSES)
def test_a_unit_starts_by_the_launcher_what_the_configuration_updates(name: str) -> None:
    """Another folder would take updates that nobody ever starts, and another process would leave one unstarted."""
    folder, process = "/var/lib/sitewatt", name.removeprefix("sitewatt-").removesuffix(".service")
    text = (SHIPPED / "files" / name).read_text()
    assert f"-m edge.fleet.update.launch {folder}/software \\\n" in text
    assert text.count(f"run --config /etc/sitewatt/site.yaml --only {process}\n") == 1
    assert unit(name)["Service"]["StateDirectory"] == Path(folder).name


def test_only_control_reaches_devices() -> None:
    """What speaks with the world has no serial line and no contact to speak to."""
    allowed = "DeviceAllow="
    assert allowed in (SHIPPED / "files/sitewatt-control.service").read_text()
    assert allowed not in (SHIPPED / "files/sitewatt-site.service").read_text()
    assert unit("sitewatt-site.service")["Service"]["PrivateDevices"] == "yes"


def test_the_hardware_watchdog_stays_below_what_a_pi_can_count() -> None:
    """The BCM2835 counts to about 15 seconds; asked for more, it is not armed."""
    parser = configparser.ConfigParser()
    parser.read_string((SHIPPED / "files/watchdog.conf").read_text())
    assert parser["Manager"]["RuntimeWatchdogSec"] == "14s"


def test_the_default_configuration_says_nothing() -> None:
    """A fresh gateway controls nothing: it has no site."""
    assert yaml.safe_load((SHIPPED / "files/site.yaml").read_text()) is None


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_the_scripts_are_valid_shell_and_stop_at_the_first_fault(name: str) -> None:
    """A half-run script leaves a half-installed gateway."""
    text = (SHIPPED / "debian" / name).read_text()
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert text.startswith("#!/bin/sh\n") and "\nset -e\n" in text


def test_wheels_are_asked_for_the_target_and_never_built() -> None:
    """A package for a Pi is made on any machine."""
    options = list(Target(arch="arm64", python="3.13").pip_options())
    assert "--platform=manylinux_2_36_aarch64" in options and "--platform=manylinux_2_37_aarch64" not in options
    assert {"--python-version=3.13", "--only-binary=:all:"} <= set(options)


def test_the_package_needs_exactly_the_python_that_it_was_made_for() -> None:
    """Compiled wheels fit one Python; another one must not install over it."""
    text = control_text(Target(arch="arm64", python="3.11"), version="1+py311", size_kib=7)
    assert "Architecture: arm64\n" in text and "Depends: python3.11," in text


def test_what_is_packed_has_the_same_modes_for_every_builder(tmp_path: Path) -> None:
    """A file that only its builder may read could not be read by the gateway's user, and would differ in each build."""
    (tmp_path / "bin").mkdir(mode=0o700)
    for name, mode in (("bin/run", 0o700), ("data", 0o600)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("/nowhere")
    set_modes(tmp_path)
    packed = (tmp_path / "bin", tmp_path / "bin/run", tmp_path / "data")
    modes = {path.name: path.stat().st_mode & 0o777 for path in packed}
    assert modes == {"bin": 0o755, "run": 0o755, "data": 0o644}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_unit_gives_memory_back_as_the_children_of_edge_run_do(name: str) -> None:
    """The same process must not take more for being started by the service manager."""
    lines = [line for line in (SHIPPED / "files" / name).read_text().splitlines() if line.startswith("Environment=")]
    told = dict(each.split("=", 1) for line in lines for each in line.removeprefix("Environment=").split())
    assert MALLOC.items() <= told.items()
    assert ONE_THREAD.items() <= told.items() or name != "sitewatt-site.service", "the one that loads numpy"
