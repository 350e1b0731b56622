"""The ordered streams, kept in a file: what stands where Kinesis stands.

A message is acknowledged, to the broker and to the site, once it is on the disk in here: neither a killed process nor a
power cut loses one. Each consumer has a checkpoint of its own in each shard; a record is forgotten when all consumers
of its stream have passed it. What a function has failed too often is set aside with its last error.
"""

import json
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cloud.errors import StoreError
from cloud.infra.rules import CONSUMERS, Consumer, Stream
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


@dataclass(frozen=True, kw_only=True)
class NewRecord:
    """What is to be appended to a stream."""

    stream: Stream
    partition_key: str
    arrived_at: datetime
    data: bytes

    @property
    def shard(self) -> int:
        """Return where the partition key belongs, the same in every process."""
        return zlib.crc32(self.partition_key.encode()) % SHARDS


@dataclass(frozen=True, kw_only=True)
class StreamRecord:
    """A record as a consumer reads it."""

    seq: int
    partition_key: str
    arrived_at: datetime
    data: bytes


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A record that a function could not take, and what it said."""

    handler: str
    record: StreamRecord
    error: str

    @property
    def id(self) -> str:
        """Return the name by which a person speaks of it."""
        return f"{self.handler.rpartition('.')[2]}:{self.record.seq}"


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

    def append(self, records: Sequence[NewRecord]) -> set[tuple[Stream, int]]:
        """Append records in their order, all or none, and return the shards that have grown.

        Raises:
            StoreError: The file could not be written; none was appended.
        """
        rows, seq = [], self._last_seq
        for record in records:
            # Numbers rise over restarts even where the file was removed, so that names made of them stay unique.
            seq = max(seq + 1, epoch_ms(record.arrived_at) * 1000)
            rows.append(
                (seq, record.stream.value, record.shard, record.partition_key, epoch_ms(record.arrived_at), record.data)
            )
        self._write("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows, synced=True)
        self._last_seq = seq
        return {(record.stream, record.shard) for record in records}

    def read(self, consumer: Consumer, shard: int) -> list[StreamRecord]:
        """Return the records that a consumer has not passed, oldest first, at most one batch."""
        rows = self._connection.execute(
            "SELECT seq, partition_key, arrived_ms, data FROM records WHERE stream=? AND shard=? AND seq>?"
            " ORDER BY seq LIMIT ?",
            [consumer.stream.value, shard, self._checkpoint(consumer.handler, shard), consumer.records_max],
        ).fetchall()
        return [StreamRecord(seq=row[0], partition_key=row[1], arrived_at=instant(row[2]), data=row[3]) for row in rows]

    def passed(self, consumer: Consumer, shard: int, seq: int) -> None:
        """Note that a consumer is done with all records up to one."""
        self._write("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", [(consumer.handler, shard, seq)])

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
        rows = self._connection.execute(
            "SELECT handler, seq, partition_key, arrived_ms, data, error FROM set_aside ORDER BY seq, handler"
        ).fetchall()
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

    def take_replays(self, at: datetime) -> set[tuple[Stream, int]]:
        """Append what is to be delivered again, and return the shards that have grown.

        A kill between the two steps delivers a record twice, which every function bears.

        Raises:
            StoreError: The file could not be written.
        """
        rows = self._connection.execute("SELECT handler, seq, partition_key, data FROM replays ORDER BY seq").fetchall()
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
        """Forget the records that every consumer of their stream has passed, and return how many."""
        removed = 0
        for stream in Stream:
            handlers = [consumer.handler for consumer in CONSUMERS if consumer.stream is stream]
            for shard in range(SHARDS):
                oldest = min((self._checkpoint(handler, shard) for handler in handlers), default=0)
                removed += self._connection.execute(
                    "DELETE FROM records WHERE stream=? AND shard=? AND seq<=?", [stream.value, shard, oldest]
                ).rowcount
        return removed

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of what happened outside the streams."""
        self._write(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count=count+excluded.count",
            [(name, by)],
        )

    def counters(self) -> dict[str, int]:
        """Return every counter, how many records wait, and how many were set aside."""
        found = dict(self._connection.execute("SELECT name, count FROM counters").fetchall())
        found["set_aside"] = self._connection.execute("SELECT count(*) FROM set_aside").fetchone()[0]
        found["waiting"] = self._connection.execute("SELECT count(*) FROM records").fetchone()[0]
        return found

    def not_passed(self, consumer: Consumer) -> list[bytes]:
        """Return the records that a consumer has not passed yet, and those of its that were set aside."""
        rows: list[bytes] = []
        for shard in range(SHARDS):
            rows += (
                row[0]
                for row in self._connection.execute(
                    "SELECT data FROM records WHERE stream=? AND shard=? AND seq>?",
                    [consumer.stream.value, shard, self._checkpoint(consumer.handler, shard)],
                )
            )
        aside = self._connection.execute("SELECT data FROM set_aside WHERE handler=?", [consumer.handler])
        return rows + [row[0] for row in aside]

    def forget(self, site: str) -> int:
        """Remove what a site sent and nobody has taken yet, and what was set aside of it; return how many there were.

        Raises:
            StoreError: The file could not be written.
        """
        removed = 0
        for table, key in (("records", "seq"), ("set_aside", "handler, seq"), ("replays", "handler, seq")):
            rows = self._connection.execute(f"SELECT data, {key} FROM {table}").fetchall()
            found = [tuple(row[1:]) for row in rows if _site_of(row[0]) == site]
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
        row = self._connection.execute(
            "SELECT seq FROM checkpoints WHERE handler=? AND shard=?", [handler, shard]
        ).fetchone()
        return int(row[0]) if row else 0

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]], *, synced: bool = False) -> None:
        """Write in one transaction; ``synced`` returns when a power cut cannot take it back."""
        try:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(sql, rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreError(f"streams cannot be written: {error}; nothing written") from error


def _site_of(data: bytes) -> str | None:
    """Return whose a record is, ``None`` where it does not say."""
    try:
        return str(json.loads(data)["topic_site"])
    except (ValueError, KeyError, TypeError):
        return None
