"""The outbox's file: one SQLite database, one writer, every change one transaction.

Write-ahead log with ``synchronous=FULL``: what ``write`` has returned from survives a power cut. Source:
sqlite.org/pragma.html#pragma_synchronous (in WAL mode NORMAL may lose the last transactions, FULL does not).
"""

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from contracts.reasons import reason_of
from contracts.topics import Up
from contracts.units import epoch_ms, instant
from edge.errors import OutboxCorrupt, OutboxError, OutboxFull, OutboxInUse
from edge.outbox.move import copy_beside
from edge.outbox.move import finish as finish_move
from edge.outbox.records import Record, RecordClass
from edge.outbox.schema import migrate
from edge.private_files import private_database

log = logging.getLogger(__name__)

_WAL_BYTES_MAX = 4 * 1024 * 1024
# Beside a reader the log cannot begin anew; above this the file is moved out from under the reader.
LOG_BYTES_MAX = 16 * 1024 * 1024
# A file up to this size is checked while it is opened, in some seconds on a slow card; a larger one while it is used.
CHECKED_AT_ONCE_BYTES_MAX = 64 * 1024 * 1024
_PAGE_BYTES = 4096
# Indexes, free pages, half-filled pages, and the tables beside the records.
_HEADROOM_SHARE = 1.3
_HEADROOM_PAGES = 64
_IDS_PER_DELETE = 500  # SQLite's bound on variables in one statement was 999 before 3.32.
_COLUMNS = "id, channel, seq, class, at_ms, payload"


@dataclass(kw_only=True)
class Batch:
    """What one transaction changes."""

    records: Sequence[Record] = ()
    acknowledged: Iterable[int] = ()
    counters: Mapping[Up, int] = field(default_factory=dict)
    state: Mapping[str, str | None] = field(default_factory=dict)
    thinned: Sequence[Record] = ()
    epoch: int | None = None
    keep_existing: bool = False


