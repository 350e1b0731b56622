"""Who goes is gone from everything that is kept, and nobody else's figures move."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from cloud.errors import SetupError
from cloud.handlers import lake as lake_handler
from cloud.handlers import status as status_handler
from cloud.handlers import telemetry as telemetry_handler
from cloud.infra.rules import Stream
from cloud.local.proof import prove
from cloud.local.report import ledger
from cloud.local.sqlite_streams import StreamLog
from cloud.local.streams import NewRecord
from cloud.shell import services as shell_services
from cloud.shell.market import writer as writer_module
from cloud.shell.market.journal import Journal
from cloud.shell.market.reading import read_fold
from cloud.shell.market.snapshots import Snapshots
from cloud.shell.market.statements import statements
from cloud.shell.persons import erasure
from cloud.shell.persons.erasure import erase
from cloud.shell.persons.names import Renaming
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.registry import Registry, ZoneRecord, read_registry, save_registry
from cloud.stores.s3 import S3Lake
from cloud.stores.serials import admit
from cloud.stores.setup import Stores
from cloud.stores.tables import Put, Table, Tables
from contracts.market import Side
from contracts.telemetry import StatusMessage
from contracts.topics import Up
from sitewatt.commands.cloud import app
from tests.support.cloud.aws import BUCKET, aws_account
from tests.support.cloud.sites import (
    START,
    ZONE,
    Recorder,
    batch,
    build_house,
    house_in,
    registry,
    registry_data,
    telemetry,
    write_config,
)  # fmt: skip
from tests.support.market.shell import Event, order_of, orders_at, run_events, story, tick_at

GONE = "home-1"
NAME = re.compile(rf"(?<![a-z0-9-]){GONE}(?![0-9])")
DOC = Path(__file__).parents[5] / "docs" / "operations.md"


def _without() -> Registry:
    raw = registry_data()
    return read_registry({**raw, "sites": [one for one in raw["sites"] if one["id"] != GONE]}, where="test")


def _life() -> list[Event]:
    """Return a traded and settled product, with measurements, a status, and raw samples of two homes."""
    values: dict[str, list[float | None]] = {"meter/active_power_w": [100.0, 200.0]}
    told = [telemetry(site, 1, START, values) for site in (GONE, "home-2")]
    return [
        *story(),
        (telemetry_handler.handler, batch(Up.TELEMETRY, *told, at=START)),
        (lake_handler.handler, batch(Up.TELEMETRY, *told, at=START)),
        (status_handler.handler, batch(Up.STATUS, StatusMessage(site=GONE, online=True, at=START), at=START)),
    ]


@contextmanager
def _on_aws(_folder: Path) -> Iterator[Services]:
    with aws_account() as tables:
        services = build_house(Stores(tables=tables, lake=S3Lake(boto3.client("s3"), bucket=BUCKET)), Recorder())
        shell_services.install(services)
        try:
            yield services
        finally:
            shell_services.install(None)


@contextmanager
def _here(folder: Path) -> Iterator[Services]:
    with house_in(folder) as (services, _):
        yield services


@pytest.fixture
def services(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A neighbourhood with a past, whose journal is partly archived."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 3)
    with getattr(request, "param", _here)(tmp_path) as made:
        save_registry(made.stores.tables, registry())
        admit(made.stores.tables, serial="card-1", site=GONE, zone=ZONE)
        run_events(made, _life())
        yield made


def _named(tables: Tables) -> list[str]:
    """Return every place in which the name still stands, packed ones too."""
    found = [str(put) for table in Table for put in tables.walk(table) if NAME.search(str(put))]
    history = Journal(tables, ZONE).history()
    found += [f"journal {position}" for position, inputs in history if NAME.search(json.dumps(inputs))]
    return found + (["snapshot"] if NAME.search(json.dumps(Snapshots(tables, ZONE).load())) else [])


def _bills(tables: Tables) -> Any:
    zone = ZoneRecord(id=ZONE)
    return {one.site: one for one in statements(tables, zone, month=START.date(), site=None) if one.site != GONE}


@pytest.mark.parametrize(
    "services", [_here, pytest.param(_on_aws, marks=pytest.mark.nightly)], ids=["files", "aws"], indirect=True
)
def test_a_person_is_gone_and_the_ledger_is_the_same(services: Services) -> None:
    """Every balance of the others, every bill and both sums stand; the market goes on with who is left."""
    tables, lake = services.stores.tables, services.stores.lake
    before, bills, sums = read_fold(tables, ZONE), _bills(tables), ledger(tables, [ZONE])
    assert before is not None and len(_named(tables)) > 20
    save_registry(tables, _without())
    done = erase(tables, lake, _without(), GONE, at=START)
    assert _named(tables) == []
    assert [one.site for one in lake.read(zone=ZONE, day=START)] == ["home-2"] * 2
    assert (done.samples, done.removed > 5, done.renamed > 5) == (2, True, True)
    after = read_fold(tables, ZONE)
    assert after is not None
    was, now = before.engine.balances(), after.engine.balances()
    assert was.pop(GONE) == now.pop(done.stand_in) and was == now
    assert done.balance_uct == before.engine.balances()[GONE][0]
    left = _bills(tables)
    assert {site: bill for site, bill in left.items() if site != done.stand_in} == bills
    assert ledger(tables, [ZONE]) == sums and (sums["sum"], sums["energy_sum"]) == (0, 0)
    assert prove(tables, ZONE).agrees
    registered = tables.get(keys.REGISTRY)
    assert registered is not None
    assert [one["id"] for one in registered.body["sites"]] == ["farm", "factory", "home-2"]
    again = erase(tables, lake, _without(), GONE, at=START)
    assert (again.removed, again.renamed, again.samples) == (0, 0, 0)


def test_a_warm_writer_forgets_the_name_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions run on while a name is taken out: the memory of one must not bring it back with its next snapshot."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 3)
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        tables = services.stores.tables
        done = erase(tables, services.stores.lake, _without(), GONE, at=START)
        writer = services.memory[f"market {ZONE}"]
        # The registry in a warm function is up to a minute old: the market knows who left by the new one.
        services.memory[f"market {ZONE}"] = _with_registry(writer, _without())
        later = [
            tick_at(36),
            orders_at(37, order_of("farm", 3, Side.SELL, 100, 9_000), order_of("home-2", 1, Side.BUY, 100, 9_000)),
            *(tick_at(minutes) for minutes in (38, 52, 67, 82)),
        ]
        run_events(services, later)
        assert _named(tables) == []
        proof = prove(tables, ZONE)
        assert proof.agrees and proof.entries > 10, proof
        assert done.stand_in in read_fold(tables, ZONE).engine.balances()  # type: ignore[union-attr]


def _with_registry(writer: Any, who: Registry) -> Any:
    writer._participants = [writer_module._participant(site) for site in who.sites_in(ZONE)]
    return writer


def test_work_that_was_cut_short_goes_on_with_the_same_word(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the books would hold two strangers instead of one."""
    tables, lake = services.stores.tables, services.stores.lake
    save_registry(tables, _without())
    moved, count = erasure._moved, 0

    def cut(before: Put, after: Put) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return moved(before, after)

    monkeypatch.setattr(erasure, "_moved", cut)
    with pytest.raises(KeyboardInterrupt):
        erase(tables, lake, _without(), GONE, at=START)
    item = tables.get(keys.erasure(GONE))
    assert item is not None
    done = erase(tables, lake, _without(), GONE, at=START)
    assert done.stand_in == item.body["stand_in"]
    assert _named(tables) == [] and prove(tables, ZONE).agrees
    assert len({one for one in read_fold(tables, ZONE).engine.balances() if one.startswith("gone-")}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("site", "who", "word"),
    [
        (GONE, registry, "take it out of the registry first"),
        ("meter", _without, "name of something else"),
        (ZONE, _without, "name of something else"),
    ],
)
def test_what_must_not_be_erased_is_refused_before_anything_is(
    services: Services, site: str, who: Any, word: str
) -> None:
    """A site that still sends, and a name that is also a word of the books."""
    before = [list(services.stores.tables.walk(table)) for table in Table]
    with pytest.raises(SetupError, match=word):
        erase(services.stores.tables, services.stores.lake, who(), site, at=START)
    assert [list(services.stores.tables.walk(table)) for table in Table] == before


