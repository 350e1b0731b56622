"""One set of promises, held by every implementation of the tables."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cloud.errors import ConditionFailed, StoreError, Unstorable
from cloud.stores.postgres import PostgresTables
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import (
    FENCE,
    TRANSACT_MAX,
    Check,
    Delete,
    Forgetting,
    IndexKey,
    Key,
    Put,
    Table,
    Tables,
    chunks,
    prefix,
)
from tests.support.cloud.aws import moto_tables
from tests.support.cloud.servers import postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresTables]:
    """Tables in a PostgreSQL of its own."""
    with postgres_server() as url:
        store = PostgresTables.open(url)
        yield store
        store.close()


@pytest.fixture(params=["sqlite", "dynamodb", "postgresql"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tables]:
    """Every implementation, one after the other."""
    if request.param == "sqlite":
        store = SqliteTables.open(tmp_path / "tables.db")
        yield store
        store.close()
    elif request.param == "postgresql":
        shared: PostgresTables = request.getfixturevalue("postgres")
        for table in Table:
            for put in list(shared.walk(table)):
                shared.transact([Delete(key=put.key)])
        yield shared
    else:
        with moto_tables() as dynamo:
            yield dynamo


def _key(sk: str, *, pk: str = "GW#site-1#20260317", table: Table = Table.ENERGY_METRICS) -> Key:
    return Key(table=table, pk=pk, sk=sk)


def _put(sk: str, body: dict[str, Any] | None = None, **more: Any) -> Put:
    return Put(key=_key(sk), body=body or {"n": 1}, **more)


def test_what_was_put_is_read_back_with_ints_as_ints(tables: Tables) -> None:
    """Settlement compares integers; a store that turns them into floats or decimals corrupts money."""
    body = {"wh": -(10**15), "w": -1.5, "text": "ä", "none": None, "flag": True, "list": [1, {"x": 0}], "empty": {}}
    tables.put(_put("a", body))
    item = tables.get(_key("a"))
    assert item is not None
    assert item.body == body
    assert isinstance(item.body["wh"], int) and isinstance(item.body["w"], float)
    assert item.body["flag"] is True
    assert item.version == 1


def test_every_write_raises_the_version(tables: Tables) -> None:
    """Writers that read the same version must find out about each other."""
    for expected in (1, 2, 3):
        tables.put(_put("a", {"n": expected}))
        item = tables.get(_key("a"))
        assert item is not None and item.version == expected


def test_a_put_that_expects_nothing_is_refused_where_something_is(tables: Tables) -> None:
    """This is what makes a repeated delivery harmless."""
    tables.put(_put("a", {"n": 1}, if_version=0))
    with pytest.raises(ConditionFailed):
        tables.put(_put("a", {"n": 2}, if_version=0))
    item = tables.get(_key("a"))
    assert item is not None and item.body == {"n": 1}


def test_a_put_that_expects_a_version_is_refused_at_another(tables: Tables) -> None:
    """Two writers at once: the second must read again."""
    tables.put(_put("a"))
    tables.put(_put("a", {"n": 2}, if_version=1))
    with pytest.raises(ConditionFailed):
        tables.put(_put("a", {"n": 3}, if_version=1))
    with pytest.raises(ConditionFailed):
        tables.put(_put("b", {"n": 3}, if_version=1))
    assert tables.get(_key("b")) is None


def test_a_transaction_writes_all_or_nothing(tables: Tables) -> None:
    """A trade without its ledger line must never be seen."""
    tables.put(_put("fence", {"epoch": 1}))
    with pytest.raises(ConditionFailed):
        tables.transact([_put("x"), _put("y"), Check(key=_key("fence"), if_version=7)])
    assert tables.get(_key("x")) is None
    other = Key(table=Table.TRADE_DATA, pk="MKT#z", sk="TRADE#1")
    tables.transact([_put("x"), Put(key=other, body={"wh": 1}), Check(key=_key("fence"), if_version=1)])
    assert tables.get(_key("x")) is not None
    assert tables.get(other) is not None


def test_writes_one_by_one_are_all_made_and_a_failing_one_is_told(tables: Tables) -> None:
    """What comes after the failing one must not be there: a note that is last says that all before it stands."""
    many = [_put(f"{number:03d}") for number in range(TRANSACT_MAX + 5)]
    tables.put_each(many)
    assert len(tables.query(many[0].key.table, many[0].key.pk)) == len(many)
    with pytest.raises(ConditionFailed):
        tables.put_each([_put("b"), _put("000", if_version=0), _put("note")])
    assert tables.get(_key("note")) is None


def test_a_deleted_item_is_gone_and_deleting_again_is_no_error(tables: Tables) -> None:
    """Clean-up may be repeated after a crash."""
    tables.put(_put("a"))
    tables.transact([Delete(key=_key("a"))])
    tables.transact([Delete(key=_key("a"))])
    assert tables.get(_key("a")) is None


def test_a_query_returns_one_partition_in_order(tables: Tables) -> None:
    """The newest issue, the last day of a site and the journal are all range queries."""
    for sk in ("A#2", "A#1", "B#1", "A#3"):
        tables.put(_put(sk, {"sk": sk}))
    tables.put(Put(key=_key("A#9", pk="GW#other#20260317"), body={"sk": "no"}))
    pk = _key("").pk

    def found(**arguments: Any) -> list[str]:
        return [item.key.sk for item in tables.query(Table.ENERGY_METRICS, pk, **arguments)]

    assert found() == ["A#1", "A#2", "A#3", "B#1"]
    assert found(**prefix("A#")) == ["A#1", "A#2", "A#3"]
    assert found(first="A#2", last="A#3") == ["A#2", "A#3"]
    assert found(first="A#3") == ["A#3", "B#1"]
    assert found(last="A#1") == ["A#1"]
    assert found(reverse=True, limit=2) == ["B#1", "A#3"]
    assert found(first="C") == []


def test_an_item_is_found_by_its_index_key(tables: Tables) -> None:
    """A participant asks for its own trades of a month, over all products."""
    for number, site in enumerate(["site-1", "site-2", "site-1"]):
        key = Key(table=Table.TRADE_DATA, pk=f"MKT#z#{number}", sk=f"TRADE#{number}")
        tables.put(Put(key=key, body={"n": number}, index=IndexKey(pk=f"{site}#202603", sk=f"{number:03d}")))
    found = tables.query_index(Table.TRADE_DATA, "site-1#202603")
    assert [item.body["n"] for item in found] == [0, 2]
    assert [item.body["n"] for item in tables.query_index(Table.TRADE_DATA, "site-1#202603", first="001")] == [2]
    tables.put(Put(key=found[0].key, body={"n": 9}))
    assert [item.body["n"] for item in tables.query_index(Table.TRADE_DATA, "site-1#202603")] == [2]


def test_a_walk_yields_every_item_as_the_write_that_makes_it_again(tables: Tables) -> None:
    """What must find everything of a person finds it, with its index and its expiry, whatever its key."""
    expires_at = datetime(2026, 3, 18, tzinfo=UTC)
    index = IndexKey(pk="site-1", sk="1")
    puts = [_put("a", {"n": 1.5}), Put(key=_key("b", pk="other"), body={}, index=index, expires_at=expires_at)]
    tables.put_each(puts)
    tables.put(puts[0])
    walked = {put.key: put for put in tables.walk(Table.ENERGY_METRICS)}
    assert walked[puts[0].key] == Put(key=puts[0].key, body={"n": 1.5}, if_version=2)
    assert walked[puts[1].key] == Put(key=puts[1].key, body={}, index=index, expires_at=expires_at, if_version=1)
    for put in walked.values():
        tables.put(put)
    assert len(walked) == 2 and list(tables.walk(Table.TRADE_DATA)) == []


def test_floats_are_refused_where_money_and_energy_are_kept(tables: Tables) -> None:
    """The ledger must sum to zero exactly."""
    for table in (Table.MARKET_DATA, Table.TRADE_DATA):
        with pytest.raises(Unstorable, match="float"):
            tables.put(Put(key=_key("a", table=table), body={"legs": [{"uct": 1.0}]}))


def test_a_transaction_beyond_the_bound_is_refused(tables: Tables) -> None:
    """What works on the embedded store must work in the cloud."""
    writes = [_put(f"{number:03d}") for number in range(TRANSACT_MAX + 1)]
    with pytest.raises(Unstorable, match="above 100"):
        tables.transact(writes)
    with pytest.raises(Unstorable, match="twice"):
        tables.transact([_put("a"), _put("a")])
    assert tables.query(Table.ENERGY_METRICS, _key("").pk) == []


def test_what_is_not_json_or_too_large_is_refused(tables: Tables) -> None:
    """An item that one store takes and the other cannot would only fail in production."""
    with pytest.raises(Unstorable, match="not JSON"):
        tables.put(_put("a", {"x": float("nan")}))
    with pytest.raises(Unstorable, match="bytes"):
        tables.put(_put("a", {"x": "y" * 400_000}))


def test_chunks_keep_the_last_write_to_a_key() -> None:
    """Projections are written in pieces, and a later state of an order replaces an earlier one."""
    writes = [_put(f"{number:03d}", {"n": number}) for number in range(150)]
    split = list(chunks([*writes, _put("000", {"n": 999})]))
    assert [len(part) for part in split] == [100, 50]
    assert split[0][0].body == {"n": 999}


@pytest.mark.parametrize("tables", ["sqlite", "postgresql"], indirect=True)
def test_what_has_expired_is_forgotten(tables: Tables) -> None:
    """A machine that runs for years must not fill its disk with minutes."""
    store = tables
    assert isinstance(store, Forgetting)
    now = datetime(2026, 3, 17, 12, tzinfo=UTC)
    store.put(_put("old", expires_at=now))
    store.put(_put("new", expires_at=now + timedelta(days=1)))
    store.put(_put("kept"))
    assert store.forget_expired(now) == 1
    assert [item.key.sk for item in store.query(Table.ENERGY_METRICS, _key("").pk)] == ["kept", "new"]


def test_sqlite_is_read_by_another_process_while_it_is_open(tmp_path: Path) -> None:
    """The report and the operator look into a running system."""
    writer = SqliteTables.open(tmp_path / "tables.db")
    writer.put(_put("a"))
    reader = SqliteTables.open(tmp_path / "tables.db", read_only=True)
    assert reader.get(_key("a")) is not None
    with pytest.raises(StoreError):
        reader.put(_put("b"))
    writer.put(_put("c"))
    assert reader.get(_key("c")) is not None
    reader.close()
    writer.close()


def test_a_missing_file_is_not_created_by_a_reader(tmp_path: Path) -> None:
    """A report about nothing must say so."""
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteTables.open(tmp_path / "none.db", read_only=True)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("tables", ["sqlite", "postgresql"], indirect=True)
def test_nothing_is_written_under_a_fence_that_was_taken(tables: Tables) -> None:
    """A process that was thought dead and is not must change nothing that another works on."""
    fence = _key("fence", pk="FENCED")
    tables.put(Put(key=fence, body={"holder": "one"}))

    def write() -> None:
        tables.put(_put("a"))
        tables.put_each([_put("b"), _put("b")])
        tables.transact([_put("c"), Delete(key=_key("a"))])

    work = copy_context()
    work.run(FENCE.set, Check(key=fence, if_version=1))
    work.run(write)
    assert [item.key.sk for item in tables.query(Table.ENERGY_METRICS, _key("").pk)] == ["b", "c"]
    tables.put(Put(key=fence, body={"holder": "two"}))
    for late in (
        lambda: tables.put(_put("x")),
        lambda: tables.put_each([_put("x")]),
        lambda: tables.transact([Delete(key=_key("b"))]),
    ):
        with pytest.raises(ConditionFailed):
            work.run(late)
    assert [item.key.sk for item in tables.query(Table.ENERGY_METRICS, _key("").pk)] == ["b", "c"]


def test_writers_at_once_find_out_about_each_other_in_postgresql(postgres: PostgresTables) -> None:
    """Each of many threads raises one number as often as it says; none overwrites what another wrote."""
    key = _key("counter", pk="AT#ONCE")

    def raise_it(_number: int) -> int:
        lost = 0
        while True:
            item = postgres.get(key)
            body, version = ({"n": item.body["n"] + 1}, item.version) if item else ({"n": 1}, 0)
            try:
                postgres.transact([Put(key=key, body=body, if_version=version), _put(f"by-{_number}")])
                return lost
            except ConditionFailed:
                lost += 1

    with ThreadPoolExecutor(8) as threads:
        lost = sum(threads.map(raise_it, range(80)))
    item = postgres.get(key)
    assert item is not None and (item.body["n"], item.version) == (80, 80)
    assert lost > 0, "no two writers met, so nothing was shown"


def test_what_must_not_be_there_does_not_come_between_in_postgresql(postgres: PostgresTables) -> None:
    """Two transactions that each demand that the other's item is missing: one of them is refused."""
    for number in range(40):
        left, right = _key("left", pk=f"PAIR#{number}"), _key("right", pk=f"PAIR#{number}")
        start = threading.Barrier(2)

        def write(mine: Key, other: Key, start: threading.Barrier = start) -> bool:
            start.wait(60)
            try:
                postgres.transact([Put(key=mine, body={"n": 1}), Check(key=other, if_version=0)])
            except ConditionFailed:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            outcomes = [
                one.result() for one in (threads.submit(write, left, right), threads.submit(write, right, left))
            ]
        assert sorted(outcomes) == [False, True]
        assert len(postgres.query(left.table, left.pk)) == 1


