"""Copies a private cloud's files while it runs, and puts a copy back where none are.

The streams are copied before the tables: tables that are newer than the streams' checkpoints mean that some records are
delivered a second time, which changes nothing. The other way round their effects would be missing.
"""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cloud.errors import SetupError, StoreError
from cloud.local.opening import servers_of
from cloud.local.report import ledger
from cloud.stores.private_files import private_database, private_folder, write_private
from cloud.stores.registry import load_registry
from cloud.stores.sqlite import SqliteTables
from contracts.reasons import file_reason_of

MANIFEST: Final = "manifest.json"
# In this order; see above.
DATABASES: Final = ("streams.db", "tables.db")
LAKE: Final = "lake"
PAGES: Final = 4096  # Copied at a time, so that who writes meanwhile waits for no more than that.
BUSY_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a copy holds.

    Args:
        at: When it was begun: what came later is not in it.
        files: Each file's SHA-256 by its path in the copy.
        size_bytes: Of all files.
        ledger_lines: Lines of the ledger.
        ledger_sum: Of all money in it, in millionths of a cent: zero.
    """

    at: str
    files: dict[str, str]
    size_bytes: int
    ledger_lines: int
    ledger_sum: int


def back_up(folder: Path, out: Path) -> Backup:
    """Copy a cloud's files into a folder that does not exist yet; the cloud may run meanwhile.

    Raises:
        SetupError: There is no cloud in the folder, or something where the copy goes.
        StoreError: A file cannot be read, or the copy is not sound; nothing is kept of it.
    """
    if in_servers := servers_of(folder).named:
        raise SetupError(
            f"{folder} keeps its {' and '.join(in_servers)} in servers: copy them by those servers' own means"
            " (docs/cluster.md); nothing copied"
        )
    if not (folder / DATABASES[-1]).is_file():
        raise SetupError(f"{folder} holds no {DATABASES[-1]}: no cloud has run there; nothing copied")
    if out.exists():
        raise SetupError(f"{out} is there already; nothing copied")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    work = private_folder(out.with_name(out.name + ".part"))
    try:
        for name in DATABASES:
            if (folder / name).is_file():
                _copy_database(folder / name, work / name)
        _copy_lake(folder / LAKE, work / LAKE)
        made = _described(work, at=at)
        write_private(work / MANIFEST, json.dumps(made.__dict__, indent=1).encode())
        work.rename(out)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{folder} was not copied: {file_reason_of(error)}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def restore(copy: Path, folder: Path) -> Backup:
    """Put a copy where no cloud is; it is judged whole before a file is put.

    Raises:
        SetupError: The folder holds a cloud already, or the copy has no manifest.
        StoreError: A file of the copy is missing or is not what was copied, or the ledger in it does not sum to zero.
    """
    held = [name for name in DATABASES if (folder / name).exists()]
    if held:
        raise SetupError(f"{folder} holds {held[0]}: move it away first; nothing restored")
    try:
        told = Backup(**json.loads((copy / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(f"{copy} is no copy of a cloud: {file_reason_of(error)}; nothing restored") from error
    for name, wanted in told.files.items():
        if not (copy / name).is_file() or _digest(copy / name) != wanted:
            raise StoreError(f"{copy / name} is missing or not what was copied; nothing restored")
    try:
        private_folder(folder)
        for name in told.files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in DATABASES:
                private_database(target)
            shutil.copyfile(copy / name, target)
    except OSError as error:
        raise StoreError(f"{copy} was not restored to {folder}: {file_reason_of(error)}") from error
    return told


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at one instant, whoever writes meanwhile. Source: SQLite's online backup API."""
    private_database(target)
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing, pages=PAGES)
        # One file, without a log beside it that somebody may forget to take along.
        writing.execute("PRAGMA journal_mode=DELETE")
        (verdict,) = writing.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise StoreError(f"{source} is not sound: {verdict}; nothing copied")


def _copy_lake(source: Path, target: Path) -> None:
    """Copy the lake: its files are written once and then stay."""
    for path in sorted(source.rglob("*.parquet")) if source.is_dir() else ():
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)


def _described(work: Path, *, at: str) -> Backup:
    paths = sorted(path for path in work.rglob("*") if path.is_file())
    files = {path.relative_to(work).as_posix(): _digest(path) for path in paths}
    money = _ledger(work / DATABASES[-1])
    if money["sum"] or money["energy_sum"]:
        raise StoreError(f"the ledger sums to {money['sum']} and {money['energy_sum']} Wh, not to zero; nothing copied")
    size = sum(path.stat().st_size for path in paths)
    return Backup(at=at, files=files, size_bytes=size, ledger_lines=money["lines"], ledger_sum=money["sum"])


def _ledger(path: Path) -> dict[str, Any]:
    tables = SqliteTables.open(path, read_only=True)
    try:
        return ledger(tables, [zone.id for zone in load_registry(tables).zones])
    finally:
        tables.close()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
