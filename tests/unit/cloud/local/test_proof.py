"""The proof that journal and tables agree must hold for what happened, and break for what did not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.local.opening import tables_place
from cloud.local.proof import _kept, prove, prove_file
from cloud.shell.market import writer as writer_module
from cloud.stores import keys
from cloud.stores.registry import save_registry
from cloud.stores.tables import Delete, Item, Put, Table, Tables, prefix
from sitewatt.commands.market import app
from tests.support.cloud.sites import ZONE, house_in
from tests.support.market.shell import INTERVAL, run_events, story


def _line(tables: Tables) -> Item:
    return tables.query(Table.TRADE_DATA, keys.market(ZONE, INTERVAL), **prefix(keys.LEDGER))[0]


@pytest.mark.parametrize("snapshot_every", [500, 3])
def test_a_run_is_proved_from_its_first_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot_every: int
) -> None:
    """Whether the journal was cut or not: archive, journal, snapshot and tables are one story."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", snapshot_every)
    with house_in(tmp_path) as (services, _):
        save_registry(services.stores.tables, services.registry)
        run_events(services, story())
    (proof,) = prove_file(tmp_path / "tables.db")
    assert proof.parted_at is None and proof.agrees
    assert proof.snapshots == (snapshot_every == 3)
    assert (proof.ledger_sum_uct, proof.ledger_sum_wh) == (0, 0)
    assert proof.trades >= 4 and proof.ledger_lines > 8 and proof.items > 20


def test_a_changed_a_missing_and_an_invented_line_are_found(tmp_path: Path) -> None:
    """Whoever alters the ledger in the tables is found out by the journal."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        tables = services.stores.tables
        line = _line(tables)

        def with_body(body: Mapping[str, Any]) -> str:
            tables.put(Put(key=line.key, body=body))
            return str(prove(tables, ZONE).parted_at)

        assert "follows" in with_body({**line.body, "money_uct": line.body["money_uct"] + 1})
        assert with_body(line.body) == "None"
        tables.transact([Delete(key=line.key)])
        assert f"{line.key.sk} follows from the journal and is not in the tables" in str(prove(tables, ZONE).parted_at)
        tables.put(Put(key=line.key, body=line.body))
        invented = keys.trade_item(ZONE, INTERVAL, f"{keys.LEDGER}{999:012d}")
        tables.put(Put(key=invented, body=line.body))
        assert "follows from nothing in the journal" in str(prove(tables, ZONE).parted_at)


def test_events_of_a_gateway_beside_those_of_the_market_are_no_part_of_the_proof(tmp_path: Path) -> None:
    """A reading that is held is told among the site's own events, which follow from no journal."""
    with house_in(tmp_path) as (services, _):
        tables = services.stores.tables
        theirs = keys.site_event("site-1", INTERVAL, 7, 1)
        ours = keys.site_event("site-1", INTERVAL, 0, 4)
        tables.put(Put(key=theirs, body={"phrase": "control alarms changed", "fields": {}}))
        tables.put(Put(key=ours, body={"phrase": "reading held", "fields": {}, "position": 4}))
        kept = _kept(tables, ours.table, ours.pk, after=0, upto=9)
        assert theirs.pk == ours.pk and [key for key, _ in kept] == [ours]


def test_a_changed_order_in_the_journal_is_found(tmp_path: Path) -> None:
    """The tables then hold trades that the journal does not lead to."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        tables = services.stores.tables
        for item in tables.query(Table.MARKET_DATA, keys.market(ZONE, None), **prefix("JOURNAL#")):
            text = json.dumps(item.body)
            if '"op": "order"' in text:
                tables.put(Put(key=item.key, body=json.loads(text.replace("4000", "4001"))))
        assert not prove(tables, ZONE).agrees


def test_the_command_line_proves_a_folder_and_shows_its_markets(tmp_path: Path) -> None:
    """An operator asks with the folder of the run, a program reads the answer."""
    with house_in(tmp_path / "cloud") as (services, _):
        save_registry(services.stores.tables, services.registry)
        run_events(services, story())
    assert tables_place(tmp_path) == tmp_path / "cloud" / "tables.db"
    proved = CliRunner().invoke(app, ["replay", str(tmp_path), "--json"])
    assert proved.exit_code == 0
    assert json.loads(proved.stdout)["zones"][0]["agrees"] is True
    assert "ledger lines, sum 0.00 EUR" in CliRunner().invoke(app, ["replay", str(tmp_path / "cloud")]).stdout
    shown = CliRunner().invoke(app, ["status", "--tables", str(tmp_path), "--json"])
    assert shown.exit_code == 0
    (zone,) = json.loads(shown.stdout)["zones"]
    assert zone["health"]["sound"] and zone["health"]["corrected"] == 1
    assert any(product["state"] == "corrected" for product in zone["status"]["products"])
    assert zone["prices"]["quotes"]
    text = CliRunner().invoke(app, ["status", "--tables", str(tmp_path), "--zone", ZONE]).stdout
    assert "sound, trading" in text and "corrected" in text
    with house_in(tmp_path / "cloud") as (services, _):
        line = _line(services.stores.tables)
        services.stores.tables.transact([Delete(key=line.key)])
    assert CliRunner().invoke(app, ["replay", str(tmp_path)]).exit_code == 1
    assert CliRunner().invoke(app, ["status", "--tables", str(tmp_path / "none")]).exit_code == 2
    assert CliRunner().invoke(app, ["status", "--tables", str(tmp_path), "--zone", "zone-9"]).exit_code == 1
