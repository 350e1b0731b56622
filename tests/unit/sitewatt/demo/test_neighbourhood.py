"""The neighbourhood is a plant, gateways and a registry that agree with one another."""

from datetime import timedelta
from math import isnan
from pathlib import Path

import pytest
import yaml

from cloud.local.config import load_config as load_cloud
from cloud.local.opening import TABLES_FILE, open_tables, tables_place
from cloud.shell.forecast.site_history import read_history
from contracts.units import DELIVERY_INTERVAL
from edge.config import load_config as load_site
from firmware_sim.plant_config import load_plant
from firmware_sim.series import Week, power_w
from sitewatt.demo import files
from sitewatt.demo.history import write_history
from sitewatt.demo.neighbourhood import SITES_MAX, SITES_MIN, neighbourhood


@pytest.mark.parametrize("sites", [SITES_MIN, 5, SITES_MAX])
@pytest.mark.parametrize("week", list(Week))
def test_what_is_written_is_read_by_everyone_it_is_for(tmp_path: Path, sites: int, week: Week) -> None:
    """Simulator, gateways and cloud each refuse unknown keys, so all of them must know what we write."""
    place = neighbourhood(sites=sites, week=week)
    files.write_plant(tmp_path, place.plant())
    plant = load_plant(files.plant(tmp_path))
    ports = {
        f"{site.id}/{device.id}": 5000 + number for number, site in enumerate(plant.sites) for device in site.devices
    }
    ports["feeder-1/meter"] = 4999
    files.write_configurations(tmp_path, place, link=files.link_to(1883, embedded=False), ports=ports)
    write_history(tmp_path, place)

    registry = load_cloud(files.cloud(tmp_path)).registry
    assert [site.id for site in registry.sites] == [site.id for site in place.sites] and registry.warnings == ()
    for name in (place.feeder.id, *(site.id for site in place.sites)):
        config = load_site(files.gateway(tmp_path, name))
        assert config.site.id == name
        assert config.site.agent.value == ("monitor" if name == place.feeder.id else registry.site(name).agent.value)  # type: ignore[union-attr]


def test_the_signing_key_is_readable_by_its_owner_only_and_in_no_configuration(tmp_path: Path) -> None:
    """A private key in a file that somebody copies around is no longer private."""
    place = neighbourhood(sites=2, week=Week.SUNNY)
    files.write_configurations(tmp_path, place, link=files.link_to(1883, embedded=True), ports=_AnyPort())
    key = tmp_path / "grid-operator.pem"
    assert key.stat().st_mode & 0o077 == 0
    secret = key.read_text().splitlines()[1]
    assert not [path for path in tmp_path.glob("*.yaml") if secret in path.read_text()]
    assert yaml.safe_load(files.gateway(tmp_path, "factory").read_text())["link"]["protocol"] == "3.1.1"


def test_the_history_is_what_the_plant_would_have_shown_at_that_instant(tmp_path: Path) -> None:
    """Days of another clock tell every agent that the works starts an hour late, and on another weekday."""
    place = neighbourhood(sites=2, week=Week.SUNNY)
    write_history(tmp_path, place)
    files.write_configurations(tmp_path, place, link=files.link_to(1883, embedded=True), ports=_AnyPort())
    works = load_cloud(files.cloud(tmp_path)).registry.site("factory")
    assert works is not None
    tables = open_tables(tables_place(files.tables(tmp_path)) or files.tables(tmp_path) / TABLES_FILE)
    try:
        load, _ = read_history(tables, works, until=place.started_at)
    finally:
        tables.close()

    assert load is not None
    told = {
        load.start + number * DELIVERY_INTERVAL: value for number, value in enumerate(load.values) if not isnan(value)
    }
    middles = {start: (start + DELIVERY_INTERVAL / 2).astimezone(place.timezone) for start in told}
    assert told == pytest.approx({start: power_w("factory", Week.SUNNY, middle) for start, middle in middles.items()})
    assert min(middles.values()).hour == 0 and place.started_at - max(told) < 3 * DELIVERY_INTERVAL


@pytest.mark.parametrize("sites", [SITES_MIN - 1, SITES_MAX + 1])
def test_a_number_of_sites_out_of_range_is_refused_with_the_range(sites: int) -> None:
    """The command line passes the sentence on."""
    with pytest.raises(ValueError, match=rf"--sites is {sites}, must be {SITES_MIN} to {SITES_MAX}"):
        neighbourhood(sites=sites, week=Week.SUNNY)


def test_the_story_starts_shortly_before_a_quarter_so_that_it_is_soon_told() -> None:
    """Three intervals have to settle within three minutes at the default speed."""
    for week in Week:
        started_at = neighbourhood(sites=2, week=week).started_at
        assert started_at.utcoffset() is not None
        assert timedelta(minutes=0) < timedelta(minutes=15 - started_at.minute % 15) <= timedelta(minutes=15)


class _AnyPort(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return 5020