def test_a_connection_that_the_server_ended_fails_one_call_of_postgresql(postgres: PostgresTables) -> None:
    """A server that restarts costs one try, not the process."""
    postgres.put(_put("before"))
    with psycopg.connect(postgres.url, autocommit=True) as session:
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with pytest.raises(StoreError, match="try again"):
        postgres.put(_put("while"))
    postgres.put(_put("after"))
    assert postgres.get(_key("after")) is not None


def test_a_database_that_is_not_there_is_named_without_its_password() -> None:
    """The log of a start that failed is read by many."""
    with pytest.raises(StoreError, match=r"tables at 127\.0\.0\.1:1/sw:") as refused:
        PostgresTables.open("postgresql://someone:secret@127.0.0.1:1/sw")
    assert "secret" not in str(refused.value) and "someone" not in str(refused.value)


def test_a_session_of_postgresql_ends_by_itself_when_its_client_is_cut_off(postgres: PostgresTables) -> None:
    """What it has locked would stay locked for two hours, leases among it; what an address asks for stands too."""
    tables = PostgresTables(f"{postgres.url}?options=-csearch_path%3Dsomewhere")
    wanted = {
        "idle_in_transaction_session_timeout": "5s", "statement_timeout": "30s", "tcp_user_timeout": "5000",
        "tcp_keepalives_idle": "2", "tcp_keepalives_count": "3", "search_path": "somewhere",
    }  # fmt: skip
    with tables._connected() as connection:
        found = {name: connection.execute(f"SHOW {name}").fetchall()[0][0] for name in wanted}
    tables.close()
    assert found == wanted


def test_who_only_reads_is_served_by_an_address_that_follows_the_writes(postgres: PostgresTables) -> None:
    """The report of a cloud with a standby was refused by every server: a session that reads takes no writes."""
    postgres.put(_put("told"))
    tables = PostgresTables.open(f"{postgres.url}?target_session_attrs=read-write", read_only=True)
    assert tables.get(_key("told")) is not None
    with pytest.raises(StoreError, match="read-only"):
        tables.put(_put("never"))
    tables.close()
