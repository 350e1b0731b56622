"""A private cloud comes back from its copy: the same intervals, the same ledger, and it goes on from there."""

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.errors import StoreError
from cloud.infra.rules import Stream
from cloud.local.report import read_report
from cloud.local.sqlite_streams import StreamLog
from cloud.local.streams import NewRecord
from cloud.stores.registry import save_registry
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Key, Put, Table
from sitewatt.commands.cloud import app
from tests.support.cloud.sites import START, house_in, registry, write_config
from tests.support.market.shell import run_events, story


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The settings of a cloud in which a product was traded and settled."""
    path = write_config(tmp_path, port=1)
    with house_in(tmp_path / "cloud") as (services, _):
        save_registry(services.stores.tables, registry())
        run_events(services, story())
    streams = StreamLog.open(tmp_path / "cloud/streams.db")
    streams.append([NewRecord(stream=Stream.STATUS, partition_key="farm", arrived_at=START, data=b"{}")])
    streams.close()
    (tmp_path / "cloud/lake/zone=z").mkdir(parents=True)
    (tmp_path / "cloud/lake/zone=z/a.parquet").write_bytes(b"raw")
    return path


def _run(*arguments: str, expect: int = 0) -> dict[str, object]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == expect, done.output
    answer: dict[str, object] = json.loads(done.output)
    return answer


def test_a_copy_made_while_others_write_comes_back_whole(config: Path, tmp_path: Path) -> None:
    """The writer goes on through the copy; what comes back is one instant of it, and settles to zero."""
    folder, copy = tmp_path / "cloud", tmp_path / "copy"
    before, stop, written = read_report(folder), threading.Event(), 0

    def write() -> None:
        nonlocal written
        tables = SqliteTables.open(folder / "tables.db", power_safe=False)
        while not stop.is_set() or not written:
            written += 1
            key = Key(table=Table.ENERGY_METRICS, pk="BUSY", sk=f"{written:09d}")
            tables.put(Put(key=key, body={"text": "x" * 500}))
        tables.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = _run("backup", "--config", str(config), "--out", str(copy))
    finally:
        stop.set()
        writer.join()
    assert written and made["ledger_sum"] == 0 and made["ledger_lines"] == before.ledger["lines"] > 0
    assert _run("restore", "--config", str(config), "--from", str(copy), expect=2)["error"]
    folder.rename(tmp_path / "lost")
    assert _run("restore", "--config", str(config), "--from", str(copy))["files"] == made["files"]
    assert read_report(folder) == before
    assert (folder / "lake/zone=z/a.parquet").read_bytes() == b"raw"
    assert (folder / "tables.db").stat().st_mode & 0o077 == 0, "nobody else reads what a household uses"
    with house_in(folder) as (services, _):
        run_events(services, story()[-1:])
    assert read_report(folder).ledger["sum"] == 0


def test_a_damaged_copy_is_refused_before_a_file_is_put(config: Path, tmp_path: Path) -> None:
    """Half a cloud would start, and settle from what it has."""
    copy = tmp_path / "copy"
    _run("backup", "--config", str(config), "--out", str(copy))
    assert _run("backup", "--config", str(config), "--out", str(copy), expect=2)["error"]
    (tmp_path / "cloud").rename(tmp_path / "lost")
    data = bytearray((copy / "tables.db").read_bytes())
    data[5000] ^= 1
    (copy / "tables.db").write_bytes(data)
    error = _run("restore", "--config", str(config), "--from", str(copy), expect=1)["error"]
    assert "not what was copied; nothing restored" in json.dumps(error)
    assert not (tmp_path / "cloud").exists()
    (copy / "manifest.json").unlink()
    assert "is no copy" in json.dumps(_run("restore", "--config", str(config), "--from", str(copy), expect=2))


def test_a_ledger_that_does_not_sum_to_zero_is_not_taken_for_a_copy(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy before it is the one to keep."""
    from cloud.local import backup

    monkeypatch.setattr(backup, "ledger", lambda *_: {"sum": 7, "energy_sum": 0, "lines": 1})
    with pytest.raises(StoreError, match="sums to 7"):
        backup.back_up(tmp_path / "cloud", tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))


def test_where_no_cloud_has_run_there_is_nothing_to_copy(tmp_path: Path) -> None:
    """A wrong path must not give an empty copy that looks like one."""
    path = write_config(tmp_path, port=1)
    assert "no cloud has run there" in json.dumps(
        _run("backup", "--config", str(path), "--out", str(tmp_path / "c"), expect=2)
    )
