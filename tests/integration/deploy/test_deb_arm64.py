"""The Debian package of a Raspberry Pi, on an emulated processor: it installs, and its gateway reads and controls."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.deploy.build_deb import Target, build
from tests.support.rigs.debian_root import PYTHON, DebianRoot, clean_debian

pytestmark = pytest.mark.nightly

ARCH = "arm64"
CYCLES = 10
SAFETY_S = 600.0
AS_GATEWAY = ("setpriv", "--reuid=sitewatt", "--regid=sitewatt", "--init-groups")


@contextmanager
def served(kind: str) -> Iterator[str]:
    """Serve a device on this machine, whose loopback the emulated gateway shares, and give its address."""
    command = [sys.executable, "-m", "sitewatt", "sim", "device", "--profile-like", kind, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as device:
        assert device.stdout is not None
        try:
            yield str(json.loads(device.stdout.readline())["url"])
        finally:
            device.terminate()
            device.wait(SAFETY_S)


def status(root: DebianRoot) -> dict[str, Any] | None:
    """Return what the gateway says of itself; None while it does not answer."""
    asked = root.alive(*AS_GATEWAY, "sitewatt", "edge", "status", "--json")
    said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=SAFETY_S)
    return json.loads(said.stdout) if said.returncode == 0 else None


def test_the_gateway_of_a_raspberry_pi_starts_and_runs_control_cycles(tmp_path: Path) -> None:
    """Every library of the package is one of its processor, and control works there."""
    package = build(Target(arch=ARCH, python=PYTHON), out=tmp_path / "dist")
    root = clean_debian(tmp_path / "root", arch=ARCH)
    assert root.run("dpkg", "--print-architecture").strip() == ARCH
    shutil.copy(package, root.path("/tmp/sitewatt.deb"))
    root.run("dpkg", "--install", "/tmp/sitewatt.deb")
    root.run("/opt/sitewatt/bin/python3", "-I", "-c", "import numpy, highspy, uvloop, awsiot, awscrt")
    with served("sdm630") as meter, served("sunspec") as battery:
        root.run(
            *("sitewatt", "edge", "setup", "--yes", "--force", "--site", "farm", "--zone", "east"),
            *("--agent", "producer", "--import-limit-w", "17250", "--export-limit-w", "9000"),
            *("--device", f"meter,eastron_sdm630,{meter},meter", "--link-url", "mqtt://127.0.0.1:9"),
            *("--device", f"battery,sunspec_generic_int,{battery},battery"),
        )
        _controls(root)


def _controls(root: DebianRoot) -> None:
    """Run the gateway until it controls what it reads."""
    gateway = root.alive(*AS_GATEWAY, "sitewatt", "edge", "run", "--config", "/etc/sitewatt/site.yaml")
    with subprocess.Popen(gateway, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            assert json.loads(running.stdout.readline())["ready"] is True
            until_s = time.monotonic() + SAFETY_S
            while not _is_controlled(found := status(root)):
                assert time.monotonic() < until_s, f"no {CYCLES} cycles on devices that are read; it says {found}"
                time.sleep(1.0)
        finally:
            running.terminate()
            running.wait(SAFETY_S)


def _is_controlled(said: dict[str, Any] | None) -> bool:
    """Return whether the gateway has gone through its cycles and misses no device."""
    cycle = None if said is None else said.get("cycle")
    return cycle is not None and cycle["number"] >= CYCLES and not cycle["alarms"]
