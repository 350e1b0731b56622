"""The ordered streams in one SQLite file: the embedded default.

A message is acknowledged, to the broker and to the site, once it is on the disk in here: neither a killed process nor a
power cut loses one. ``StreamLog`` is the file, used by one thread; ``SqliteStreams`` is the same behind the protocol.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cloud.errors import StoreError
from cloud.infra.rules import CONSUMERS, Consumer, Stream
from cloud.local.streams import Grown, NewRecord, SetAside, StreamRecord, shard_of, site_of
from cloud.stores.private_files import private_database
from contracts.reasons import reason_of
from contracts.units import epoch_ms, instant

SHARDS: Final = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY, stream TEXT NOT NULL, shard INTEGER NOT NULL,
    partition_key TEXT NOT NULL, arrived_ms INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_shard ON records (stream, shard, seq);
CREATE TABLE IF NOT EXISTS checkpoints (
    handler TEXT NOT NULL, shard INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (handler, shard)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_aside (
    handler TEXT NOT NULL, seq INTEGER NOT NULL, partition_key TEXT NOT NULL, arrived_ms INTEGER NOT NULL,
    data BLOB NOT NULL, error TEXT NOT NULL, PRIMARY KEY (handler, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replays (
    handler TEXT NOT NULL, seq INTEGER NOT NULL, partition_key TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (handler, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""


class StreamLog:
    """All streams in one file; used by one thread."""

    def __init__(self, connection: sqlite3.Connection, *, last_seq: int) -> None:
        self._connection = connection
        self._last_seq = last_seq

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> "StreamLog":
        """Open the file, creating it where it is missing (never when only reading).

        Raises:
            StoreError: It cannot be opened.
        """
        try:
            if not read_only:
                private_database(path)
            uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                # What a power cut takes of the checkpoints is delivered again; records are synced, see ``_write``.
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executescript(_SCHEMA)
            last = connection.execute(
                "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM records UNION ALL SELECT seq FROM checkpoints)"
            ).fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"stream file {path} cannot be opened: {reason_of(error)}") from error
        return cls(connection, last_seq=int(last))

    def append(self, records: Sequence[NewRecord]) -> set[Grown]:
        """Append records in their order, all or none, and return the shards that have grown.

        Raises:
            StoreError: The file could not be written; none was appended.
        """
        rows, seq = [], self._last_seq
        for record in records:
            arrived_ms = epoch_ms(record.arrived_at)
            # Numbers rise over restarts even where the file was removed, so that names made of them stay unique.
            seq = max(seq + 1, arrived_ms * 1000)
            shard = shard_of(record.partition_key, SHARDS)
            rows.append((seq, record.stream.value, shard, record.partition_key, arrived_ms, record.data))
        self._write("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows, synced=True)
        self._last_seq = seq
        return {(record.stream, shard_of(record.partition_key, SHARDS)) for record in records}

    def read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        """Return the records that a consumer has not passed, oldest first, at most one batch."""
        rows = self._ask(
            "SELECT seq, partition_key, arrived_ms, data FROM records WHERE stream=? AND shard=? AND seq>?"
            " ORDER BY seq LIMIT ?",
            [consumer.stream.value, shard, self._checkpoint(consumer.handler, shard), consumer.records_max],
        )
        return [StreamRecord(seq=row[0], partition_key=row[1], arrived_at=instant(row[2]), data=row[3]) for row in rows]

    def passed(self, consumer: Consumer, shard: int, seq: int) -> None:
        """Note that a consumer is done with all records up to one."""
        self._write(
            "INSERT INTO checkpoints VALUES (?, ?, ?) ON CONFLICT (handler, shard) DO UPDATE SET"
            " seq=max(seq, excluded.seq)",
            [(consumer.handler, shard, seq)],
        )

    def set_aside(self, consumer: Consumer, record: StreamRecord, *, error: str) -> None:
        """Keep a record that a function could not take, for someone to look at."""
        self._write(
            "INSERT OR REPLACE INTO set_aside VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    consumer.handler,
                    record.seq,
                    record.partition_key,
                    epoch_ms(record.arrived_at),
                    record.data,
                    error[:2000],
                )
            ],
            synced=True,
        )

    def all_set_aside(self) -> list[SetAside]:
        """Return every record that was set aside, the oldest first."""
        rows = self._ask(
            "SELECT handler, seq, partition_key, arrived_ms, data, error FROM set_aside ORDER BY seq, handler"
        )
        return [
            SetAside(
                handler=row[0],
                record=StreamRecord(seq=row[1], partition_key=row[2], arrived_at=instant(row[3]), data=row[4]),
                error=row[5],
            )
            for row in rows
        ]

    def drop(self, one: SetAside) -> None:
        """Forget a record that was set aside.

        Raises:
            StoreError: The file could not be written.
        """
        self._write("DELETE FROM set_aside WHERE handler=? AND seq=?", [(one.handler, one.record.seq)])

    def ask_replay(self, one: SetAside, data: bytes) -> None:
        """Let the running cloud, or the next to start, deliver a record again, as it was or repaired.

        Raises:
            StoreError: The file could not be written.
        """
        record = one.record
        self._write(
            "INSERT OR REPLACE INTO replays VALUES (?, ?, ?, ?)",
            [(one.handler, record.seq, record.partition_key, data)],
            synced=True,
        )
        self.drop(one)

    def take_replays(self, at: datetime) -> set[Grown]:
        """Append what is to be delivered again, and return the shards that have grown.

        A kill between the two steps delivers a record twice, which every function bears.

        Raises:
            StoreError: The file could not be written.
        """
        rows = self._ask("SELECT handler, seq, partition_key, data FROM replays ORDER BY seq")
        streams = {consumer.handler: consumer.stream for consumer in CONSUMERS}
        again = [
            NewRecord(stream=streams[row[0]], partition_key=row[2], arrived_at=at, data=row[3])
            for row in rows
            if row[0] in streams
        ]
        if not rows:
            return set()
        grown = self.append(again)
        self._write("DELETE FROM replays WHERE handler=? AND seq=?", [(row[0], row[1]) for row in rows])
        return grown

    def trim(self) -> int:
        """Forget the records that every consumer of their stream has passed, and return how many.

        Raises:
            StoreError: The file could not be written.
        """
        passed: list[tuple[object, ...]] = []
        for stream in Stream:
            handlers = [consumer.handler for consumer in CONSUMERS if consumer.stream is stream]
            for shard in range(SHARDS):
                oldest = min((self._checkpoint(handler, shard) for handler in handlers), default=0)
                passed.append((stream.value, shard, oldest))
        return self._write("DELETE FROM records WHERE stream=? AND shard=? AND seq<=?", passed)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what happened outside the streams."""
        self._write(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count=count+excluded.count",
            [(name, by)],
        )

    def counters(self) -> dict[str, int]:
        """Return every counter, how many records wait, and how many were set aside."""
        found = dict(self._ask("SELECT name, count FROM counters"))
        found["set_aside"] = self._ask("SELECT count(*) FROM set_aside")[0][0]
        found["waiting"] = self._ask("SELECT count(*) FROM records")[0][0]
        return found

    def not_passed(self, consumer: Consumer) -> list[bytes]:
        """Return the records that a consumer has not passed yet, and those of its that were set aside."""
        rows: list[bytes] = []
        for shard in range(SHARDS):
            rows += (
                row[0]
                for row in self._ask(
                    "SELECT data FROM records WHERE stream=? AND shard=? AND seq>?",
                    [consumer.stream.value, shard, self._checkpoint(consumer.handler, shard)],
                )
            )
        aside = self._ask("SELECT data FROM set_aside WHERE handler=?", [consumer.handler])
        return rows + [row[0] for row in aside]

    def forget(self, site: str) -> int:
        """Remove what a site sent and nobody has taken yet, and what was set aside of it; return how many there were.

        Raises:
            StoreError: The file could not be written.
        """
        removed = 0
        for table, key in (("records", "seq"), ("set_aside", "handler, seq"), ("replays", "handler, seq")):
            rows = self._ask(f"SELECT data, {key} FROM {table}")
            found = [tuple(row[1:]) for row in rows if site_of(row[0]) == site]
            places = ", ".join("?" * (key.count(",") + 1))
            self._write(f"DELETE FROM {table} WHERE ({key}) = ({places})", found, synced=True)
            removed += len(found)
        try:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise StoreError(f"streams cannot be written anew: {error}") from error
        return removed

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def _checkpoint(self, handler: str, shard: int) -> int:
        rows = self._ask("SELECT seq FROM checkpoints WHERE handler=? AND shard=?", [handler, shard])
        return int(rows[0][0]) if rows else 0

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"streams cannot be read: {error}") from error

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]], *, synced: bool = False) -> int:
        """Write in one transaction and return how many rows changed.

        Args:
            synced: Return when a power cut cannot take it back.
        """
        try:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            changed = self._connection.executemany(sql, rows).rowcount
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # What failed already is told, not what it left undone.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise StoreError(f"streams cannot be written: {error}; nothing written") from error
        return changed


