"""From a blank state to a running site: an installer with five devices, counted in questions and seconds."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from edge.config import load_config
from edge.errors import StatusUnavailable
from edge.site.status import ask_status
from tests.support.rigs.installer import visit

SAFETY_S = 120.0
QUESTIONS_MAX = 60
DEVICES = {"inverter": "sunspec_hybrid", "meter": "sdm630", "wallbox": "alfen_eve", "heatpump": "stiebel_isg",
           "box": "relay"}  # fmt: skip
PLANT = {
    "week": "sunny",
    "sites": [
        {
            "id": "home",
            "load": {"base_w": 400},
            "pv": {"peak_w": 5000},
            "battery": {"capacity_wh": 10000, "charge_w_max": 4000, "discharge_w_max": 4000},
            "devices": [{"id": name, "kind": kind} for name, kind in DEVICES.items()],
        }
    ],
}


@contextlib.contextmanager
def _ready(*command: str) -> Iterator[dict[str, object]]:
    """Run a process for the block, from when it says that it is ready."""
    with subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(SAFETY_S)


async def test_five_devices_become_a_running_site_in_one_sitting(tmp_path: Path) -> None:
    """Nobody reads code or a manual of registers: scan, confirm, name, limits, and it runs."""
    plant, config = tmp_path / "plant.yaml", tmp_path / "site.yaml"
    plant.write_text(yaml.safe_dump(PLANT))
    with _ready("firmware_sim", "--plant", str(plant)) as served:
        ports = served["ports"]
        assert isinstance(ports, dict)
        targets = [f"127.0.0.1:{ports[f'home/{name}']}" for name in DEVICES]
        answers = {
            "Name of the site": ["Home 1", "home-1"],
            "Scan": [*targets, ""],
            # A relay box tells nobody what it is.
            "Its profile": ["", "", "", "", "another profile"],
            "Profile": ["kmtronic_relay"],
            "What it is to the site": ["", "", "", "", "relay"],
            "Rated generation": ["5 kW"],
            "Usable capacity": ["10 kWh"],
            "Greatest charging": ["4 kW"],
            "Greatest import": ["17.25 kW"],
            "Greatest export": ["5 kW"],
            "Its rated": ["11 kW", "3 kW"],
            "How its panels look": ["30 S"],
            "Fuse of each phase": ["25"],
            "Place": ["48.14, 11.58"],
            "Time zone": ["Europe/Berlin"],
            "Its tariff": ["de-14a-module-3"],
            "Write": ["y"],
        }
        setup = ["edge", "setup", "--config", str(config), "--state-dir", str(tmp_path / "state")]
        found = await asyncio.to_thread(visit, setup, answers, within_s=SAFETY_S)
        assert found.code == 0, found.shown
        assert len(found.questions) <= QUESTIONS_MAX, found.questions
        roles = sorted(one.role.value for one in load_config(config).devices)
        assert roles == ["hybrid", "load", "load", "meter", "relay"], found.shown
        assert load_config(config).link is None, "a house by itself names no broker"
        print(f"{len(found.questions)} questions in {found.seconds:.0f} s")
        with _ready("edge", "run", "--config", str(config)):
            async with asyncio.timeout(SAFETY_S):
                while not await asyncio.to_thread(_controls, tmp_path / "state"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)


def _controls(state_dir: Path) -> bool:
    """Say whether the gateway decides on fresh readings of all its devices."""
    try:
        said = ask_status(state_dir)
    except StatusUnavailable:
        return False
    return said["cycle"] is not None and all(one["online"] for one in said["devices"])
