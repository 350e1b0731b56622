"""The plant file."""

from pathlib import Path

import pytest

from firmware_sim.errors import PlantError
from firmware_sim.plant_config import PlantConfig, load_plant
from tests.support.modbus.simulator import home

GOOD = """
sites:
  - id: home
    load: {series: home01}
    pv: {peak_w: 5000}
    devices:
      - {id: inverter, kind: sunspec_pv}
      - {id: meter, kind: sdm630, unit: 2, shares_port_of: inverter}
"""


def test_a_plant_survives_its_own_file(tmp_path: Path) -> None:
    """The demo writes what it built and the process reads it."""
    file = tmp_path / "plant.yaml"
    file.write_text(home().to_yaml(), encoding="utf-8")
    assert load_plant(file) == home()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(("kind: sunspec_pv", "kind: toaster"), "sites.0.devices.0.kind", id="unknown kind"),
        pytest.param(("peak_w: 5000", "peak_w: -1"), "greater than 0", id="value outside its bound"),
        pytest.param(("load:", "lode:"), "sites.0.lode", id="unknown key"),
        pytest.param(("series: home01", "series: home99"), "home99", id="unknown series"),
        pytest.param(("kind: sunspec_pv", "kind: sunspec_hybrid"), "battery of site 'home', which has none", id="none"),
        pytest.param(("unit: 2, ", ""), "two devices on one port as unit 1", id="unit taken"),
        pytest.param(("shares_port_of: inverter", "shares_port_of: other"), "'other'", id="shared with nobody"),
        pytest.param(("id: meter", "id: inverter"), "two devices 'inverter'", id="device named twice"),
        pytest.param(
            ("load:", "switched: [{coil: 1, power_w: 5}, {coil: 1, power_w: 5}]\n    load:"),
            "two loads behind one coil",
            id="coil taken",
        ),
        pytest.param(("sites:", "sites: ["), "cannot be read", id="no YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    """Key, value and bound in one sentence, or the reader hunts through forty devices."""
    file = tmp_path / "plant.yaml"
    file.write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(PlantError) as refusal:
        load_plant(file)
    assert says in str(refusal.value)
    assert str(file) in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The commonest mistake of all."""
    with pytest.raises(PlantError, match=r"nowhere\.yaml"):
        load_plant(tmp_path / "nowhere.yaml")


def test_unset_values_stay_out_of_the_file() -> None:
    """A file that a person reads names what is special about the plant."""
    assert "one_way_efficiency" not in home().to_yaml()
    assert PlantConfig.model_validate({"sites": [{"id": "home"}]}).host == "127.0.0.1"
