"""The outbox's tables: of a new file, of one cut off while they were made, of a newer version."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest

from edge.outbox import schema

# As the library that made them before wrote them, one by one.
FORMER = (
    "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)",
    'CREATE TABLE "records" ("id" INTEGER PRIMARY KEY, "channel" TEXT NOT NULL, "seq" INTEGER NOT NULL,'
    ' "class" INTEGER NOT NULL, "at_ms" INTEGER NOT NULL, "bytes" INTEGER NOT NULL, "thinned" INTEGER NOT NULL,'
    ' "payload" BLOB NOT NULL)',
    'CREATE INDEX "idx_records_channel_id" ON "records" ("channel", "id")',
    'CREATE TABLE "counters" ("channel" TEXT PRIMARY KEY, "seq" INTEGER NOT NULL)',
    'CREATE TABLE "state" ("key" TEXT PRIMARY KEY, "value" TEXT NOT NULL)',
    'CREATE TABLE "meta" ("key" TEXT PRIMARY KEY, "value" INTEGER NOT NULL)',
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """Yield a new database."""
    found = sqlite3.connect(":memory:", isolation_level=None)
    yield found
    found.close()


def columns(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return each table's columns and each index's, as SQLite tells them."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE '%migrations%' ORDER BY name")
    return {
        name: connection.execute(f"PRAGMA table_info({name})").fetchall()
        + connection.execute(f"PRAGMA index_info({name})").fetchall()
        for (name,) in names.fetchall()
    }


def version(connection: sqlite3.Connection) -> int:
    """Return the version that the file says it has."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("made", range(len(FORMER) + 1))
def test_a_file_cut_off_while_its_tables_were_made_gets_the_rest(connection: sqlite3.Connection, made: int) -> None:
    """Whatever was there of it, the tables are those of a file that was made in one go, and the same as before."""
    for statement in FORMER[:made]:
        connection.execute(statement)
    schema.migrate(connection)
    assert version(connection) == schema.SCHEMA_VERSION and not connection.in_transaction
    former = sqlite3.connect(":memory:")
    for statement in FORMER:
        former.execute(statement)
    assert columns(connection) == columns(former)


def test_what_cannot_be_made_whole_is_not_begun(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half of the tables would open as a whole one at the next start."""
    monkeypatch.setattr(schema, "_STATEMENTS", (*schema._STATEMENTS[:3], "CREATE TABLE broken"))
    with pytest.raises(sqlite3.OperationalError, match=r"incomplete|syntax"):
        schema.migrate(connection)
    assert columns(connection) == {} and version(connection) == 0 and not connection.in_transaction


def test_the_version_of_a_newer_file_stays(connection: sqlite3.Connection) -> None:
    """After a version was taken back, the one that made the file must not make it again."""
    connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    schema.migrate(connection)
    assert version(connection) == schema.SCHEMA_VERSION + 1 and columns(connection) == {}


def test_control_loads_no_numpy_with_its_first_outbox() -> None:
    """It has no use for it, and what was imported once takes memory for as long as the process runs."""
    code = (
        "import sys, edge.site.control_process; from edge.outbox.store import Store; Store.in_memory();"
        "print({'numpy', 'highspy', 'pandas'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