class SqliteStreams:
    """The file behind the protocol: its calls are short enough to be made within the loop that asks."""

    look_again_s: float | None = None  # One process has the file, and is told by its own appends.

    def __init__(self, log: StreamLog) -> None:
        self._log = log

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> "SqliteStreams":
        """Open the file, creating it where it is missing (never when only reading).

        Raises:
            StoreError: It cannot be opened.
        """
        return cls(StreamLog.open(path, read_only=read_only))

    @property
    def shards(self) -> int:
        """Return into how many shards each stream is split."""
        return SHARDS

    async def append(self, records: Sequence[NewRecord]) -> set[Grown]:
        """Append records in their order, all or none."""
        return self._log.append(records)

    async def follow(self, grown: Callable[[Grown], None]) -> None:
        """Wait for ever: no other process appends."""
        await asyncio.Event().wait()

    async def read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        """Return the records that a consumer has not passed, oldest first, at most one batch."""
        return self._log.read(consumer, shard)

    async def passed(self, consumer: Consumer, shard: int, seq: int) -> None:
        """Note that a consumer is done with all records up to one."""
        self._log.passed(consumer, shard, seq)

    async def set_aside(self, consumer: Consumer, record: StreamRecord, *, error: str) -> None:
        """Keep a record that a function could not take, for someone to look at."""
        self._log.set_aside(consumer, record, error=error)

    async def all_set_aside(self) -> list[SetAside]:
        """Return every record that was set aside, the oldest first."""
        return self._log.all_set_aside()

    async def drop(self, record: SetAside) -> None:
        """Forget a record that was set aside."""
        self._log.drop(record)

    async def ask_replay(self, record: SetAside, data: bytes) -> None:
        """Let the running cloud, or the next to start, deliver a record again."""
        self._log.ask_replay(record, data)

    async def take_replays(self, at: datetime) -> set[Grown]:
        """Append what is to be delivered again, and return what has grown."""
        return self._log.take_replays(at)

    async def trim(self) -> int:
        """Forget the records that every consumer of their stream has passed, and return how many."""
        return self._log.trim()

    async def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what happened outside the streams."""
        self._log.count(name, by)

    async def counters(self) -> dict[str, int]:
        """Return every counter, how many records wait, and how many were set aside."""
        return self._log.counters()

    async def not_passed(self, consumer: Consumer) -> list[bytes]:
        """Return the records that a consumer has not passed yet, and those of its that were set aside."""
        return self._log.not_passed(consumer)

    async def forget(self, site: str) -> int:
        """Remove what a site sent and nobody has taken yet, and what was set aside of it; return how many."""
        return self._log.forget(site)

    async def close(self) -> None:
        """Release the file."""
        self._log.close()
