"""Relief where the feeder's meter shows nothing: real processes, the plant as witness."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import yaml

from firmware_sim.plant_config import LoadConfig, PlantConfig
from sitewatt.demo import files
from sitewatt.demo.neighbourhood import FEEDER
from sitewatt.demo.run import start_cloud
from tests.support.rigs.neighbourhood import RunningNeighbourhood, running_neighbourhood

State = dict[str, Any]
R_OHM, RATED_V, HIGH_PU = 0.13, 400.0, 1.06
PLACE = f"voltage at node 2 above {HIGH_PU} pu"
FEEDER_LIMIT_W = 900_000  # Far above all that its meter will show.


@pytest.mark.slow
async def test_an_overvoltage_behind_a_calm_meter_is_relieved_once_the_network_is_known(tmp_path: Path) -> None:
    """The sun lifts the end of a line: by the meter alone nobody sees it, then the site that asks least takes of it."""
    async with running_neighbourhood(tmp_path, sites=2, plant=_steady, prepare=_calm) as place:
        await place.until_online(*place.gateways)
        await place.until(lambda: _newest(place, _lifted), "the sun lifts the end of the line")
        status = await asyncio.to_thread(_grid_status, place.folder)
        assert (status["state"], status["events"]) == ("normal", [])
        assert status["network"]["reason"].endswith("has no network in the registry; relief is by its meter alone")

        await place.processes.stop(["cloud"])
        _tell_network(place.folder)
        await start_cloud(place.processes, place.folder, clock=place.clock)
        line = await place.until(lambda: _newest(place, _relieved), "the end of the line is back within its band")
        assert line["sites"]["factory"]["battery_w"] > 10_000, "the works ask a sixtieth of what the farm does"
        assert abs(line["sites"]["solar-farm"]["battery_w"]) < 1_000
        assert abs(line["feeder_w"]) < FEEDER_LIMIT_W / 5, "the feeder's meter shows nothing of it"
        status = await asyncio.to_thread(_grid_status, place.folder)
        assert status["network"]["calculated"] and status["network"]["sites"] == 2
        (event,) = status["events"]
        assert (event["places"], event["sites"], event["left"]) == ([PLACE], ["factory"], [])


def _steady(plant: PlantConfig) -> PlantConfig:
    """Return the plant with works that draw the same all day, so that no hour is too late for what is to be seen."""
    sites = [
        site.model_copy(update={"load": LoadConfig(base_w=20_000)}) if site.id == "factory" else site
        for site in plant.sites
    ]
    return plant.model_copy(update={"sites": tuple(sites)})


def _calm(folder: Path) -> None:
    """Let the feeder bear whatever its meter will show, and a site's word hold for longer than a new start takes."""
    path = files.cloud(folder)
    content = yaml.safe_load(path.read_text())
    (feeder,) = content["registry"]["feeders"]
    feeder |= {"import_limit_w": FEEDER_LIMIT_W, "export_limit_w": FEEDER_LIMIT_W, "settings": {"stale_s": 4_000}}
    path.write_text(yaml.safe_dump(content))
    farm = files.gateway(folder, "solar-farm")
    content = yaml.safe_load(farm.read_text())
    content["trading"]["follow_schedule"] = False  # Its battery moves for nobody but the grid agent.
    farm.write_text(yaml.safe_dump(content))


def _tell_network(folder: Path) -> None:
    """Put farm and works at the end of one line, and let the farm ask sixty times as much for a kWh as the works."""
    path = files.cloud(folder)
    content = yaml.safe_load(path.read_text())
    (feeder,) = content["registry"]["feeders"]
    feeder["network"] = {
        "nodes": [{"id": 1, "rated_v": RATED_V}, {"id": 2, "rated_v": RATED_V}],
        "lines": [{"from_node": 1, "to_node": 2, "r_ohm": R_OHM, "x_ohm": 0.001, "current_a_max": 2_000}],
        "source_node": 1,
        "voltage_pu_max": HIGH_PU,
    }
    asked = {"solar-farm": 60_000, "factory": 1_000}
    for site in content["registry"]["sites"]:
        price = asked[site["id"]]
        site |= {"node": 2, "relief_prices": {"battery_mct_per_kwh": price, "pv_mct_per_kwh": price}}
    path.write_text(yaml.safe_dump(content))


def _grid_status(folder: Path) -> dict[str, Any]:
    """Return what the skill answers over the running cloud's tables, as an operator asks it."""
    words = [
        "agent",
        "call",
        "grid_status",
        "--tables",
        str(files.tables(folder)),
        "--arg",
        f"feeder={FEEDER}",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sitewatt", *words], capture_output=True, text=True, timeout=120, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)["answer"]
    return answer


def _relieved(line: State) -> bool:
    return 1.04 < _voltage_pu(line) <= HIGH_PU


def _lifted(line: State) -> bool:
    return _voltage_pu(line) > HIGH_PU + 0.01


def _newest(place: RunningNeighbourhood, holds: Callable[[State], bool]) -> State | None:
    """Return what the plant wrote last, where it is so."""
    lines = place.truth()
    return lines[-1] if lines and holds(lines[-1]) else None


def _voltage_pu(line: State) -> float:
    """Return the voltage at the end of a line that feeds in, by the textbook: U (U - 1) = P R / U0 squared."""
    fed_w = -sum(site["connection_w"] for site in line["sites"].values())
    return (1 + sqrt(1 + 4 * fed_w * R_OHM / RATED_V**2)) / 2
