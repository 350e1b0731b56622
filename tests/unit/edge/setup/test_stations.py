"""A charging station that calls us: set-up asks for it, the file holds it, the check looks at what it needs."""

import socket
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config import SiteConfig, load_config
from edge.setup.dialogue import Answers, run_dialogue
from edge.setup.document import write_config
from edge.setup.finding import Grade
from edge.setup.stations import check_stations
from edge.setup.summary import summary
from tests.support.rigs.edge_parts import plain_config
from tests.unit.edge.setup.test_dialogue import Scripted, Wires, prepared


def _station(folder: Path, **about: Any) -> dict[str, Any]:
    secret = folder / "CP1.password"
    if not secret.exists():
        secret.write_text("0123456789abcdef\n", encoding="utf-8")
        secret.chmod(0o600)
    told = {"station": "CP1", "password_file": str(secret), **about}
    return {"id": "wallbox", "role": "load", "load": {"rated_w": 11_000}, "ocpp": told}


def _raw(*devices: dict[str, Any], **sections: Any) -> dict[str, Any]:
    raw = plain_config(**({"ocpp": {"listen": "127.0.0.1:0"}} | sections))
    raw["devices"] += devices
    return raw


def test_set_up_asks_for_a_station_and_leaves_its_password_to_us_alone(tmp_path: Path) -> None:
    """The way of an installer: the identity is named where others name a host, and read in the station's menu."""
    answers = prepared() | {
        "Scan": ["192.0.2.0/28", "ocpp:CP 1", "ocpp:CP1", ""],
        "How many phases": ["3", "1"],
        "The most that it may have": ["5", "32"],
        "What it goes on with": ["3", "0"],
    }
    console = Scripted(answers)
    config = run_dialogue(console, Wires(), Answers(state_dir=tmp_path / "state"))
    (station,) = config.stations
    assert station.ocpp is not None and station.load is not None
    assert (station.id, station.phases, station.load.rated_w) == ("ev", (1,), 7_360)
    assert (station.ocpp.station, station.ocpp.max_a, station.ocpp.fallback_a) == ("CP1", 32.0, 0.0)
    assert len(station.ocpp.password_file.read_text(encoding="utf-8").strip()) == 32
    assert stat.S_IMODE(station.ocpp.password_file.stat().st_mode) == 0o600
    assert any("no identity of a station" in line for line in console.said)
    assert any("identity CP1" in line for line in console.said)
    assert station.ocpp.password_file.read_text(encoding="utf-8").strip() not in "".join(console.said)
    assert any("ocpp:CP1" in line for line in summary(config))

    write_config(tmp_path / "site.yaml", config)
    assert load_config(tmp_path / "site.yaml") == config
    written = yaml.safe_load((tmp_path / "site.yaml").read_text(encoding="utf-8"))
    assert "url" not in written["devices"][-1] and written["ocpp"]["listen"] == "0.0.0.0:8887"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ocpp": None}, "the site has none"),
        ({"site": {"id": "a", "zone": "z", "agent": "monitor"}}, "it steers no station"),
        ({"proxy": [{"device": "wallbox", "listen": "127.0.0.1:1502"}]}, "neither be shared"),
        ({"about": {"fallback_a": 3}}, "no car charges with less than 6 A"),
        ({"about": {"fallback_a": 20}}, "above max_a"),
        ({"about": {"station": "a:b"}}, "pattern"),
        ({"device": {"url": "tcp://192.0.2.1"}}, "has none"),
        ({"device": {"role": "meter", "load": None}}, "is a load"),
        ({"device": {"load": {"rated_w": 11_000, "by": "switch"}}}, "takes limits"),
        ({"device": {"load": {"rated_w": 11_000, "state": "relay1"}}}, "takes limits"),
        ({"twice": True}, "the same connector"),
    ],
)
def test_a_section_that_cannot_be_says_why(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Whoever writes the file by hand reads what is wrong with it."""
    device = _station(tmp_path, **change.pop("about", {})) | change.pop("device", {})
    more = [{**device, "id": "other"}] if change.pop("twice", False) else []
    with pytest.raises(ValueError, match=said):
        SiteConfig.model_validate(_raw(device, *more, **change))


def test_the_check_names_what_is_open_and_what_travels_in_the_clear(tmp_path: Path) -> None:
    """An installer hears it before the station is on the wall."""
    config = SiteConfig.model_validate(_raw(_station(tmp_path, fallback_a=16)))
    secret = tmp_path / "CP1.password"
    grades = {(one.check, one.grade) for one in check_stations(config)}
    assert ("safe current", Grade.WARNING) in grades and ("ocpp", Grade.GOOD) in grades
    assert not any(one.grade is Grade.FAILED for one in check_stations(config))
    assert any("in the clear" in one.said for one in check_stations(config))

    secret.chmod(0o644)
    assert any("others can use it" in one.said for one in check_stations(config) if one.grade is Grade.FAILED)
    secret.chmod(0o600)
    secret.write_text("short", encoding="utf-8")
    assert any("fewer than 16" in one.said for one in check_stations(config))
    secret.unlink()
    assert any("cannot be read" in one.said for one in check_stations(config) if one.grade is Grade.FAILED)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        tls = {"certificate": str(tmp_path / "no.crt"), "key": str(tmp_path / "no.key")}
        busy = SiteConfig.model_validate(_raw(_station(tmp_path), ocpp={"listen": listen, "tls": tls}))
        said = [one.said for one in check_stations(busy)]
    assert any("cannot be listened on" in one for one in said) and any("cannot be used" in one for one in said)
    nobody = SiteConfig.model_validate(_raw())
    assert [one.said for one in check_stations(nobody)] == ["no device is a station, so nobody may call"]


def test_a_password_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A folder that is a file keeps the station out, not the rest of the set-up."""
    (tmp_path / "state").write_text("", encoding="utf-8")
    console = Scripted(prepared() | {"Scan": ["192.0.2.0/28", "ocpp:CP1", ""]})
    config = run_dialogue(console, Wires(), Answers(state_dir=tmp_path / "state"))
    assert config.stations == () and any("cannot be written" in line for line in console.said)
