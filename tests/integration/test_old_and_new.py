"""Gateways of an earlier version under this cloud, and gateways of this version under an earlier cloud.

The earlier version is checked out of the repository's own history and gets an environment of its own.
"""

import asyncio
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from firmware_sim.series import Week
from sitewatt.demo import files, report
from sitewatt.demo.neighbourhood import neighbourhood
from sitewatt.demo.processes import Processes
from sitewatt.demo.run import drained, started

pytestmark = pytest.mark.nightly

ROOT: Final = Path(__file__).parents[2]
EARLIER: Final = "bf422d6"
SITES: Final = 2
# The demonstration's own length, after which its event has begun, taken effect and ended.
SPEED, SPAN_S = 20.0, 2_850.0


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return what runs a module of the earlier version, with that version's own libraries."""
    folder = tmp_path_factory.mktemp("earlier")
    tree, environment, runner = folder / "tree", folder / "environment", folder / "python"
    archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(tree, filter="data")
    python = str(environment / "bin" / "python")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--editable", f"{tree}[demo]"], check=True)
    # Python looks for modules where it is started first.
    runner.write_text(f'#!/bin/sh\ncd "{tree}" && exec "{python}" "$@"\n', encoding="utf-8")
    runner.chmod(0o755)
    yield runner


def _as_of_then(folder: Path) -> None:
    """Leave what the earlier cloud knows of its settings: an operator who has not upgraded has written no more."""
    path = files.cloud(folder)
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    for zone in told["registry"]["zones"]:
        del zone["timezone"]
    for site in told["registry"]["sites"]:
        site.get("battery", {}).pop("inverter_w_max", None)
    path.write_text(yaml.safe_dump(told), encoding="utf-8")


@pytest.mark.parametrize("module", ["edge", "cloud.local"])
async def test_an_earlier_version_works_with_this_one(earlier: Path, module: str, tmp_path: Path) -> None:
    """A fleet is never upgraded at once: trades settle, an event takes effect and nothing is lost, whoever is older."""
    place = neighbourhood(sites=SITES, week=Week.SUNNY)
    processes = Processes(files.logs(tmp_path), interpreters={module: earlier})
    try:
        prepare = _as_of_then if module == "cloud.local" else lambda _: None
        async with started(place, processes, tmp_path, speed=SPEED, say=lambda _: None, prepare=prepare) as (
            clock,
            watcher,
        ):
            while clock.monotonic() < SPAN_S:
                await asyncio.sleep(0.5)
                assert not processes.ended(), [f"{child.name} {child.end}" for child in processes.ended()]
            usage, sites = processes.usage(), report.sites(place, watcher.view)
            await processes.stop([place.feeder.id, *(site.id for site in place.sites)])
            await drained(tmp_path, place, lambda _: None)
        await processes.stop(["cloud"])
    finally:
        await processes.stop_all()
    told = report.collect(place, tmp_path, sites=sites, latency=watcher.view.latency, usage=usage)
    assert told.passed, (told.checks, told.channels)
    assert sum(counts["published"] for counts in told.channels.values()) > 0
    tracebacks = [log.name for log in files.logs(tmp_path).glob("*.log") if "Traceback" in log.read_text("utf-8")]
    assert not tracebacks
