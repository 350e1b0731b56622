"""The seven tables in one SQLite file: the embedded default.

One connection writes, under a lock, because SQLite has one writer anyway; other processes may read the file at any
time (write-ahead log). A write that returned survives the end of the process and of the machine.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cloud.errors import ConditionFailed, StoreError, Unstorable
from cloud.stores.private_files import private_database
from cloud.stores.sql_rows import between, item_of, put_of, values_of
from cloud.stores.tables import (
    FENCE,
    Check,
    Delete,
    Item,
    Key,
    Put,
    Table,
    Write,
    check_writes,
)
from contracts.reasons import reason_of
from contracts.units import epoch_ms

BUSY_TIMEOUT_S: Final = 10.0
WALK_PAGE: Final = 1000  # Items read at a time, so that who writes meanwhile waits for no more.

_SCHEMA = """
CREATE TABLE IF NOT EXISTS "{table}" (
    pk TEXT NOT NULL, sk TEXT NOT NULL, body TEXT NOT NULL, version INTEGER NOT NULL,
    gpk TEXT, gsk TEXT, expires_s INTEGER, PRIMARY KEY (pk, sk)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS "{table}-index" ON "{table}" (gpk, gsk) WHERE gpk IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{table}-expiry" ON "{table}" (expires_s) WHERE expires_s IS NOT NULL;
"""


class SqliteTables:
    """Tables in a file; safe for the threads of one process."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False, power_safe: bool = True) -> "SqliteTables":
        """Open the file, creating it and its tables where they are missing (never when only reading).

        Args:
            path: The file.
            read_only: Never write, nor create anything.
            power_safe: What was written survives a power cut; without, it survives only the end of the process.

        Raises:
            StoreError: The file cannot be opened.
        """
        try:
            if not read_only:
                private_database(path)
            uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA synchronous={'FULL' if power_safe else 'NORMAL'}")
                schema = "".join(_SCHEMA.format(table=table.value) for table in Table)
                connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"table file {path} cannot be opened: {reason_of(error)}") from error
        return cls(connection)

    def get(self, key: Key) -> Item | None:
        """Return an item as it is now."""
        rows = self._read(f'SELECT pk, sk, body, version FROM "{key.table}" WHERE pk=? AND sk=?', [key.pk, key.sk])
        return item_of(key.table, rows[0]) if rows else None

    def put(self, put: Put) -> None:
        """Write one item."""
        self.transact([put])

    def put_each(self, puts: Sequence[Put]) -> None:
        """Write items with one flush of the disk, which costs more than all of them."""
        for put in puts:
            check_writes([put])
        if puts:
            with self._writing() as connection:
                for put in puts:
                    _apply(connection, put)

    def transact(self, writes: Sequence[Write]) -> None:
        """Make up to ``TRANSACT_MAX`` writes on different items, all or none."""
        check_writes(writes)
        with self._writing() as connection:
            for write in writes:
                _apply(connection, write)

    def query(
        self,
        table: Table,
        pk: str,
        *,
        first: str | None = None,
        last: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Sequence[Item]:
        """Return a partition's items in the order of their sort keys, from ``first`` to ``last``, both included."""
        where, values = between("sk", first, last, mark="?")
        order = "DESC" if reverse else "ASC"
        rows = self._read(
            f'SELECT pk, sk, body, version FROM "{table}" WHERE pk=?{where} ORDER BY sk {order} LIMIT ?',
            [pk, *values, -1 if limit is None else limit],
        )
        return [item_of(table, row) for row in rows]

    def query_index(
        self, table: Table, pk: str, *, first: str | None = None, last: str | None = None, limit: int | None = None
    ) -> Sequence[Item]:
        """Return items by their index key."""
        where, values = between("gsk", first, last, mark="?")
        rows = self._read(
            f'SELECT pk, sk, body, version FROM "{table}" WHERE gpk=?{where} ORDER BY gsk, pk, sk LIMIT ?',
            [pk, *values, -1 if limit is None else limit],
        )
        return [item_of(table, row) for row in rows]

    def walk(self, table: Table) -> Iterator[Put]:
        """Yield each item of a table as the write that makes it again where nobody wrote since."""
        after = ("", "")
        while rows := self._read(
            f'SELECT pk, sk, body, version, gpk, gsk, expires_s FROM "{table}" WHERE (pk, sk) > (?, ?)'
            " ORDER BY pk, sk LIMIT ?",
            [*after, WALK_PAGE],
        ):
            yield from (put_of(table, row) for row in rows)
            after = (rows[-1][0], rows[-1][1])

    def scrub(self) -> None:
        """Write the file anew, so that nothing of what was deleted is left in its free pages or its log.

        Raises:
            StoreError: Somebody holds the file for longer than a write waits, or the disk is full.
        """
        try:
            with self._lock:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(f"tables cannot be written anew: {error}") from error

    def forget_expired(self, now: datetime) -> int:
        """Remove the items whose expiry has passed and return how many; DynamoDB does this by itself."""
        removed = 0
        with self._writing() as connection:
            for table in Table:
                removed += connection.execute(
                    f'DELETE FROM "{table}" WHERE expires_s IS NOT NULL AND expires_s <= ?', [epoch_ms(now) // 1000]
                ).rowcount
        return removed

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def _read(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"tables cannot be read: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                if (fence := FENCE.get()) is not None:
                    _apply(self._connection, fence)
                yield self._connection
                self._connection.execute("COMMIT")
            except (sqlite3.DataError, OverflowError) as error:
                self._roll_back()
                raise Unstorable(f"tables cannot hold it: {error}; nothing written") from error
            except sqlite3.Error as error:
                self._roll_back()
                raise StoreError(f"tables cannot be written: {error}; nothing written") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # What failed already is told, not what it left undone.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _apply(connection: sqlite3.Connection, write: Write) -> None:
    table, at = write.key.table, [write.key.pk, write.key.sk]
    if isinstance(write, Delete):
        connection.execute(f'DELETE FROM "{table}" WHERE pk=? AND sk=?', at)
        return
    if write.if_version is not None:
        row = connection.execute(f'SELECT version FROM "{table}" WHERE pk=? AND sk=?', at).fetchone()
        found = row[0] if row else 0
        if found != write.if_version:
            raise ConditionFailed(
                f"{table} {write.key.pk} {write.key.sk} has version {found}, not {write.if_version}; nothing written"
            )
    if isinstance(write, Check):
        return
    connection.execute(
        f'INSERT INTO "{table}" (pk, sk, body, version, gpk, gsk, expires_s) VALUES (?, ?, ?, 1, ?, ?, ?)'
        " ON CONFLICT (pk, sk) DO UPDATE SET body=excluded.body, version=version+1,"
        " gpk=excluded.gpk, gsk=excluded.gsk, expires_s=excluded.expires_s",
        [*at, *values_of(write)],
    )
