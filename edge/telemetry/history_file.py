"""The file of a site's history: one row a step and tier, each tier a ring of so many rows.

A row holds all points of its step in one blob, so that a step costs one small record; rows of minutes are written
together. A damaged file is set aside and a new one begun: history is worth less than a running gateway.
"""

import logging
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.outbox.rescue import set_aside
from edge.private_files import private_database

log = logging.getLogger(__name__)

FILE: Final = "history.db"
POINTS_MAX: Final = 200  # A site with more keeps the first ones.
_CELL: Final = struct.Struct("<Hd")


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Steps of one length, and how many of them are kept."""

    step_s: int
    rows_max: int


TIERS: Final = (
    Tier(step_s=10, rows_max=8_640),  # A day.
    Tier(step_s=60, rows_max=10_080),  # Seven days.
    Tier(step_s=900, rows_max=175_320),  # Five years.
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """The values of one step by point, and from how many cycles they were made."""

    step_s: int
    start_s: int
    cycles: int
    values: Mapping[str, float]


class HistoryFile:
    """The open file; used by one thread at a time."""

    def __init__(self, path: Path, *, now_ms: int) -> None:
        """Open the file, a new one in place of one that cannot be read.

        Raises:
            OutboxError: A damaged file cannot be moved.
            sqlite3.Error: The folder cannot be written.
        """
        try:
            self._file = _open(path)
            self._points = dict(self._file.execute("SELECT name, id FROM point").fetchall())
        except sqlite3.DatabaseError:
            if not path.exists():
                raise
            set_aside(path, at_ms=now_ms)
            self._file = _open(path)
            self._points = {}

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows in one commit, in place of those of the same step, and let the oldest go.

        Raises:
            sqlite3.Error: They could not be written; none is.
        """
        points = dict(self._points)
        with self._file:
            for row in rows:
                cells = [_CELL.pack(number, value) for number, value in self._numbered(row.values)]
                self._file.execute(
                    f"INSERT OR REPLACE INTO s{row.step_s} VALUES (?, ?, ?)",
                    (row.start_s, row.cycles, b"".join(cells)),
                )
            new = [(number, name) for name, number in self._points.items() if name not in points]
            self._file.executemany("INSERT OR IGNORE INTO point (id, name) VALUES (?, ?)", new)
            for tier in TIERS:
                # By count and not by age: a clock that jumped ahead must not empty the ring.
                self._file.execute(
                    f"DELETE FROM s{tier.step_s} WHERE start_s <= "
                    f"(SELECT start_s FROM s{tier.step_s} ORDER BY start_s DESC LIMIT 1 OFFSET {tier.rows_max})"
                )

    def row(self, step_s: int, start_s: int) -> Row | None:
        """Return one row, such as the one that an earlier process had begun."""
        return next(_rows(self._file, step_s, first_s=start_s, last_s=start_s + 1), None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _numbered(self, values: Mapping[str, float]) -> Iterator[tuple[int, float]]:
        for name, value in values.items():
            if name not in self._points:
                if len(self._points) >= POINTS_MAX:
                    continue
                self._points[name] = len(self._points) + 1
            yield self._points[name], value


def read_history(path: Path, *, step_s: int, first_s: int, last_s: int) -> list[Row]:
    """Return the rows of one tier from an epoch second up to before another, beside a running gateway.

    Raises:
        sqlite3.Error: There is no such file, or it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return list(_rows(file, step_s, first_s=first_s, last_s=last_s))
    except sqlite3.OperationalError:
        if not path.exists() or path.with_name(f"{path.name}-wal").exists():
            raise
        # Nobody writes; a reader that may not make the log's index reads the file as it lies there.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as file:
            return list(_rows(file, step_s, first_s=first_s, last_s=last_s))


def _rows(file: sqlite3.Connection, step_s: int, *, first_s: int, last_s: int) -> Iterator[Row]:
    names = {number: name for name, number in file.execute("SELECT name, id FROM point")}
    found = file.execute(
        f"SELECT start_s, cycles, cells FROM s{step_s} WHERE start_s >= ? AND start_s < ? ORDER BY start_s",
        (first_s, last_s),
    )
    for start_s, cycles, cells in found:
        values = {names[number]: value for number, value in _CELL.iter_unpack(cells) if number in names}
        yield Row(step_s=step_s, start_s=start_s, cycles=cycles, values=values)


def _open(path: Path) -> sqlite3.Connection:
    for name in private_database(path):
        log.warning("history made private", extra={"file": name})
    file = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
    try:
        # A power cut may cost the last minutes, never the file: a commit need not reach the card at once.
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute("CREATE TABLE IF NOT EXISTS point (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
        for tier in TIERS:
            file.execute(
                f"CREATE TABLE IF NOT EXISTS s{tier.step_s} "
                "(start_s INTEGER PRIMARY KEY, cycles INTEGER NOT NULL, cells BLOB NOT NULL)"
            )
    except sqlite3.Error:
        file.close()
        raise
    return file
