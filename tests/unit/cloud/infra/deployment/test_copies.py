"""What a stack keeps for good comes back in another Region, as it was."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.errors import DeployError, SetupError
from cloud.infra.deployment.account import Account
from cloud.infra.deployment.copies import COPIED, MANIFEST, StackCopy, copy_out, put_back
from cloud.infra.deployment.registration import registered
from cloud.stores import keys
from cloud.stores.dynamodb import DynamoTables
from cloud.stores.registry import save_registry
from cloud.stores.tables import IndexKey, Item, Key, Put, Table, Tables
from tests.support.cloud.aws import REGION, aws, create_tables
from tests.support.cloud.sites import registry

ELSEWHERE = "eu-west-1"
TRADE = Key(table=Table.TRADE_DATA, pk="MKT#z#1", sk="TRADE#1")


def _account(region: str) -> tuple[Account, DynamoTables]:
    account = Account(stack="sitewatt", region=region)
    client = account.client("dynamodb")
    create_tables(client, prefix=account.prefix)
    for table in COPIED:
        client.update_continuous_backups(
            TableName=account.prefix + table.value,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )
    return account, DynamoTables(client, prefix=account.prefix)


def _judge(tables: Tables) -> tuple[int, int]:
    return len(tables.query(TRADE.table, TRADE.pk)), 0


def _items(tables: Tables) -> list[tuple[str, str, int]]:
    return sorted((put.key.table, put.key.sk, put.if_version or 0) for table in Table for put in tables.walk(table))


def _copied(account: Account, tables: Tables, out: Path) -> StackCopy:
    save_registry(tables, registry())
    for number in range(60):  # More than one batch, and written twice: its version goes along.
        key = Key(table=Table.MARKET_DATA, pk="MKT#z#1", sk=f"ORDER#{number:02d}")
        tables.put(Put(key=key, body={"quantity_wh": number}, index=IndexKey(pk="i", sk=str(number))))
        tables.put(Put(key=key, body={"quantity_wh": -number}, index=IndexKey(pk="i", sk=str(number))))
    tables.put(Put(key=TRADE, body={"price_mct_per_kwh": 21_500}))
    return copy_out(account, out, at=None, judge=_judge, say=lambda _: None)


def test_a_copy_comes_back_in_another_region_item_by_item(tmp_path: Path) -> None:
    """Bodies, versions and index; nothing of the copying stays beside the live tables."""
    with aws():
        (account, tables), (other, others) = _account(REGION), _account(ELSEWHERE)
        told = _copied(account, tables, tmp_path / "copy")
        assert (told.items["market-data"], told.ledger_lines) == (60, 1)
        names = account.client("dynamodb").list_tables()["TableNames"]
        assert sorted(names) == sorted(account.prefix + table.value for table in Table)
        assert put_back(other, tmp_path / "copy", judge=_judge) == told
        assert _items(others) == _items(tables)
        assert others.get(TRADE) == Item(key=TRADE, body={"price_mct_per_kwh": 21_500}, version=1)
        assert len(others.query_index(Table.MARKET_DATA, "i")) == 60
        assert registered(other) == registry()


def test_a_stack_in_which_somebody_takes_part_is_left_alone(tmp_path: Path) -> None:
    """A copy over a living market would undo what was settled since."""
    with aws():
        account, tables = _account(REGION)
        _copied(account, tables, tmp_path / "copy")
        before = _items(tables)
        with pytest.raises(SetupError, match="somebody is registered"):
            put_back(account, tmp_path / "copy", judge=_judge)
        with pytest.raises(SetupError, match="is there already"):
            copy_out(account, tmp_path / "copy", at=None, judge=_judge, say=lambda _: None)
        assert _items(tables) == before


def test_a_copy_that_is_not_whole_is_not_put(tmp_path: Path) -> None:
    """One item less, or no description of it: nothing is written."""
    with aws():
        (account, tables), (other, others) = _account(REGION), _account(ELSEWHERE)
        _copied(account, tables, tmp_path / "copy")
        path = tmp_path / "copy" / "market-data.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
        with pytest.raises(SetupError, match="not what was copied"):
            put_back(other, tmp_path / "copy", judge=_judge)
        (tmp_path / "copy" / MANIFEST).write_text("{}")
        with pytest.raises(SetupError, match="no copy of a stack"):
            put_back(other, tmp_path / "copy", judge=_judge)
        assert _items(others) == []


def test_a_copy_whose_ledger_is_not_sound_is_not_kept(tmp_path: Path) -> None:
    """And one that was put and reads otherwise is told; the tables beside the live ones are gone in any case."""
    with aws():
        (account, tables), (other, _) = _account(REGION), _account(ELSEWHERE)
        save_registry(tables, registry())
        with pytest.raises(DeployError, match="sums to 7"):
            copy_out(account, tmp_path / "copy", at=None, judge=lambda _: (1, 7), say=lambda _: None)
        assert not list(tmp_path.iterdir())
        assert len(account.client("dynamodb").list_tables()["TableNames"]) == len(Table)
        _copied(account, tables, tmp_path / "copy")
        with pytest.raises(DeployError, match="has 3 lines"):
            put_back(other, tmp_path / "copy", judge=lambda _: (3, 0))


def test_the_register_comes_last(tmp_path: Path) -> None:
    """Whoever is cut short finds nobody registered, and gives it again."""
    with aws():
        (account, tables), (other, others) = _account(REGION), _account(ELSEWHERE)
        _copied(account, tables, tmp_path / "copy")
        other.client("dynamodb").delete_table(TableName="sitewatt-trade-data")
        with pytest.raises(DeployError, match="give it again"):
            put_back(other, tmp_path / "copy", judge=_judge)
        assert registered(other) is None and others.get(keys.REGISTRY) is None


def test_a_copy_says_the_second_that_was_asked_for(tmp_path: Path) -> None:
    """In UTC, in its description."""
    with aws():
        account, tables = _account(REGION)
        save_registry(tables, registry())
        at = datetime.now(UTC).replace(microsecond=0)
        copy_out(account, tmp_path / "copy", at=at, judge=_judge, say=lambda _: None)
        assert json.loads((tmp_path / "copy" / MANIFEST).read_text())["at"] == at.isoformat()


def test_a_table_that_cannot_be_removed_is_named_and_hides_nothing(tmp_path: Path) -> None:
    """It is paid for until somebody removes it; why the copy failed is told all the same."""
    told: list[str] = []
    with aws():
        account, tables = _account(REGION)
        save_registry(tables, registry())
        client = account.client("dynamodb")

        def judge(_: Tables) -> tuple[int, int]:
            (name,) = (
                each for each in client.list_tables()["TableNames"] if each.endswith("-trade-data") and "copy" in each
            )
            client.update_table(TableName=name, DeletionProtectionEnabled=True)
            return 1, 7

        with pytest.raises(DeployError, match="sums to 7"):
            copy_out(account, tmp_path / "copy", at=None, judge=judge, say=told.append)
    (left,) = (each for each in told if "remove it by hand" in each)
    assert "-trade-data" in left
