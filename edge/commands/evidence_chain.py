"""The records of an event's proof as they are kept and sent, and how a chain is read again; both processes know it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from contracts.units import ClockTrust, instant
from edge.control.evidence import EvidenceKind, EvidenceRecord, Head

PHRASE = "evidence"
INDEX_KEY = "evidence.index"


def as_fields(record: EvidenceRecord) -> dict[str, str | int]:
    """Return a record as the flat fields of an event message; ``from_fields`` is its inverse."""
    return {
        "n": record.seq,
        "event": record.event_id,
        "kind": record.kind.value,
        "at_ms": record.at_ms,
        "clock": record.clock.value,
        "fields": json.dumps(record.fields, separators=(",", ":")),
        "previous": record.previous,
        "hash": record.hash,
    }


def from_fields(plain: Mapping[str, Any]) -> EvidenceRecord:
    """Return the record that flat fields hold.

    Raises:
        ValueError: They hold none.
    """
    try:
        return EvidenceRecord(
            seq=int(plain["n"]),
            event_id=str(plain["event"]),
            kind=EvidenceKind(plain["kind"]),
            at_ms=int(plain["at_ms"]),
            clock=ClockTrust(plain["clock"]),
            fields=json.loads(plain["fields"]),
            previous=str(plain["previous"]),
            hash=str(plain["hash"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a record of evidence: {error}") from error


def read_chain(recall: Callable[[str], Any], event: str) -> tuple[list[EvidenceRecord], Head | None]:
    """Return the records of an event and the known end of its chain, from what a gateway remembers.

    Args:
        recall: Returns the remembered value of a key, or ``None``.
        event: Id of the event, or of a command that belongs to none.
    """
    head = head_of(recall, event)
    if head is None:
        return [], None
    plain = [recall(record_key(event, seq)) for seq in range(1, head.seq + 1)]
    return [from_fields(one) for one in plain if one is not None], head


def known_events(recall: Callable[[str], Any]) -> list[str]:
    """Return the events whose chains are kept on site, the oldest first."""
    return [str(name) for name in recall(INDEX_KEY) or []]


def describe(record: EvidenceRecord) -> dict[str, Any]:
    """Return a record for an export: its instant readable, its own fields beside those of the chain."""
    return {
        "seq": record.seq,
        "event_id": record.event_id,
        "kind": record.kind.value,
        "at": instant(record.at_ms).isoformat(),
        "at_ms": record.at_ms,
        "clock": record.clock.value,
        "fields": dict(record.fields),
        "previous": record.previous,
        "hash": record.hash,
    }


def head_of(recall: Callable[[str], Any], event: str) -> Head | None:
    """Return the known end of an event's chain, ``None`` where none is kept."""
    kept = recall(head_key(event))
    return None if kept is None else Head(seq=int(kept[0]), hash=str(kept[1]))


def head_key(event: str) -> str:
    """Return under what the end of an event's chain is remembered."""
    return f"evidence.head/{event}"


def record_key(event: str, seq: int) -> str:
    """Return under what one record of an event is remembered."""
    return f"evidence/{event}/{seq}"
