"""Proof that cannot be edited."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import ClockTrust
from edge.control.evidence import Break, EvidenceKind, EvidenceRecord, Head, append, verify

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def chain(length: int) -> tuple[list[EvidenceRecord], Head]:
    """Return a chain of meter samples."""
    head, records = Head(), []
    for index in range(length):
        record, head = append(
            head,
            event_id="e1",
            kind=EvidenceKind.METER,
            at=AT,
            clock=ClockTrust.SYNCED,
            fields={"connection_w": 4_000.5 + index, "device": "meter", "good": True, "none": None},
        )
        records.append(record)
    return records, head


def test_an_untouched_chain_holds_in_whole_and_in_part() -> None:
    """An event's records are exported out of a longer chain."""
    records, head = chain(5)
    assert verify(records, end=head) is None
    assert verify(records[2:], start=Head(seq=2, hash=records[1].hash), end=head) is None


def test_a_lost_end_is_found_with_the_known_head() -> None:
    """Leaving out the last, inconvenient records is the simplest forgery."""
    records, head = chain(3)
    assert verify(records[:2]) is None
    broken = verify(records[:2], end=head)
    assert broken is not None
    assert broken.seq == 3


@given(st.integers(0, 4), st.sampled_from(["value", "clock", "at", "kind", "event", "drop", "swap", "rehash"]))
def test_any_change_breaks_the_chain(index: int, what: str) -> None:
    """Whatever is touched, verification names a record."""
    records, head = chain(5)
    target = records[index]
    if what == "drop":
        del records[index]
    elif what == "swap":
        other = (index + 1) % 5
        records[index], records[other] = records[other], records[index]
    elif what == "rehash":
        forged, _ = append(
            Head(seq=index, hash=target.previous),
            event_id="e1",
            kind=EvidenceKind.METER,
            at=AT,
            clock=ClockTrust.SYNCED,
            fields={"connection_w": 0.0},
        )
        records[index] = forged
    else:
        changes = {
            "value": replace(target, fields={**target.fields, "connection_w": 0.0}),
            "clock": replace(target, clock=ClockTrust.HOLDOVER),
            "at": replace(target, at_ms=target.at_ms + 1),
            "kind": replace(target, kind=EvidenceKind.ORDER),
            "event": replace(target, event_id="e2"),
        }
        records[index] = changes[what]
    assert verify(records, end=head) is not None


def test_equal_content_gives_equal_hashes_whatever_the_order_of_fields() -> None:
    """The same record written by another run must verify."""
    one, _ = append(
        Head(), event_id="e", kind=EvidenceKind.CHECK, at=AT, clock=ClockTrust.SYNCED, fields={"a": 1, "b": 2}
    )
    two, _ = append(
        Head(), event_id="e", kind=EvidenceKind.CHECK, at=AT, clock=ClockTrust.SYNCED, fields={"b": 2, "a": 1}
    )
    assert one.hash == two.hash
    with pytest.raises(AttributeError):
        one.hash = "0"  # type: ignore[misc]


def test_a_record_of_years_ago_verifies_still() -> None:
    """What is hashed, and how it is written for that, stays: the hash below was written down once."""
    record, head = append(
        Head(),
        event_id="e1",
        kind=EvidenceKind.METER,
        at=AT,
        clock=ClockTrust.HOLDOVER,
        fields={"device": "zähler", "connection_w": -4_000.5, "good": True, "none": None},
    )
    assert (record.seq, record.event_id, record.kind, record.clock) == (1, "e1", "meter", "holdover")
    assert record.hash == head.hash == "3c772179d51852aac82da2649c7ce27b187888c7f5c7616e9dbc189eaff0798c"


def test_a_break_names_its_record_and_what_is_wrong_with_it() -> None:
    """Who has to explain a gap before a court looks for the record by its number."""
    records, _ = chain(4)
    missing = verify([records[0], *records[2:]])
    assert missing == Break(seq=2, why="record 2 is missing, 3 follows")
    forged = verify([records[0], replace(records[1], previous="0" * 64), *records[2:]])
    assert forged == Break(seq=2, why="record 2 does not continue the one before it")
    changed = verify([records[0], replace(records[1], event_id="e2"), *records[2:]])
    assert changed == Break(seq=2, why="record 2 was changed after it was written")
    cut = verify(records[:3], end=Head(seq=4, hash=records[3].hash))
    assert cut == Break(seq=4, why="the chain ends at record 3, it was known to reach 4")
