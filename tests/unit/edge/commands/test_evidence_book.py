"""The proof of an order survives a kill, and shows every record that was changed, lost or moved."""

import asyncio
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.control import LimitImport
from edge.commands.evidence_book import EVENTS_KEPT
from edge.commands.evidence_chain import as_fields, from_fields, known_events, read_chain
from sitewatt.operator.proof import Evidence, EvidenceMissing, as_csv, from_state
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import KEYS, command
from tests.support.rigs.edge_parts import NOON, counter, fake_site, loop_of


async def _obeyed(folder: Path, clock: ManualClock, *, cycles: int = 20) -> None:
    """Let a site obey an import limit for a while, and die without a goodbye."""
    with counter(folder, clock) as at:
        fakes = fake_site(clock)
        loop, done = loop_of(fakes, clock, executor=at.executor)
        running = asyncio.create_task(loop.run(), name="control")
        for number in range(cycles):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if number == 1:
                order = command(LimitImport(max_w=9_000), issued_at=clock.now(), lasts_s=15)
                at.executor.take(order.encode(), retained=False)
            clock.advance(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(done) >= cycles - 1


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evidence]:
    """The evidence of an order that came to its end."""
    folder = tmp_path_factory.mktemp("site")
    asyncio.run(_obeyed(folder, ManualClock(NOON)))
    return folder, from_state(folder, "e1")


def test_the_chain_holds_from_the_order_to_its_end(proof: tuple[Path, Evidence]) -> None:
    """Order, checks, meter and every stage are there, under the event's id."""
    _, found = proof
    assert found.broken() is None
    kinds = [record.kind.value for record in found.records]
    assert kinds[:2] == ["order", "check"]
    stages = [record.fields["stage"] for record in found.records if record.kind == "stage"]
    assert stages == ["applied", "effective", "completed"]
    assert {"meter"} <= set(kinds)
    assert found.plain()["holds"]
    assert len(list(found.lines())) == len(found.records)
    assert as_csv(found.records).count("\n") == len(found.records) + 1


def test_evidence_is_found_by_the_command_too(proof: tuple[Path, Evidence]) -> None:
    """An operator knows the command; the event is the grid operator's business."""
    folder, found = proof
    assert from_state(folder, "c1").records == found.records
    with pytest.raises(EvidenceMissing, match="no evidence of another"):
        from_state(folder, "another")


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_done_to_the_records_is_seen(proof: tuple[Path, Evidence], data: st.DataObject) -> None:
    """Changed, lost, doubled or moved: the chain names the place."""
    _, found = proof
    records = list(found.records)
    at = data.draw(st.integers(0, len(records) - 1))
    match data.draw(st.sampled_from(["change", "lose", "double", "move"])):
        case "change":
            records[at] = replace(records[at], fields={**records[at].fields, "measured_w": 1.5})
        case "lose":
            del records[at]
        case "double":
            records.insert(at, records[at])
        case "move":
            records.insert((at + 1) % len(records), records.pop(at))
    assert replace(found, records=tuple(records)).broken() is not None


def test_a_record_survives_the_wire(proof: tuple[Path, Evidence]) -> None:
    """The cloud verifies the very hashes that the gateway made."""
    _, found = proof
    for record in found.records:
        assert from_fields(json.loads(json.dumps(as_fields(record)))) == record
    with pytest.raises(ValueError, match="not a record of evidence"):
        from_fields({"n": 1})


def test_a_file_tampered_with_is_told(proof: tuple[Path, Evidence], tmp_path: Path) -> None:
    """Somebody with the disk in hand can change it, but not unseen."""
    folder, _ = proof
    shutil.copytree(folder, tmp_path / "copy")
    with sqlite3.connect(tmp_path / "copy" / "journal.db") as database:
        database.execute("DELETE FROM state WHERE key = 'evidence/e1/3'")
    broken = from_state(tmp_path / "copy", "e1").broken()
    assert broken is not None
    assert broken.why == "record 3 is missing, 4 follows"


def test_refusals_of_genuine_orders_are_evidence_and_noise_is_not(tmp_path: Path) -> None:
    """What a grid operator asked in vain must be provable; what anybody can send must not fill the disk."""
    clock = ManualClock(NOON)
    with counter(tmp_path, clock, locked=lambda: True) as at:
        at.executor.take(command(LimitImport(max_w=1), issued_at=clock.now()).encode(), retained=False)
        forged = command(LimitImport(max_w=1), command_id="x", seq=2, issued_at=clock.now(), key=KEYS["owner"])
        at.executor.take(forged.encode(), retained=False)
        at.outbox.flush()
        records, _ = read_chain(at.outbox.recall, "e1")
        assert [(one.kind.value, one.fields.get("reason")) for one in records] == [("order", None), ("check", "locked")]


def test_old_chains_make_room_for_new_ones(tmp_path: Path) -> None:
    """They were sent; the disk of a gateway is not the archive."""
    clock = ManualClock(NOON)
    with counter(tmp_path, clock, locked=lambda: True) as at:
        for number in range(1, EVENTS_KEPT + 6):
            order = command(
                LimitImport(max_w=1), command_id=f"c{number}", event_id=f"e{number}", seq=number, issued_at=clock.now()
            )
            at.executor.take(order.encode(), retained=False)
        at.outbox.flush()
        known = known_events(at.outbox.recall)
        assert (len(known), known[-1]) == (EVENTS_KEPT, f"e{EVENTS_KEPT + 5}")
        assert at.outbox.recall("evidence/e1/1") is None
        assert read_chain(at.outbox.recall, "e1") == ([], None)


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    """One event may last longer than one process."""
    clock = ManualClock(NOON)
    for seq in (1, 2):
        with counter(tmp_path, clock) as at:
            order = command(LimitImport(max_w=9_000), command_id=f"c{seq}", seq=seq, issued_at=clock.now())
            at.executor.take(order.encode(), retained=False)
    found = from_state(tmp_path, "e1")
    assert found.broken() is None
    assert [one.fields["command"] for one in found.records if one.kind == "order"] == ["c1", "c2"]
