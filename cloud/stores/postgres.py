"""The seven tables in PostgreSQL: for a cloud of several processes or machines.

Each table is split by the hash of its partition key. A transaction is sent in one go and its conditions are the rows
that its statements must touch: under READ COMMITTED a statement that waited for another writer looks at its condition
again. Writes are made in the order of their keys, so that two writers seldom stand in each other's way; where they do,
the server ends one of them, which is then made again.

Source: PostgreSQL 15 documentation, 13.2.1 "Read Committed Isolation Level", 13.3.2 "Row-Level Locks", 5.11 "Table
Partitioning"; psycopg 3 documentation, "Pipeline mode support".
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cloud.errors import ConditionFailed, StoreError, Unstorable
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
from contracts.units import epoch_ms

PARTITIONS: Final = 8  # Of each table; made once, so a constant of the schema.
WALK_PAGE: Final = 1000
CONNECT_TIMEOUT_S: Final = 10
CONNECT_EACH_S: Final = 2  # Of several hosts, one that is cut off must leave time for the next within a beat.
# A statement that waits longer than this waits for a writer that hangs; the call fails and is made again.
STATEMENT_TIMEOUT_MS: Final = 30_000
# A connection over which a cut network lets nothing pass says nothing by itself: it ends after so long, below the time
# after which others take over our work. Source: PostgreSQL documentation, 34.1.2 "Parameter Key Words"; tcp(7).
_IDLE_S, _PROBE_S, _PROBES, _UNACKED_MS = 2, 1, 3, 5000
# The same for the server's end: what a client that is cut off in the midst of a transaction has locked would else stay
# locked for two hours, its leases among it. Source: PostgreSQL documentation, 20.3.2 "TCP Settings", 20.11.1.
_SERVER: Final = {
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": _UNACKED_MS,
    "tcp_keepalives_idle": _IDLE_S,
    "tcp_keepalives_interval": _PROBE_S,
    "tcp_keepalives_count": _PROBES,
    "tcp_user_timeout": _UNACKED_MS,
}
# A warning at a commit: it was not waited for that a standby has it, so a lost machine could take it back.
# Source: PostgreSQL source, src/backend/replication/syncrep.c, SyncRepWaitForLSN.
_UNCOPIED: Final = "01000"
_ATTRS: Final = "target_session_attrs"
TRIES_MAX: Final = 8  # Of a transaction that the server ended for another's sake.
_SCHEMA_LOCK: Final = 7_349_001  # Any number, the same in every process: one at a time makes the tables.

# Bytewise order, as every other store sorts.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS "{table}" (
    pk text COLLATE "C" NOT NULL, sk text COLLATE "C" NOT NULL, body text NOT NULL, version bigint NOT NULL,
    gpk text COLLATE "C", gsk text COLLATE "C", expires_s bigint, PRIMARY KEY (pk, sk)
) PARTITION BY HASH (pk);
CREATE INDEX IF NOT EXISTS "{table}-index" ON "{table}" (gpk, gsk) WHERE gpk IS NOT NULL;
CREATE INDEX IF NOT EXISTS "{table}-expiry" ON "{table}" (expires_s) WHERE expires_s IS NOT NULL;
"""
_PARTITION: Final = """
CREATE TABLE IF NOT EXISTS "{table}-{number}" PARTITION OF "{table}"
    FOR VALUES WITH (MODULUS 8, REMAINDER {number}) WITH (fillfactor = 80);
"""
_SET: Final = (
    "body=excluded.body, version=t.version+1, gpk=excluded.gpk, gsk=excluded.gsk, expires_s=excluded.expires_s"
)

_Connection = psycopg.Connection[tuple[Any, ...]]
_Statements = list[tuple[str, list[Any]]]


