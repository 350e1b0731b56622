"""The newest events and what proves them, from the chains that control keeps: what was asked, done, measured."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from contracts.units import instant
from edge.commands.evidence_chain import describe, head_of, known_events, read_chain
from edge.commands.evidence_file import kept_proof
from edge.control.evidence import EvidenceKind, EvidenceRecord, Head, verify

EVENTS_MAX: Final = 10


class Proof:
    """Reads the proof of one gateway; a chain that did not grow is not read again."""

    def __init__(self, state_dir: Path) -> None:
        """Read below a state folder."""
        self._state_dir = state_dir
        self._told: dict[str, tuple[Head, dict[str, Any]]] = {}

    def newest(self) -> list[dict[str, Any]]:
        """Return the newest events in short, the newest first; none where nothing is kept yet.

        Raises:
            sqlite3.Error: The store cannot be read.
            ValueError: The same, of a value in it.
        """
        try:
            with kept_proof(self._state_dir) as recall:
                told = {}
                for event in known_events(recall)[-EVENTS_MAX:]:
                    head = head_of(recall, event)
                    before = self._told.get(event)
                    if before is not None and before[0] == head:
                        told[event] = before
                    elif head is not None and (records := read_chain(recall, event)[0]):
                        told[event] = head, _short(records, head)
        except FileNotFoundError:
            return []
        self._told = told
        return [short for _, short in reversed(told.values())]

    def whole(self, event: str) -> list[dict[str, Any]]:
        """Return every record of an event, for who checks the chain elsewhere; none where there is no such event.

        Raises:
            sqlite3.Error: The store cannot be read.
            ValueError: The same, of a value in it.
        """
        try:
            with kept_proof(self._state_dir) as recall:
                return [describe(record) for record in read_chain(recall, event)[0]]
        except FileNotFoundError:
            return []


def _short(records: Sequence[EvidenceRecord], head: Head) -> dict[str, Any]:
    """Return one event: its orders with what became of them, the meter's first and last power in W, the chain."""
    broken = verify(records, end=head)
    orders: dict[str, dict[str, Any]] = {}
    for record in records:
        fields = record.fields
        order = orders.setdefault(str(fields.get("command")), {"command_id": fields.get("command"), "stage": None})
        if record.kind is EvidenceKind.ORDER:
            order |= {"issuer": fields.get("issuer"), "action": json.loads(str(fields.get("action")))}
        elif record.kind is EvidenceKind.CHECK:
            order |= {name: fields.get(name) for name in ("role", "accepted", "reason")}
        elif record.kind is EvidenceKind.STAGE:
            order["stage"] = fields.get("stage")
            if fields.get("measured_w") is not None:
                order["measured_w"] = fields["measured_w"]
    metered = [record.fields.get("connection_w") for record in records if record.kind is EvidenceKind.METER]
    powers = [power for power in metered if isinstance(power, int | float)]
    return {
        "event_id": records[0].event_id,
        "from": instant(records[0].at_ms).isoformat(),
        "to": instant(records[-1].at_ms).isoformat(),
        "orders": [order for order in orders.values() if "action" in order],
        "meter_first_w": powers[0] if powers else None,
        "meter_last_w": powers[-1] if powers else None,
        "meter_records": len(metered),
        "records": len(records),
        "holds": broken is None,
        "why": None if broken is None else broken.why,
        "hash": head.hash,
    }