def test_a_site_with_open_trades_is_not_erased(tmp_path: Path) -> None:
    """Its energy is still to come: without its name nobody could settle it."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story()[:3])
        with pytest.raises(SetupError, match=r"home-1 has orders, trades or a claim for 2026-03-17T12:15"):
            erase(services.stores.tables, services.stores.lake, _without(), GONE, at=START)


def test_longer_names_that_begin_alike_stay() -> None:
    """``home-1`` goes, ``home-11`` does not, nor an order of another that reads alike."""
    names = Renaming(site="home-1", stand_in="gone-0a")
    body = {
        "site": "home-1",
        "order_id": "home-1-29-buy-1",
        "near": "home-11",
        "say": "site home-1: home-1/home-1-29-buy-1",
    }
    names.gather(body)
    assert names.value(body) == {
        "site": "gone-0a",
        "order_id": "gone-0a-29-buy-1",
        "near": "home-11",
        "say": "site gone-0a: gone-0a/gone-0a-29-buy-1",
    }
    assert names.text("home-1-2") == "home-1-2"


def test_the_owner_goes_with_the_last_site_of_theirs() -> None:
    """An owner's name is more of a person than a site's."""
    names = Renaming(site="home-1", stand_in="gone-0a", owner="Anna Example")
    registered = {"op": "register", "participant": {"site": "home-1", "owner": "Anna Example"}}
    assert "Anna" not in json.dumps(names.value(registered))


def test_the_commands_of_a_private_cloud_leave_no_trace_in_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the operator types, as the page on operations shows it: exported, erased, and not a byte left."""
    config = write_config(tmp_path, port=1)
    with house_in(tmp_path / "cloud") as (services, _):
        save_registry(services.stores.tables, registry())
        run_events(services, _life())
    streams = StreamLog.open(tmp_path / "cloud/streams.db")
    for site in (GONE, "farm"):
        data = json.dumps({"topic_site": site}).encode()
        streams.append([NewRecord(stream=Stream.STATUS, partition_key=site, arrived_at=START, data=data)])
    streams.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cloud.shell.persons.erasure.secrets.token_hex", lambda _: "5d1a0c94be27")
    typed = []

    def run(*arguments: str, expect: int = 0) -> str:
        done = CliRunner().invoke(app, [*arguments, "--config", "cloud.yaml"])
        assert done.exit_code == expect, done.output
        typed.append(f"$ sitewatt cloud {' '.join(arguments)} --config cloud.yaml\n{done.output}")
        return done.output

    run("export", "--site", GONE, "--out", "home-1.zip")
    with zipfile.ZipFile(tmp_path / "home-1.zip") as archive:
        records = [json.loads(line) for line in archive.read("records.jsonl").splitlines()]
        samples = list(csv.DictReader(io.StringIO(archive.read("samples.csv").decode())))
    assert [float(row["value"]) for row in samples] == [100.0, 200.0]
    assert {record["table"] for record in records} >= {"energy-metrics", "trade-data", "market-data", "grid-metrics"}
    assert not any(other in json.dumps(records) for other in ("home-2", "factory", "farm"))
    assert (tmp_path / "home-1.zip").stat().st_mode & 0o077 == 0
    run("erase", "--site", GONE, expect=2)
    run("erase", "--site", GONE, "--yes", expect=2)
    raw = yaml.safe_load(config.read_text())
    raw["registry"]["sites"] = [one for one in raw["registry"]["sites"] if one["id"] != GONE]
    config.write_text(yaml.safe_dump(raw))
    run("erase", "--site", GONE, "--yes")
    run("export", "--site", GONE, "--out", "again.zip", expect=2)
    for path in (tmp_path / "cloud").rglob("*"):
        assert path.is_dir() or not NAME.search(path.read_bytes().decode(errors="replace")), path
    transcript = "".join(typed)
    assert transcript in DOC.read_text(encoding="utf-8"), transcript
    streams = StreamLog.open(tmp_path / "cloud/streams.db")
    assert streams.counters()["waiting"] == 1
    streams.close()
