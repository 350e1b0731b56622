"""A map that rests on one source is read, and written only where the installer says so."""

from pathlib import Path

import pytest

from contracts.clock import SystemClock
from edge.config import SiteConfig
from edge.devices.catalogue import load_profile
from edge.devices.options import options_of
from edge.devices.recipes import Lever
from edge.setup.offline import check_offline
from tests.support.modbus.devices import Section
from tests.support.rigs.edge_parts import plain_config

SOURCED = (Path(__file__).parents[4] / "device_profiles" / "heidelberg_ec.yaml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a charger whose registers one source tells."""
    text = SOURCED.replace("status: two_sources", "status: one_source").replace("id: heidelberg_ec", "id: box")
    (tmp_path / "box.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_map_of_one_source_is_written_only_where_it_is_trusted(folder: Path) -> None:
    """A register that one project names may be another one on the next firmware."""
    profile = load_profile("box", folder)
    for trust, levers in ((None, set()), ("one-source", {Lever.LIMIT_CONSUMPTION, Lever.SWITCH, Lever.SG_READY})):
        section = Section(id="ev", profile="box", url="tcp://127.0.0.1:1", role="load", trust=trust)
        assert options_of(section, profile=profile).levers == frozenset(levers)


def test_the_check_names_the_device_that_is_not_written_and_the_key_that_lets_it(folder: Path) -> None:
    """A charger that the site counts on to be held back, and that nobody may tell, is found before the fuse is."""
    load = {"id": "ev", "profile": "box", "url": "tcp://127.0.0.1:1", "role": "load", "load": {"rated_w": 11_000}}
    for trust, said in (({}, True), ({"trust": "one-source"}, False)):
        content = plain_config() | {"profile_dir": str(folder)}
        content["devices"] = [*content["devices"], load | trust]
        findings = check_offline(SiteConfig.model_validate(content), clock=SystemClock())
        assert any("rests on one source" in one.said and "trust: one-source" in one.do for one in findings) is said
