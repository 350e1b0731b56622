"""What can be saved of an outbox's file that cannot be opened, read or written any more."""

import contextlib
import shutil
from collections.abc import Collection
from pathlib import Path

from contracts.clock import Clock
from contracts.reasons import reason_of
from contracts.units import epoch_ms
from edge.errors import OutboxCorrupt, OutboxError
from edge.outbox.records import Fields, Record, RecordClass
from edge.outbox.store import Batch, Store

_SIDES = ("-wal", "-shm")
_ASIDE_KEPT = 2


def open_disk(path: Path, *, clock: Clock, bytes_max: int) -> tuple[Store, Fields | None]:
    """Open an outbox's file; a damaged one is set aside, what it still tells goes into a new one, and is said.

    Raises:
        OutboxInUse: Another process has it open.
        OutboxError: It can be neither opened nor begun anew.
    """
    try:
        return Store.open(path, bytes_max=bytes_max), None
    except OutboxCorrupt as error:
        aside = set_aside(path, at_ms=epoch_ms(clock.now()))
        store = Store.open(path, bytes_max=bytes_max)
        records, values = Store.salvage_file(aside)
        store.write(Batch(records=records, state=dict(values)))
        return store, {"reason": str(error)[:200], "kept": len(records), "aside": aside.name}


def set_aside(path: Path, *, at_ms: int) -> Path:
    """Move a damaged outbox out of the way, with its log, and return where it went; the oldest such are deleted.

    Raises:
        OutboxError: The folder cannot be written.
    """
    aside = path.with_name(f"{path.name}.damaged-{at_ms}")
    try:
        for suffix in ("-wal", "-shm", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        kept = sorted(entry for entry in path.parent.glob(f"{path.name}.damaged-*") if entry.suffix[-4:] not in _SIDES)
        for old in kept[:-_ASIDE_KEPT]:
            for suffix in ("-wal", "-shm", ""):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise OutboxError(
            f"outbox {path} is damaged and cannot be moved: {reason_of(error)}; it stays unused"
        ) from error
    return aside


def readable(store: Store, *, without: Collection[int], bytes_max: int) -> list[Record]:
    """Return the records of a file that memory can hold: dear ones first, the newest telemetry; settlement always.

    Args:
        store: The file.
        without: Ids of what the cloud has already.
        bytes_max: How much payload memory may hold.
    """
    room = bytes_max
    kept = []
    records = [record for record in store.salvage()[0] if record.id not in without]
    for record in sorted(records, key=lambda record: (record.record_class, -record.id)):
        room -= len(record.payload)
        if room >= 0 or record.record_class is RecordClass.SETTLEMENT:
            kept.append(record)
    return sorted(kept, key=lambda record: record.id)


def readable_state(store: Store) -> dict[str, str | None]:
    """Return the remembered values of a file, nothing where they cannot be read."""
    try:
        return dict(store.state())
    except OutboxError:
        return {}


def disk_bytes(path: Path) -> int:
    """Return the size of the disk on which a file lies, or would lie; 0 where nobody can tell."""
    for folder in (path.parent, *path.parent.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).total
    return 0