class Store:
    """One outbox file, or a database in memory that behaves the same.

    The file has two connections: ``write`` may run in a thread of its own for as long as the card takes, and what is
    read meanwhile is what was committed before.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None,
        lock: IO[bytes] | None,
        reading: sqlite3.Connection | None = None,
        *,
        bytes_max: int = 0,
        check_due: bool = False,
    ) -> None:
        self._connection = connection
        self._reading = reading or connection
        self._path = path
        self._lock = lock
        self._bytes_max = bytes_max
        self._log_bytes_max = LOG_BYTES_MAX
        self._former: list[sqlite3.Connection] = []
        self._moves = 0
        self.check_due = check_due
        self._checking: sqlite3.Connection | None = None
        self._check_ended = False

    @classmethod
    def open(cls, path: Path, *, bytes_max: int) -> "Store":
        """Open or create an outbox file and check it where its last user did not close it.

        A large file is not checked yet: ``check_due`` says so, and ``check`` does it.

        Raises:
            OutboxInUse: Another process has it open.
            OutboxCorrupt: It is not an outbox, or is damaged.
            OutboxError: It can be neither read nor written.
        """
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _locked(path)
            try:
                finish_move(path)
                _made_private(path)
                left_open = _left_open(path)
                at_once = path.stat().st_size <= CHECKED_AT_ONCE_BYTES_MAX
                connection = _connect(path)
                try:
                    _prepare(connection, path, bytes_max=bytes_max, check=left_open and at_once)
                    reading = _connect(path)
                except BaseException:
                    connection.close()
                    raise
            except BaseException:
                lock.close()
                raise
        return cls(connection, path, lock, reading, bytes_max=bytes_max, check_due=left_open and not at_once)

    @classmethod
    def in_memory(cls) -> "Store":
        """Return a store that lasts as long as the process."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(connection)
        return cls(connection, None, None)

    def epoch(self) -> int | None:
        """Return the epoch under which messages are numbered, ``None`` in a new file."""
        row = self._query("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        return None if row is None else int(row[0])

    def counters(self) -> dict[Up, int]:
        """Return the last number given in each channel."""
        return {Up(channel): int(seq) for channel, seq in self._query("SELECT channel, seq FROM counters")}

    def last_id(self) -> int:
        """Return the highest id in use, zero when there is none."""
        return int(self._query("SELECT COALESCE(MAX(id), 0) FROM records").fetchone()[0])

    def totals(self) -> dict[RecordClass, tuple[int, int]]:
        """Return how many records and payload bytes each class holds."""
        rows = self._query("SELECT class, COUNT(*), SUM(bytes) FROM records GROUP BY class")
        return {RecordClass(key): (int(count), int(total)) for key, count, total in rows}

    def state(self) -> dict[str, str]:
        """Return the remembered values, as JSON text."""
        return {str(key): str(value) for key, value in self._query("SELECT key, value FROM state")}

    def recall(self, key: str) -> str | None:
        """Return one remembered value, as JSON text."""
        row = self._query("SELECT value FROM state WHERE key = ?", key).fetchone()
        return None if row is None else str(row[0])

    def read(self, channel: Up, *, after_id: int, upto_id: int, limit: int) -> list[Record]:
        """Return records of one channel in their order."""
        sql = f"SELECT {_COLUMNS} FROM records WHERE channel = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?"
        return [_record(row) for row in self._query(sql, channel.value, after_id, upto_id, limit)]

    def oldest(self, record_class: RecordClass, *, limit: int, unthinned: bool = False) -> list[Record]:
        """Return the oldest records of a class."""
        more = "AND thinned = 0" if unthinned else ""
        sql = f"SELECT {_COLUMNS} FROM records WHERE class = ? {more} ORDER BY id LIMIT ?"
        return [_record(row) for row in self._query(sql, int(record_class), limit)]

    def older_than(self, record_class: RecordClass, *, at_ms: int, limit: int) -> list[Record]:
        """Return records of a class from before an instant."""
        sql = f"SELECT {_COLUMNS} FROM records WHERE class = ? AND at_ms < ? ORDER BY id LIMIT ?"
        return [_record(row) for row in self._query(sql, int(record_class), at_ms, limit)]

    def salvage(self) -> tuple[list[Record], dict[str, str]]:
        """Return what can still be read of a damaged file: records one by one, and the remembered values."""
        records: list[Record] = []
        state: dict[str, str] = {}
        with contextlib.suppress(sqlite3.Error, OutboxError):
            state = self.state()
        with contextlib.suppress(sqlite3.Error, OutboxError, ValueError):
            for row in self._connection.execute(f"SELECT {_COLUMNS} FROM records NOT INDEXED ORDER BY id"):
                records.append(_record(row))
        return records, state

    @classmethod
    def salvage_file(cls, path: Path) -> tuple[list[Record], dict[str, str]]:
        """Return what can still be read of a file that cannot be opened as an outbox any more."""
        with contextlib.suppress(sqlite3.Error):
            damaged = cls(sqlite3.connect(path, isolation_level=None), path, None)
            try:
                return damaged.salvage()
            finally:
                damaged.close()
        return [], {}

    def write(self, batch: Batch) -> dict[RecordClass, tuple[int, int]]:
        """Apply a batch whole or not at all, and return how many records and bytes the acknowledgements removed.

        Raises:
            OutboxFull: No room; nothing changed.
            OutboxCorrupt: The file is damaged.
            OutboxError: The file cannot be written; nothing changed.
        """
        execute = self._connection.execute
        with _translated(self._path):
            execute("BEGIN IMMEDIATE")
            try:
                removed = self._apply(batch)
                execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    execute("ROLLBACK")
                raise
            self._keep_log_short()
        return removed

    def check(self) -> None:
        """Look for damage in a large file; minutes on a slow card. For a thread of its own, while others write.

        Raises:
            OutboxCorrupt: It is damaged.
            OutboxError: It cannot be read.
        """
        assert self._path is not None, "only a file is due for a check"
        moves = self._moves
        with _translated(self._path), contextlib.closing(_connect(self._path)) as connection:
            self._checking = connection
            verdict = None if self._check_ended else _verdict(connection)
            self._checking = None
        # A file that was moved meanwhile has been read whole for that.
        if verdict is not None and moves == self._moves:
            raise _damaged(self._path, verdict)

    def end_check(self) -> None:
        """Let a check that is under way end at once: whoever stops waits for its thread."""
        self._check_ended = True
        if (checking := self._checking) is not None:
            checking.interrupt()

    def compact(self) -> None:
        """Give free pages and the log's space back to the file system, a little at a time."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()

    def close(self) -> None:
        """Close the file; SQLite then folds its log into it."""
        for connection in {self._reading, self._connection, *self._former}:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        if self._lock:
            self._lock.close()

    def _keep_log_short(self) -> None:
        """Bound the write-ahead log, also beside a reader that holds on to it."""
        if self._path is None or _log_bytes(self._path) <= self._log_bytes_max:
            return
        (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            self._log_bytes_max = LOG_BYTES_MAX
            return
        (kept_bytes,) = self._connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM records").fetchone()
        if kept_bytes > _log_bytes(self._path):  # Not yet: the copy would cost more than the log.
            self._log_bytes_max = kept_bytes
            return
        try:
            self._move()
        except (sqlite3.Error, OSError) as error:
            self._log_bytes_max = 2 * _log_bytes(self._path)
            log.warning("outbox not moved", extra={"reason": reason_of(error), "next_at_bytes": self._log_bytes_max})

    def _move(self) -> None:
        assert self._path is not None, "memory has no log"
        copy_beside(self._connection, self._path)
        finish_move(self._path)
        connection = _connect(self._path)
        _prepare(connection, self._path, bytes_max=self._bytes_max, check=False)
        # Another thread may be reading from the former file right now, so it is closed with the next move or the store.
        for former in (*self._former, self._connection):
            former.close()
        self._former = [self._reading]
        self._connection, self._reading = connection, _connect(self._path)
        self._log_bytes_max = LOG_BYTES_MAX
        self._moves += 1
        log.warning("outbox moved away from a reader", extra={"file": self._path.name})

    def _apply(self, batch: Batch) -> dict[RecordClass, tuple[int, int]]:
        connection = self._connection
        insert = "INSERT OR IGNORE" if batch.keep_existing else "INSERT"
        connection.executemany(
            f"{insert} INTO records (id, channel, seq, class, at_ms, bytes, thinned, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
            (_row(record) for record in batch.records),
        )
        removed = self._delete(sorted(batch.acknowledged))
        connection.executemany(
            "UPDATE records SET payload = ?, bytes = ?, thinned = 1 WHERE id = ?",
            ((record.payload, len(record.payload), record.id) for record in batch.thinned),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO counters (channel, seq) VALUES (?, ?)",
            ((channel.value, seq) for channel, seq in batch.counters.items()),
        )
        for key, value in batch.state.items():
            if value is None:
                connection.execute("DELETE FROM state WHERE key = ?", (key,))
            else:
                connection.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))
        if batch.epoch is not None:
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?)", (batch.epoch,))
        return removed

    def _delete(self, ids: list[int]) -> dict[RecordClass, tuple[int, int]]:
        removed: dict[RecordClass, tuple[int, int]] = {}
        for start in range(0, len(ids), _IDS_PER_DELETE):
            chunk = ids[start : start + _IDS_PER_DELETE]
            marks = ",".join("?" * len(chunk))
            sql = f"DELETE FROM records WHERE id IN ({marks}) RETURNING class, bytes"
            for key, size in self._connection.execute(sql, chunk).fetchall():
                count, total = removed.get(RecordClass(key), (0, 0))
                removed[RecordClass(key)] = (count + 1, total + size)
        return removed

    def _query(self, sql: str, *arguments: str | int) -> sqlite3.Cursor:
        with _translated(self._path):
            return self._reading.execute(sql, arguments)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=1.0, isolation_level=None, cached_statements=64, check_same_thread=False)


def _log_bytes(path: Path) -> int:
    log_path = path.with_name(path.name + "-wal")
    return log_path.stat().st_size if log_path.exists() else 0


def _left_open(path: Path) -> bool:
    """Return whether the last user did not close the file, as after a power cut."""
    return _log_bytes(path) > 0


def _verdict(connection: sqlite3.Connection) -> str | None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if verdict == "ok" else str(verdict)


def _damaged(path: Path, verdict: str) -> OutboxCorrupt:
    return OutboxCorrupt(f"outbox {path} is damaged: {verdict}; it is set aside")


def _prepare(connection: sqlite3.Connection, path: Path, *, bytes_max: int, check: bool) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_MAX}")
    connection.execute(
        f"PRAGMA max_page_count = {int(bytes_max * _HEADROOM_SHARE) // _PAGE_BYTES + _HEADROOM_PAGES}"
    ).fetchall()
    if check and (verdict := _verdict(connection)) is not None:
        raise _damaged(path, verdict)
    migrate(connection)


def _made_private(path: Path) -> None:
    for name in private_database(path):
        log.warning("outbox made private", extra={"file": name})


def _locked(path: Path) -> IO[bytes]:
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise OutboxInUse(f"outbox {path} is open in another process; two gateways never share one") from error
    return lock


@contextlib.contextmanager
def _translated(path: Path | None) -> Iterator[None]:
    where = path or "in memory"
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise OutboxFull(f"outbox {where} has no room: {error}; records wait") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise OutboxCorrupt(f"outbox {where} is damaged: {error}; it is set aside") from error
        raise OutboxError(f"outbox {where} cannot be used: {error}; records stay in memory") from error
    except OSError as error:
        raise OutboxError(
            f"outbox {where} cannot be used: {os.strerror(error.errno or 0)}; records stay in memory"
        ) from error


def _row(record: Record) -> tuple[int, str, int, int, int, int, bytes]:
    at_ms = epoch_ms(record.at)
    size = len(record.payload)
    return record.id, record.channel.value, record.seq, int(record.record_class), at_ms, size, record.payload


def _record(row: tuple[int, str, int, int, int, bytes]) -> Record:
    record_id, channel, seq, record_class, at_ms, payload = row
    return Record(
        id=record_id,
        channel=Up(channel),
        seq=seq,
        record_class=RecordClass(record_class),
        at=instant(at_ms),
        payload=payload,
    )
