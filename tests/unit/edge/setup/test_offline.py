"""The checks that ask nobody: each wrong thing is found, named, and comes with what to do."""

import base64
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import parse_clock
from edge.config import SiteConfig
from edge.outbox.outbox import Outbox
from edge.setup.finding import Finding, Grade, is_sound
from edge.setup.offline import check_offline
from tests.support.brokers.broker import Authority

CLOCK = parse_clock("2026-03-17T12:00:00+00:00@0.0x1.0")
METER = {"id": "meter", "profile": "eastron_sdm630", "url": "tcp://192.0.2.7?unit=1", "role": "meter"}
HYBRID = {
    "id": "inverter",
    "profile": "fronius_gen24_int",
    "url": "tcp://192.0.2.8?unit=1",
    "role": "hybrid",
    "pv_peak_w": 9_000,
    "battery": {"capacity_wh": 10_000, "charge_limit_w": 5_000, "discharge_limit_w": 5_000},
}


def config(tmp_path: Path, *devices: dict[str, Any], **changes: Any) -> SiteConfig:
    """Return a configuration with these devices, or the two of a home."""
    raw = {
        "site": {"id": "farm", "zone": "east", "agent": "producer"},
        "connection": {"meter": "meter", "import_limit_w": 10_000, "export_limit_w": 5_000},
        "devices": devices or (METER, HYBRID),
        "link": {"url": "mqtts://broker.example:8883"},
        "state_dir": tmp_path / "state",
        **changes,
    }
    return SiteConfig.model_validate(raw)


def found(site: SiteConfig, check: str) -> list[Finding]:
    """Return the findings of one check."""
    return [finding for finding in check_offline(site, clock=CLOCK) if finding.check == check]


def test_a_sound_home_passes(tmp_path: Path) -> None:
    """The usual case has no line that asks for work."""
    findings = check_offline(config(tmp_path), clock=CLOCK)
    assert is_sound(findings)
    assert {finding.check for finding in findings} == {"device", "bus", "state", "disk", "clock"}
    assert [finding.grade for finding in findings if finding.check in ("device", "bus")] == [Grade.GOOD] * 4


@pytest.mark.parametrize(("days", "grade"), [(90, None), (12, Grade.WARNING), (-1, Grade.FAILED)])
def test_a_certificate_that_ends_is_found_before_the_link_does(tmp_path: Path, days: int, grade: Grade | None) -> None:
    """TLS compares it with this machine's clock, whatever clock the site runs on."""
    authority = Authority(folder=tmp_path)
    made = authority.issue("farm", valid_for=timedelta(days=days))
    link = {"url": "mqtts://broker.example:8883", "ca_file": authority.ca_path}
    site = config(tmp_path, link={**link, "cert_file": made.cert_path, "key_file": made.key_path})
    told = [one for one in found(site, "link") if one.subject == "certificate"]
    assert [one.grade for one in told] == ([] if grade is None else [grade])
    assert all(str(made.cert_path) in one.said and "renew it" in str(one.do) for one in told)


def test_a_site_without_a_broker_is_sound(tmp_path: Path) -> None:
    """It is told as a choice, not as a fault."""
    findings = check_offline(config(tmp_path, link=None), clock=CLOCK)
    assert is_sound(findings)
    assert [finding.said for finding in findings if finding.check == "link"] == [
        "the site speaks to no broker, and trades on no market"
    ]


def test_everything_that_is_wrong_comes_with_what_to_do(tmp_path: Path) -> None:
    """A complaint without a next step is a call to the office."""
    wrong = METER | {"id": "second", "url": "tcp://192.0.2.9?unit=900"}
    site = config(tmp_path, METER, wrong, link={"url": "mqtt://broker.example", "password_file": "/nowhere"})
    bad = [finding for finding in check_offline(site, clock=CLOCK) if finding.grade is not Grade.GOOD]
    assert {finding.subject for finding in bad} >= {"second", "link.password_file", "mqtt://broker.example"}
    assert all(finding.do for finding in bad)


def test_a_slow_line_with_too_many_meters_fails(tmp_path: Path) -> None:
    """What cannot be read each second must be known before the ladder is put away."""
    line = [METER | {"id": f"m{unit}", "url": f"rtu:///dev/ttyUSB0?baud=9600&unit={unit}"} for unit in range(2, 12)]
    meter = METER | {"url": "rtu:///dev/ttyUSB0?baud=9600&unit=1"}
    (load,) = found(config(tmp_path, meter, *line), "bus")
    assert load.grade is Grade.FAILED and "busy" in load.said
    (alone,) = found(config(tmp_path, meter), "bus")
    assert alone.grade is Grade.GOOD


