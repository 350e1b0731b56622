"""Evidence read back: from a gateway's own journal, or from the cloud's tables; verified, and written as CSV."""

import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.clock import SystemClock
from contracts.reasons import file_reason_of
from edge.commands.evidence_chain import PHRASE, describe, from_fields, known_events, read_chain
from edge.commands.evidence_file import kept_proof
from edge.control.evidence import Break, EvidenceRecord, Head, verify

MONTHS = 24  # So far back the cloud's tables are searched.
_COLUMNS = ("seq", "event_id", "kind", "at", "at_ms", "clock", "fields", "previous", "hash")


class EvidenceMissing(Exception):
    """There is no evidence of an event where it was looked for."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The records of one event in order, and the known end of their chain where one is known."""

    event: str
    records: tuple[EvidenceRecord, ...]
    end: Head | None

    def broken(self) -> Break | None:
        """Return where the chain stops being proof, ``None`` where it holds."""
        return verify(self.records, end=self.end)

    def plain(self) -> dict[str, Any]:
        """Return the evidence for programs."""
        broken = self.broken()
        return {
            "event_id": self.event,
            "holds": broken is None,
            "broken_at": None if broken is None else broken.seq,
            "why": None if broken is None else broken.why,
            "records": [describe(record) for record in self.records],
        }

    def lines(self) -> Iterator[str]:
        """Yield one line for each record."""
        for record in self.records:
            fields = "  ".join(f"{name}={value}" for name, value in record.fields.items() if value is not None)
            at = datetime.fromtimestamp(record.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
            yield f"{record.seq:5}  {at}  {record.clock:9}  {record.kind:9}  {fields}"


def from_state(state_dir: Path, wanted: str) -> Evidence:
    """Return the evidence that a gateway keeps, while it runs or not.

    Args:
        wanted: An event, or a command of one.

    Raises:
        EvidenceMissing: There is no journal, or it knows nothing of it.
    """
    try:
        with kept_proof(state_dir) as recall:
            for event in [wanted, *known_events(recall)]:
                records, end = read_chain(recall, event)
                if records and (event == wanted or _is_about(records, wanted)):
                    return Evidence(event=event, records=tuple(records), end=end)
    except FileNotFoundError as error:
        raise EvidenceMissing(file_reason_of(error)) from error
    except (sqlite3.Error, ValueError) as error:
        raise EvidenceMissing(f"the proof in {state_dir} cannot be read: {error}") from error
    raise EvidenceMissing(f"the gateway of {state_dir} has no evidence of {wanted}")


def from_tables(path: Path, site: str, wanted: str) -> Evidence:
    """Return the evidence that the cloud has received from a site.

    Raises:
        EvidenceMissing: There are no tables, or they hold nothing of it within the last two years.
    """
    from cloud.local.opening import open_tables, tables_place
    from cloud.stores import keys
    from cloud.stores.tables import Table

    file = tables_place(path)
    if file is None:
        raise EvidenceMissing(f"{path} holds no tables.db")
    chains: dict[str, dict[int, EvidenceRecord]] = {}
    with contextlib.closing(open_tables(file, read_only=True)) as tables:
        for month in _months(SystemClock().now()):
            for item in tables.query(Table.ENERGY_METRICS, keys.site_events(site, month)):
                if item.body.get("phrase") == PHRASE:
                    record = from_fields(item.body["fields"])
                    chains.setdefault(record.event_id, {})[record.seq] = record
    for event, found in chains.items():
        records = [found[seq] for seq in sorted(found)]
        if event == wanted or _is_about(records, wanted):
            return Evidence(event=event, records=tuple(records), end=None)
    raise EvidenceMissing(f"the tables of {path} hold no evidence of {wanted} from {site}")


def as_csv(records: Sequence[EvidenceRecord]) -> str:
    """Return the records as CSV with a heading; a record's own fields are one JSON object."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for record in records:
        plain = describe(record)
        writer.writerow({**plain, "fields": json.dumps(plain["fields"], separators=(",", ":"))})
    return text.getvalue()


def _is_about(records: Sequence[EvidenceRecord], command_id: str) -> bool:
    return any(record.fields.get("command") == command_id for record in records)


def _months(now: datetime) -> Iterator[str]:
    year, month = now.year, now.month + 1  # The sites' clock may be a little ahead.
    for _ in range(MONTHS + 1):
        yield f"{year + (month - 1) // 12}{(month - 1) % 12 + 1:02}"
        month -= 1