class PostgresTables:
    """Tables of one database and schema; safe for the threads of one process, each call takes a connection."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._url = url
        self._asked = _readable(url) if read_only else url
        # What the address itself asks for stands first.
        self._options = " ".join([_options(url), *(f"-c {name}={value}" for name, value in _SERVER.items())])
        if read_only:
            self._options += " -c default_transaction_read_only=on"
        self._idle: list[_Connection] = []
        # Connections whose last commit no standby has confirmed; each is in the hands of one thread.
        self._uncopied: set[_Connection] = set()
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, url: str, *, read_only: bool = False) -> "PostgresTables":
        """Connect, and make the tables where they are missing (never when only reading).

        Args:
            url: ``postgresql://USER@HOST[:PORT],…/DATABASE[?…]`` as libpq reads it: several hosts with
                ``target_session_attrs=read-write`` follow the one that takes writes, ``passfile`` names a file with
                the password.
            read_only: Never write, nor make anything.

        Raises:
            StoreError: The database cannot be reached, or does not let us make tables.
        """
        tables = cls(url, read_only=read_only)
        with tables._connected() as connection:
            if read_only:
                connection.execute(f'SELECT 1 FROM "{Table.MARKET_DATA}" LIMIT 1')
                return tables
            parts = [_PARTITION.format(table=table, number=number) for table in Table for number in range(PARTITIONS)]
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
                connection.execute("".join([*(_SCHEMA.format(table=table) for table in Table), *parts]))
        return tables

    @property
    def url(self) -> str:
        """Return the address as it was given; it may hold a password."""
        return self._url

    def get(self, key: Key) -> Item | None:
        """Return an item as it is now."""
        rows = self._read(f'SELECT pk, sk, body, version FROM "{key.table}" WHERE pk=%s AND sk=%s', [key.pk, key.sk])
        return item_of(key.table, rows[0]) if rows else None

    def put(self, put: Put) -> None:
        """Write one item."""
        self.transact([put])

    def put_each(self, puts: Sequence[Put]) -> None:
        """Write items with one flush of the disk, which costs more than all of them."""
        for put in puts:
            check_writes([put])
        if puts:
            self._write(puts)

    def transact(self, writes: Sequence[Write]) -> None:
        """Make up to ``TRANSACT_MAX`` writes on different items, all or none."""
        check_writes(writes)
        if writes:
            self._write(writes)

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
        where, values = between("sk", first, last, mark="%s")
        order = "DESC" if reverse else "ASC"
        rows = self._read(
            f'SELECT pk, sk, body, version FROM "{table}" WHERE pk=%s{where} ORDER BY sk {order} LIMIT %s',
            [pk, *values, limit],
        )
        return [item_of(table, row) for row in rows]

    def query_index(
        self, table: Table, pk: str, *, first: str | None = None, last: str | None = None, limit: int | None = None
    ) -> Sequence[Item]:
        """Return items by their index key."""
        where, values = between("gsk", first, last, mark="%s")
        rows = self._read(
            f'SELECT pk, sk, body, version FROM "{table}" WHERE gpk=%s{where} ORDER BY gsk, pk, sk LIMIT %s',
            [pk, *values, limit],
        )
        return [item_of(table, row) for row in rows]

    def walk(self, table: Table) -> Iterator[Put]:
        """Yield each item of a table as the write that makes it again where nobody wrote since."""
        after = ("", "")
        while rows := self._read(
            f'SELECT pk, sk, body, version, gpk, gsk, expires_s FROM "{table}" WHERE (pk, sk) > (%s, %s)'
            " ORDER BY pk, sk LIMIT %s",
            [*after, WALK_PAGE],
        ):
            yield from (put_of(table, row) for row in rows)
            after = (rows[-1][0], rows[-1][1])

    def forget_expired(self, now: datetime) -> int:
        """Remove the items whose expiry has passed and return how many."""
        removed = 0
        with self._connected() as connection:
            for table in Table:
                removed += connection.execute(
                    f'DELETE FROM "{table}" WHERE expires_s IS NOT NULL AND expires_s <= %s', [epoch_ms(now) // 1000]
                ).rowcount
        return removed

    def close(self) -> None:
        """Release the connections."""
        self._closed = True
        self._drop_idle()

    def _read(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            return connection.execute(sql, values).fetchall()

    def _write(self, writes: Sequence[Write]) -> None:
        """Make writes in one transaction, in the order of their keys; again where the server ended it for another's."""
        fence = FENCE.get()
        ordered = sorted(
            [*writes, *([fence] if fence else [])], key=lambda write: (write.key.table, write.key.pk, write.key.sk)
        )
        statements = [(write, _statements(write)) for write in ordered]
        for number in range(TRIES_MAX):
            try:
                with self._connected() as connection:
                    missed = _made(connection, statements)
                break
            except StoreError as error:
                ended = isinstance(error.__cause__, pg.DeadlockDetected | pg.SerializationFailure)
                if not ended or number == TRIES_MAX - 1:
                    raise
        if missed is not None:
            key, version = missed.key, None if isinstance(missed, Delete) else missed.if_version
            raise ConditionFailed(f"{key.table} {key.pk} {key.sk} has not version {version}; nothing written")

    @contextmanager
    def _connected(self) -> Iterator[_Connection]:
        """Lend a connection; one that was broken, or left in the middle, is not lent again."""
        connection: _Connection | None = None
        try:
            connection = self._lend()
            yield connection
            if connection in self._uncopied:
                raise pg.OperatorIntervention("the standby did not confirm in time; it may be written or not")
        except psycopg.DataError as error:
            if connection is not None:
                connection.close()
            raise Unstorable(f"tables at {where(self._url)} cannot hold it: {_said(error)}; nothing written") from error
        except psycopg.Error as error:
            if connection is not None and connection.broken:
                self._drop_idle()  # A server that ended one has seldom left the others.
            if connection is not None:
                connection.close()
            # A connection that ended at the commit leaves open whether it was made: who tries again finds out.
            raise StoreError(f"tables at {where(self._url)}: {_said(error)}; try again") from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        finally:
            if connection is not None:
                self._uncopied.discard(connection)
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _lend(self) -> _Connection:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        several = "," in where(self._url)
        connection = psycopg.connect(
            self._asked,
            autocommit=True,
            connect_timeout=CONNECT_EACH_S if several else CONNECT_TIMEOUT_S,
            options=self._options,
            keepalives_idle=_IDLE_S,
            keepalives_interval=_PROBE_S,
            keepalives_count=_PROBES,
            tcp_user_timeout=_UNACKED_MS,
        )
        connection.add_notice_handler(lambda said: self._uncopied.add(connection) if _is_uncopied(said) else None)
        return connection


