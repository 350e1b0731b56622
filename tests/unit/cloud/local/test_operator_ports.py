"""A private cloud's set-aside records and its fleet, as the operator's skills have them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.errors import SkillError, SkillMissing
from cloud.infra.rules import Stream, consumers_of
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book, Certificate, CertificateState, Thing
from cloud.local.fleet.run import FleetFolder
from cloud.local.operator_ports import fleet_of, set_aside_of
from cloud.local.sqlite_streams import StreamLog
from cloud.local.streams import NewRecord
from cloud.stores.sqlite import SqliteTables

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
METER = consumers_of(Stream.METER)[0]
UPDATE = {"operation": "update", "version": "1.2.3", "signature": "c2ln"}


def with_set_aside(folder: Path, *data: bytes) -> None:
    """Let a folder's meter function have failed on records."""
    streams = StreamLog.open(folder / "streams.db")
    records = [NewRecord(stream=Stream.METER, partition_key="home-1", arrived_at=NOW, data=one) for one in data]
    ((_, shard),) = streams.append(records)
    for record in streams.read(METER, shard):
        streams.set_aside(METER, record, error="energy_import_wh is missing")
        streams.passed(METER, shard, record.seq)
    streams.close()


def with_gateway(folder: Path, *names: str) -> None:
    """Let a folder's fleet have gateways with a certificate each; ``home-1`` where none is named."""
    place = FleetFolder(folder=folder / "fleet")
    book = Book.open(place.book_path)
    authority = LocalAuthority(place.authority_folder)
    for number, name in enumerate(names or ("home-1",), 1):
        issued = authority.issue()
        certificate = Certificate(
            id=issued.certificate_id,
            pem=issued.certificate,
            serial_number=str(issued.serial_number),
            state=CertificateState.ACTIVE,
            thing=name,
        )
        with book.change():
            book.put(Thing(name=name, zone="zone-1", serial=f"SW-{number}", registered_ms=0))
            book.put(certificate)
    book.close()


def test_a_record_is_shown_mended_and_delivered_again_another_dropped(tmp_path: Path) -> None:
    """What a function could not take must not need a terminal on the cloud's machine."""
    with_set_aside(tmp_path, b'{"topic_site": "home-1"}', b"\xff no JSON \x1b[2J")
    port = set_aside_of(tmp_path)
    first, second = port.all()
    assert first.error == "energy_import_wh is missing" and first.partition_key == "home-1"
    assert port.whole(first.id).data == '{"topic_site": "home-1"}'
    assert "\x1b" not in port.whole(second.id).data
    with pytest.raises(SkillError, match="is no message"):
        port.replay(first.id, data="{")
    assert port.replay(first.id, data='{"topic_site": "home-1", "mended": true}').id == first.id
    assert port.drop(second.id).id == second.id
    assert port.all() == []
    with pytest.raises(SkillMissing, match="is not set aside"):
        port.drop(second.id)
    streams = StreamLog.open(tmp_path / "streams.db")
    grown = streams.take_replays(NOW)
    again = [record.data for stream, shard in grown if stream is Stream.METER for record in streams.read(METER, shard)]
    assert again == [b'{"topic_site": "home-1", "mended": true}']
    streams.close()


def test_a_gateway_is_listed_wished_and_updated(tmp_path: Path) -> None:
    """Settings and updates are asked for with the fleet's own words and refusals."""
    tables = SqliteTables.open(tmp_path / "tables.db")
    with_gateway(tmp_path)
    port = fleet_of(tmp_path, tables)
    (row,) = port.gateways()
    assert (row.gateway, row.serial, row.online) == ("home-1", "SW-1", None)
    assert row.certificate_until is not None and row.certificate_until > datetime.now(UTC)
    assert port.want("home-1", "config", {"telemetry": {"period_s": 30}}) == 1
    job = port.update("home-1", UPDATE)
    assert job.state == "QUEUED" and job.job.startswith("update-1-2-3-")
    told = port.gateway("home-1")
    assert [one.id for one in told.jobs] == [job.job]
    assert told.settings[0].desired == '{"telemetry": {"period_s": 30}}'
    with pytest.raises(SkillMissing, match="no gateway home-9"):
        port.want("home-9", "config", {"a": 1})
    with pytest.raises(SkillError, match="no signed update"):
        port.update("home-1", {**UPDATE, "signature": ""})
    with pytest.raises(SkillError, match="above 8192"):
        port.want("home-1", "config", {"a": "x" * 9_000})
    tables.close()


def test_a_folder_without_files_says_so(tmp_path: Path) -> None:
    """A recorded run has no fleet."""
    tables = SqliteTables.open(tmp_path / "tables.db")
    for ask in (set_aside_of(tmp_path).all, fleet_of(tmp_path, tables).gateways):
        with pytest.raises(SkillError, match="kept here"):
            ask()
    tables.close()
