"""First set-up and its proof, against devices that answer on real sockets and a real broker."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from typer.testing import CliRunner

from edge.config import load_config
from sitewatt.commands import edge
from sitewatt.output import INTERRUPTED
from tests.support.brokers.broker import Broker, free_port, running

SAFETY_S = 120.0
# A meter and a hybrid of one house; the sun is up.
PLANT = {
    "week": "sunny",
    "sites": [
        {
            "id": "home",
            "load": {"base_w": 400},
            "pv": {"peak_w": 5000},
            "battery": {"capacity_wh": 10000, "charge_w_max": 4000, "discharge_w_max": 4000},
            "devices": [{"id": "inverter", "kind": "sunspec_hybrid"}, {"id": "meter", "kind": "sdm630"}],
        }
    ],
}


@dataclass
class House:
    """Where the simulated devices answer."""

    ports: dict[str, int]

    def url(self, device: str) -> str:
        """Return a device's url."""
        return f"tcp://127.0.0.1:{self.ports[f'home/{device}']}?unit=1"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Serve the house in a process of its own."""
    plant = tmp_path_factory.mktemp("plant") / "plant.yaml"
    plant.write_text(yaml.safe_dump(PLANT))
    command = [sys.executable, "-m", "firmware_sim", "--plant", str(plant)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        try:
            yield House(ports=json.loads(served.stdout.readline())["ports"])
        finally:
            served.terminate()
            served.wait(SAFETY_S)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a plain mosquitto."""
    with running(Broker(folder=tmp_path_factory.mktemp("broker"))) as started:
        yield started


def run(*arguments: str, code: int = 0, typed: str | None = None) -> str:
    """Run a command of the gateway and return its output."""
    result = CliRunner().invoke(edge.app, list(arguments), input=typed)
    assert result.exit_code == code, result.output
    return result.output


def set_up(path: Path, house: House, link_url: str, *more: str) -> Path:
    """Write a configuration by options only."""
    hybrid = "pv_peak_w=5000,capacity_wh=10000,charge_limit_w=4000,discharge_limit_w=4000"
    arguments = {
        "--config": str(path),
        "--site": "home",
        "--zone": "east",
        "--agent": "producer",
        "--import-limit-w": "12000",
        "--export-limit-w": "6000",
        "--link-url": link_url,
        "--state-dir": str(path.parent / "state"),
    }
    given = [part for pair in arguments.items() for part in pair]
    meter = f"meter,eastron_sdm630,{house.url('meter')},meter"
    inverter = f"inverter,fronius_gen24_int,{house.url('inverter')},hybrid,{hybrid}"
    run("setup", *given, "--device", meter, "--device", inverter, "--yes", *more)
    return path


def checked(path: Path, *more: str, code: int = 0) -> dict[str, Any]:
    """Return the check's answer for programs."""
    answer = json.loads(run("check", "--config", str(path), "--timeout", "10", "--json", *more, code=code))
    assert isinstance(answer, dict)
    return answer


def test_a_site_set_up_by_options_is_proven_by_the_check(tmp_path: Path, house: House, broker: Broker) -> None:
    """Every device tells its power in our sign, the bus has room, the broker takes us."""
    answer = checked(set_up(tmp_path / "site.yaml", house, broker.url))
    assert answer["ok"] and answer["devices"] == ["meter", "inverter"]
    graded = {(one["check"], one["subject"]): one["grade"] for one in answer["findings"]}
    assert graded[("answers", "meter")] == graded[("answers", "inverter")] == "good"
    assert graded[("link", broker.url)] == "good"


def test_the_check_names_a_silent_device_and_a_missing_broker(tmp_path: Path, house: House) -> None:
    """The two faults of every second installation, each with its next step."""
    path = set_up(tmp_path / "site.yaml", house, f"mqtt://127.0.0.1:{free_port()}")
    text = path.read_text().replace(str(house.ports["home/inverter"]), str(free_port()))
    path.write_text(text)
    answer = checked(path, code=1)
    failed = [one for one in answer["findings"] if one["grade"] == "failed"]
    assert [(one["check"], bool(one["do"])) for one in failed] == [("answers", True), ("link", True)]
    assert failed[0]["subject"] == "inverter" and "does not answer" in failed[0]["said"]
    assert checked(path, "--offline")["ok"]


def test_a_wrong_rating_is_found_by_what_the_device_says(tmp_path: Path, house: House, broker: Broker) -> None:
    """An inverter that gives many times its rating is a wrong scale or a wrong number in the file."""
    path = set_up(tmp_path / "site.yaml", house, broker.url)
    path.write_text(path.read_text().replace(" 5000", " 10").replace(" 4000", " 10"))
    failed = [one for one in checked(path, code=1)["findings"] if one["grade"] == "failed"]
    assert [one["check"] for one in failed] == ["plausible"] and "times its rating" in failed[0]["said"]


