"""What the outbox keeps: records in classes, each class with its own bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from contracts.topics import Up

MEBIBYTE = 1024 * 1024

# What an event says beside its phrase.
Fields = dict[str, str | int | float | bool | None]


class RecordClass(IntEnum):
    """How dear a record is; the lower, the later it is given up."""

    SETTLEMENT = 0
    ORDERS = 1
    EVENTS = 2
    TELEMETRY = 3


CLASS_OF: Mapping[Up, RecordClass] = {
    Up.METER: RecordClass.SETTLEMENT,
    Up.ORDERS: RecordClass.ORDERS,
    Up.ACKS: RecordClass.ORDERS,
    Up.EVENTS: RecordClass.EVENTS,
    Up.TELEMETRY: RecordClass.TELEMETRY,
}

# On the disk before ``append`` returns.
DURABLE = frozenset({RecordClass.SETTLEMENT, RecordClass.ORDERS})


@dataclass(frozen=True, kw_only=True)
class Record:
    """One message that waits for its acknowledgement; ``payload`` is what goes on the wire, byte for byte."""

    id: int
    channel: Up
    seq: int
    record_class: RecordClass
    at: datetime
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How much the outbox may keep.

    Settlement and evidence have no cap of their own: they are never dropped. Telemetry gets what the others leave of
    ``bytes_max`` or ``disk_share_max`` of the disk, whichever is less.
    """

    bytes_max: int = 2048 * MEBIBYTE
    disk_share_max: float = 0.10
    age_s_max: float = 30 * 86400.0
    orders_bytes_max: int = 64 * MEBIBYTE
    events_bytes_max: int = 32 * MEBIBYTE
    memory_bytes_max: int = 16 * MEBIBYTE


class OutboxState(StrEnum):
    """Where records go: to the file, or to memory while the file cannot be written."""

    DISK = "disk"
    MEMORY = "memory"


@dataclass(frozen=True, kw_only=True)
class OutboxStats:
    """The outbox's state for status, metrics and alarms; counters since it was opened."""

    state: OutboxState
    epoch: int
    depth: Mapping[RecordClass, int] = field(default_factory=dict)
    bytes: Mapping[RecordClass, int] = field(default_factory=dict)
    pending: int
    appended: int
    commits: int
    thinned: int
    dropped: int
    write_failures: int
    last_error: str | None
