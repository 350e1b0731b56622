"""Proof of what happened in an event: records chained by their hashes, none changed, lost or moved unseen."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from contracts.units import ClockTrust, epoch_ms

GENESIS = "0" * 64
Value = str | int | float | bool | None


class EvidenceKind(StrEnum):
    """What a record shows."""

    ORDER = "order"
    CHECK = "check"
    SETPOINT = "setpoint"
    READ_BACK = "read_back"
    METER = "meter"
    STAGE = "stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecord:
    """One record of a chain; ``hash`` covers every other field, ``previous`` among them."""

    seq: int
    event_id: str
    kind: EvidenceKind
    at_ms: int
    clock: ClockTrust
    fields: Mapping[str, Value]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain: what the next record continues. ``Head()`` begins one."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where a chain stops being proof, and why."""

    seq: int
    why: str


def append(
    head: Head, *, event_id: str, kind: EvidenceKind, at: datetime, clock: ClockTrust, fields: Mapping[str, Value]
) -> tuple[EvidenceRecord, Head]:
    """Return the next record of a chain and the chain's new end."""
    seq, at_ms = head.seq + 1, epoch_ms(at)
    record = EvidenceRecord(
        seq=seq,
        event_id=event_id,
        kind=kind,
        at_ms=at_ms,
        clock=clock,
        fields=dict(fields),
        previous=head.hash,
        hash="",
    )
    record = replace(record, hash=_hash(record))
    return record, Head(seq=seq, hash=record.hash)


def verify(records: Sequence[EvidenceRecord], *, start: Head | None = None, end: Head | None = None) -> Break | None:
    """Return the first break of a chain, ``None`` where it holds.

    Args:
        records: In order.
        start: What came before them; ``None`` for a chain from its beginning.
        end: The chain's known end; with it, records cut off at the end are found too.
    """
    head = start or Head()
    for record in records:
        if record.seq != head.seq + 1:
            return Break(seq=head.seq + 1, why=f"record {head.seq + 1} is missing, {record.seq} follows")
        if record.previous != head.hash:
            return Break(seq=record.seq, why=f"record {record.seq} does not continue the one before it")
        if _hash(record) != record.hash:
            return Break(seq=record.seq, why=f"record {record.seq} was changed after it was written")
        head = Head(seq=record.seq, hash=record.hash)
    if end is not None and head != end:
        return Break(seq=head.seq + 1, why=f"the chain ends at record {head.seq}, it was known to reach {end.seq}")
    return None


def _hash(record: EvidenceRecord) -> str:
    fields = dict(sorted(record.fields.items()))
    body = [record.seq, record.event_id, record.kind, record.at_ms, record.clock, fields, record.previous]
    return hashlib.sha256(json.dumps(body, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()