def test_a_wrong_word_order_is_named_by_the_check(tmp_path: Path, house: House, broker: Broker) -> None:
    """The installer reads what his own map has the wrong way round."""
    shipped = (files("device_profiles") / "eastron_sdm630.yaml").read_text(encoding="utf-8")
    slipped = shipped.replace("voltage_l1_v, type: float32,", "voltage_l1_v, type: float32, word_order: little,")
    assert slipped != shipped
    (tmp_path / "eastron_sdm630.yaml").write_text(slipped, encoding="utf-8")
    path = set_up(tmp_path / "site.yaml", house, broker.url, "--profiles", str(tmp_path))
    said = [one["said"] for one in checked(path)["findings"] if one["grade"] == "warning"]
    assert "tells what cannot be: voltage_l1_v (it would fit with its words in big order)" in said


def test_loads_are_set_up_by_options_too(tmp_path: Path, house: House, broker: Broker) -> None:
    """A fleet's gateways are set up by a script, each with its charging point and its heat pump."""
    ev = "ev,alfen_eve,tcp://127.0.0.1:1?unit=1,load,rated_w=11 kW,rest=surplus,phases=1+2"
    pump = "pump,stiebel_isg,tcp://127.0.0.1:2?unit=1,load,rated_w=3000,state=sg_ready_state"
    path = set_up(tmp_path / "site.yaml", house, broker.url, "--device", ev, "--device", pump)
    car, heat = load_config(path).devices[2:]
    assert car.load is not None and heat.load is not None
    assert (car.load.rated_w, car.load.rest.value, car.phases) == (11_000, "surplus", (1, 2))
    assert (heat.load.rated_w, heat.load.state) == (3_000, "sg_ready_state")
    assert checked(path, "--offline")["ok"]
    wrong = "pump,stiebel_isg,tcp://127.0.0.1:2?unit=1,load,rated_w=much"
    run("setup", "--config", str(tmp_path / "x.yaml"), "--device", wrong, "--yes", code=2)


def test_a_profile_that_nobody_has_is_refused_before_the_file_is_written(tmp_path: Path) -> None:
    """The file was written, and the gateway did not start with it."""
    meter = "meter,eastron_sdm63,tcp://127.0.0.1:9?unit=1,meter"
    given = ("--site", "farm", "--agent", "consumer", "--import-limit-w", "9000", "--export-limit-w", "9000")
    said = run("setup", "--yes", "--config", str(tmp_path / "x.yaml"), "--device", meter, *given, code=2)
    assert "eastron_sdm630" in said and not (tmp_path / "x.yaml").exists()


def test_a_search_that_could_not_ask_what_it_found_is_refused(tmp_path: Path) -> None:
    """It was passed over without a word, and the missing meter was all that was said."""
    said = run("setup", "--config", str(tmp_path / "x.yaml"), "--scan", "127.0.0.1:1", "--yes", code=2)
    assert "--scan" in said and "--device" in said and not (tmp_path / "x.yaml").exists()


def test_set_up_that_is_interrupted_while_it_asks_a_network_says_that_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for a network of hosts is where a person presses Ctrl-C."""

    def interrupted(_: object, target: str) -> NoReturn:
        raise KeyboardInterrupt(target)

    monkeypatch.setattr("sitewatt.commands.edge_setup._Wires.scan", interrupted)
    path = tmp_path / "site.yaml"
    said = run("setup", "--config", str(path), typed="home\n192.0.2.0/24\n", code=INTERRUPTED)
    assert "nothing was written" in said and not path.exists()


def test_an_unknown_key_ends_the_check_with_two(tmp_path: Path, house: House, broker: Broker) -> None:
    """A misspelt limit must never be a limit that is not there."""
    path = set_up(tmp_path / "site.yaml", house, broker.url)
    path.write_text(path.read_text().replace("agent:", "mood: x\n  agent:"))
    assert "site.mood is not a known key" in run("check", "--config", str(path), code=2)


def test_a_configuration_is_never_replaced_by_surprise(tmp_path: Path, house: House, broker: Broker) -> None:
    """A second set-up keeps the first, or says that it will not."""
    path = set_up(tmp_path / "site.yaml", house, broker.url)
    assert "--force" in run("setup", "--config", str(path), code=2)
    set_up(path, house, broker.url, "--force")
    assert (tmp_path / "site.yaml.old").exists()


def test_a_site_without_a_broker_is_set_up_by_options_without_a_price_area(tmp_path: Path) -> None:
    """Nobody reads the zone of a site that is alone; to demand one would ask for a word that means nothing there."""
    path = tmp_path / "site.yaml"
    meter = "meter,eastron_sdm630,tcp://127.0.0.1:9?unit=1,meter"
    run(
        *("setup", "--yes", "--config", str(path), "--site", "farm", "--agent", "consumer", "--device", meter),
        *("--import-limit-w", "17250", "--export-limit-w", "9000", "--state-dir", str(tmp_path)),
    )
    made = load_config(path)
    assert made.site.zone == "home" and not made.trading.enabled and made.link is None
