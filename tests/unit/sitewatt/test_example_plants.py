"""The plants that the documents show: each loads, on fixed ports, and the site file beside it fits it."""

from datetime import UTC, datetime
from pathlib import Path

from edge.config import load_config
from edge.modbus.url import parse_url
from edge.setup.finding import Grade
from edge.setup.offline import check_offline
from firmware_sim.plant_config import load_plant
from tests.support.manual_clock import ManualClock

FOLDER = Path(__file__).parents[3] / "docs" / "plants"


def test_the_house_and_its_site_file_name_the_same_ports() -> None:
    """Two commands and a browser, without a broker: a developer's first running site."""
    plant, site = load_plant(FOLDER / "house.yaml"), load_config(FOLDER / "house-site.yaml")
    answering = {device.id: device.port for device in plant.sites[0].devices}
    assert len(set(answering.values()) - {0}) == len(answering) == 4
    assert {device.id: parse_url(device.url).port for device in site.devices} == answering
    findings = check_offline(site, clock=ManualClock(datetime(2026, 3, 17, 12, tzinfo=UTC)))
    assert not [one for one in findings if one.grade is Grade.FAILED and one.check != "state"], findings