def test_two_speeds_on_one_line_fail(tmp_path: Path) -> None:
    """A line has one speed, whatever two data sheets say."""
    line = [METER | {"url": "rtu:///dev/ttyUSB0?baud=9600&unit=1"}]
    line.append(METER | {"id": "other", "url": "rtu:///dev/ttyUSB0?baud=19200&unit=2"})
    _, other = found(config(tmp_path, *line), "device")
    assert other.grade is Grade.FAILED and "different settings" in other.said


def test_a_quantity_or_point_that_the_profile_has_not_fails_as_at_the_start(tmp_path: Path) -> None:
    """A check that passes what a start refuses sends the installer home too early."""
    for slip, known in (({"turned": ["powerw"]}, "voltage_l1_v"), ({"use": {"voltage_l1_v": "nothing"}}, "it can be")):
        (finding,) = [one for one in found(config(tmp_path, METER | slip), "device") if one.grade is Grade.FAILED]
        assert finding.subject == "meter"
        assert known in finding.said


def test_a_role_that_the_profile_cannot_play_is_a_note(tmp_path: Path) -> None:
    """A meter's map does not make a battery, and a map without levers only reads."""
    battery = HYBRID | {"profile": "eastron_sdm630"}
    _, told = found(config(tmp_path, METER, battery), "device")
    assert told.grade is Grade.WARNING and "role is hybrid" in told.said


def test_a_key_that_others_can_read_is_a_note(tmp_path: Path) -> None:
    """A key is an identity."""
    for name in ("cert", "key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "key").chmod(0o644)
    link = {"url": "mqtts://b.example:8883", "cert_file": tmp_path / "cert", "key_file": tmp_path / "key"}
    notes = [one for one in found(config(tmp_path, link=link), "link") if one.grade is Grade.WARNING]
    assert [one.do for one in notes] == [f"chmod 0640 {tmp_path / 'key'}"]


def test_a_state_folder_that_is_a_file_fails(tmp_path: Path) -> None:
    """A outbox needs a folder."""
    (tmp_path / "file").write_text("")
    (folder,) = found(config(tmp_path, state_dir=tmp_path / "file" / "state"), "state")
    assert folder.grade is Grade.FAILED


def test_little_room_on_the_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox is what an outage is paid from."""
    monkeypatch.setattr("edge.setup.offline.DISK_FREE_BYTES_FAILED", 2**62)
    (disk,) = found(config(tmp_path), "disk")
    assert disk.grade is Grade.FAILED and "settlement needs the disk" in disk.do


def test_a_running_gateway_is_said(tmp_path: Path) -> None:
    """A device with one client answers either the gateway or the check."""
    site = config(tmp_path)
    with closing(Outbox.open(site.state_dir / "journal.db", site="farm", clock=CLOCK)):
        _, told = found(site, "state")
        assert told.grade is Grade.WARNING and "systemctl stop" in told.do
    (folder,) = found(site, "state")
    assert folder.grade is Grade.GOOD


def test_a_fleets_gateway_needs_its_own_identity(tmp_path: Path) -> None:
    """A box that was prepared for another site is noticed on the ladder, not in the next morning's empty report."""
    fleet = {"update_key": base64.b64encode(bytes(32)).decode(), "identity_dir": tmp_path / "identity"}
    site = config(tmp_path, fleet=fleet)
    (missing,) = found(site, "fleet")
    assert (missing.grade, "holds no identity" in missing.said) == (Grade.FAILED, True)
    assert missing.do is not None and "sitewatt fleet provision" in missing.do
    folder = tmp_path / "identity" / "identities" / "first"
    folder.mkdir(parents=True)
    (tmp_path / "identity" / "active").symlink_to(Path("identities") / "first")  # As a promotion leaves it.
    (folder / "request.json").write_text('{"certificate_id": "c1"}')
    for name, grade in (("farm", Grade.GOOD), ("farm-8", Grade.FAILED)):
        (folder / "thing.json").write_text(json.dumps({"name": name, "configuration": {}}))
        (finding,) = found(site, "fleet")
        assert finding.grade is grade
    (folder / "thing.json").write_text("{")
    assert found(site, "fleet")[0].grade is Grade.FAILED


def test_a_password_in_the_clear_is_named_at_each_broker(tmp_path: Path) -> None:
    """Whoever listens in the house's network would have it."""
    house = {"broker": {"url": "mqtt://house.example", "username": "u", "throttle": False}}
    site = config(tmp_path, link={"url": "mqtt://cloud.example", "username": "u"}, home_assistant=house)
    said = {one.subject: one.said for one in found(site, "link") if one.grade is Grade.WARNING}
    assert (
        said["mqtt://cloud.example"] == said["mqtt://house.example"] == "messages and the password travel in the clear"
    )
    near = {"broker": {"url": "mqtt://127.0.0.1", "username": "u", "throttle": False}}
    assert [one for one in found(config(tmp_path, home_assistant=near), "link") if one.grade is Grade.WARNING] == []
