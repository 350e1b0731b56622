"""Files that an earlier version wrote are read by this one: outboxes, tables, streams, configurations."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.local.config import load_config as load_cloud
from cloud.local.proof import prove_file
from cloud.local.report import read_report
from cloud.local.sqlite_streams import StreamLog
from contracts.clock import SystemClock
from contracts.telemetry import TelemetryMessage
from contracts.topics import Up
from contracts.units import ClockTrust
from edge.config import load_config
from edge.outbox.outbox import Outbox
from edge.outbox.store import Store
from edge.site.stored_state import adopt_state_of_before
from sitewatt.commands.market import app as market

ARCHIVE = Path(__file__).parents[1] / "data" / "stored_state_0.1.0.tar.xz"
CONTROLS = ("commands.", "grid.", "relays.", "evidence", "device/", "fleet.wanted")
GATEWAYS = ("factory", "feeder-1", "home-1", "solar-farm")


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Path]:
    """Unpack the state as its run left it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    for path in tmp_path.glob("*.yaml"):
        path.write_text(path.read_text(encoding="utf-8").replace("FOLDER", str(tmp_path)), encoding="utf-8")
    yield tmp_path


@pytest.mark.parametrize("name", GATEWAYS)
def test_an_outbox_of_the_version_before_goes_on_in_its_epoch(stored: Path, name: str) -> None:
    """An upgrade neither numbers anew nor loses what waits, and what it remembers is still there."""
    path = stored / "state" / name / "journal.db"
    with closing(Store.open(path, bytes_max=1 << 30)) as store:
        epoch, counters = store.epoch(), store.counters()
    with closing(Outbox.open(path, site=name, clock=SystemClock())) as outbox:
        assert outbox.epoch == epoch
        assert outbox.stats().last_error is None
        outbox.append(Up.TELEMETRY, lambda epoch, seq: _telemetry(name, epoch=epoch, seq=seq))
        outbox.flush()
        assert outbox.read(Up.TELEMETRY, limit=1_000)[-1].seq == counters[Up.TELEMETRY] + 1


@pytest.mark.parametrize("name", GATEWAYS)
def test_what_control_remembered_in_the_one_store_of_before_is_in_its_own(stored: Path, name: str) -> None:
    """The gate's numbers, running limits and proof outlive the upgrade that makes two processes of one, once."""
    folder = stored / "state" / name
    with closing(Store.open(folder / "journal.db", bytes_max=1 << 30)) as store:
        before = {key: value for key, value in store.state().items() if key.startswith(CONTROLS)}
    for attempt in ("first", "again"):
        with closing(Outbox.open(folder / "control.db", site=name, clock=SystemClock())) as outbox:
            taken = adopt_state_of_before(outbox, folder / "journal.db")
            assert taken == (len(before) if attempt == "first" else 0)
            if attempt == "first":
                outbox.remember("commands.gate", {"later": True})
    with closing(Store.open(folder / "control.db", bytes_max=1 << 30)) as store:
        now = store.state()
        assert {key: now[key] for key in before if key != "commands.gate"} == {
            key: value for key, value in before.items() if key != "commands.gate"
        }
        assert now["commands.gate"] == '{"later":true}', "what is newer stays"


def test_state_of_before_that_was_half_copied_is_copied_again(stored: Path) -> None:
    """A store that cannot be read now may be readable at the next start; until then nothing is noted as done."""
    folder = stored / "state" / "home-1"
    (folder / "control.db").unlink(missing_ok=True)
    journal = (folder / "journal.db").read_bytes()
    (folder / "journal.db").write_bytes(b"no database" * 100)
    with closing(Outbox.open(folder / "control.db", site="home-1", clock=SystemClock())) as outbox:
        assert adopt_state_of_before(outbox, folder / "journal.db") == 0
    (folder / "journal.db").write_bytes(journal)
    with closing(Outbox.open(folder / "control.db", site="home-1", clock=SystemClock())) as outbox:
        assert adopt_state_of_before(outbox, folder / "journal.db") > 0


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_configuration_of_the_version_before_is_accepted(stored: Path, name: str) -> None:
    """A gateway must start after its upgrade without anybody on site."""
    assert load_config(stored / f"{name}.yaml").site.id == name


def test_the_tables_of_the_version_before_are_read_and_the_journal_leads_to_them_again(stored: Path) -> None:
    """The rules that settled an interval then must settle it the same way now, to the last unit."""
    report = read_report(load_cloud(stored / "cloud.yaml").folder)
    assert any(interval["settled"] for interval in report.intervals)
    assert (report.ledger["sum"], report.ledger["energy_sum"]) == (0, 0)
    (proof,) = prove_file(stored / "cloud" / "tables.db")
    assert proof.parted_at is None and proof.agrees
    assert proof.trades > 0 and proof.ledger_lines > 0


def test_a_market_of_the_version_before_moves_to_the_present_rules_and_its_journal_says_so(stored: Path) -> None:
    """An operator gets the honest imbalance price without a new market, and the proof still holds."""
    folder = str(stored / "cloud")
    shown = json.loads(CliRunner().invoke(market, ["rules", "show", folder, "--json"]).stdout)
    (zone,) = shown["zones"]
    assert zone["edition"] == 1
    assert zone["a_move_changes"]["imbalance"][1] == "spread"
    words = ["--zone", zone["zone"], "--by", "ann", "--reason", "the members agreed"]
    moved = CliRunner().invoke(market, ["rules", "move", folder, *words])
    assert moved.exit_code == 0, moved.output
    assert "settles by edition 3 from now on, says ann" in moved.stdout
    again = CliRunner().invoke(market, ["rules", "move", folder, *words])
    assert again.exit_code == 2 and "there is no later one" in again.output
    (proof,) = prove_file(stored / "cloud" / "tables.db")
    assert proof.parted_at is None and proof.agrees


def test_the_streams_of_the_version_before_open(stored: Path) -> None:
    """Records that waited during an upgrade are delivered after it."""
    with closing(StreamLog.open(stored / "cloud" / "streams.db")) as streams:
        assert streams.counters()["set_aside"] == 0


def _telemetry(site: str, *, epoch: int, seq: int) -> TelemetryMessage:
    now = SystemClock().now()
    return TelemetryMessage(
        site=site, epoch=epoch, seq=seq, sent_at=now, base_at=now, clock=ClockTrust.SYNCED, series=()
    )