def _readable(url: str) -> str:
    """Return an address for who only reads: his session takes no writes, so it would be refused everywhere.

    Source: PostgreSQL documentation, 34.1.2, ``target_session_attrs``: ``read-write`` looks at the session's default.
    """
    try:
        asked = conninfo_to_dict(url)
        return make_conninfo(url, target_session_attrs="primary") if asked.get(_ATTRS) == "read-write" else url
    except psycopg.Error:
        return url


def _options(url: str) -> str:
    """Return the settings of a session that an address asks for; what cannot be read fails when it is connected."""
    try:
        return str(conninfo_to_dict(url).get("options") or "")
    except psycopg.Error:
        return ""


def where(url: str) -> str:
    """Return a store's address without who uses it, by which password, and how."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _made(connection: _Connection, writes: Sequence[tuple[Write, _Statements]]) -> Write | None:
    """Make writes whole and return ``None``, or make none and return the one whose condition does not hold."""
    if len(writes) == 1 and len(writes[0][1]) == 1:
        ((write, (statement,)),) = writes
        return None if connection.execute(*statement).rowcount >= _rows_min(write) else write
    with connection.pipeline():
        connection.execute("BEGIN")
        cursors = [
            (write, connection.execute(*statements[0]), [connection.execute(*more) for more in statements[1:]])
            for write, statements in writes
        ]
    missed = next((write for write, cursor, _ in cursors if cursor.rowcount < _rows_min(write)), None)
    connection.execute("COMMIT" if missed is None else "ROLLBACK")
    return missed


def _rows_min(write: Write) -> int:
    """Return how many rows the first statement of a write touches where its condition holds."""
    return 0 if isinstance(write, Delete) else 1


def _statements(write: Write) -> _Statements:
    """Return the statements of a write; the first touches a row where the write's condition holds."""
    table, at = f'"{write.key.table}"', [write.key.pk, write.key.sk]
    if isinstance(write, Delete):
        return [(f"DELETE FROM {table} WHERE pk=%s AND sk=%s", at)]
    if isinstance(write, Check):
        if write.if_version:
            return [(f"SELECT 1 FROM {table} WHERE pk=%s AND sk=%s AND version=%s FOR SHARE", [*at, write.if_version])]
        # Nothing can be locked where there is nothing: an item that comes and goes holds off whoever makes one.
        return [
            (f"INSERT INTO {table} (pk, sk, body, version) VALUES (%s, %s, '', 0) ON CONFLICT DO NOTHING", at),
            (f"DELETE FROM {table} WHERE pk=%s AND sk=%s AND version=0", at),
        ]
    values = values_of(write)
    if write.if_version:
        sql = (
            f"UPDATE {table} SET body=%s, version=version+1, gpk=%s, gsk=%s, expires_s=%s"
            " WHERE pk=%s AND sk=%s AND version=%s"
        )
        return [(sql, [*values, *at, write.if_version])]
    conflict = "DO NOTHING" if write.if_version == 0 else f"(pk, sk) DO UPDATE SET {_SET}"
    sql = (
        f"INSERT INTO {table} AS t (pk, sk, body, version, gpk, gsk, expires_s) VALUES (%s, %s, %s, 1, %s, %s, %s)"
        f" ON CONFLICT {conflict}"
    )
    return [(sql, [*at, *values])]


def _is_uncopied(said: pg.Diagnostic) -> bool:
    return said.severity_nonlocalized == "WARNING" and said.sqlstate == _UNCOPIED


def _said(error: psycopg.Error) -> str:
    """Return the first line of what the server or libpq said; it names hosts and users, never a password."""
    return (str(error).splitlines() or [type(error).__name__])[0]
