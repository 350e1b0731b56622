"""What the loop remembers of a lever: proof outlives a failed write, a refusal ends with one that is taken."""

from edge.control.model import Capability, Confirmed
from edge.devices.apply import Applied
from edge.loop.lever_records import LeverRecords

LEVER = ("inverter", Capability.LIMIT_GENERATION)


def _applied(value_w: float | None, *, ok: bool = True) -> Applied:
    return Applied(ok=ok, value_w=value_w, readback={})


def test_a_proven_write_is_held_and_confirmed() -> None:
    """What was taken away again is held too: as None."""
    records = LeverRecords()
    records.took(LEVER, _applied(2_000), decided_s=1.0, now_s=1.5)
    assert records.held == {LEVER: 2_000}
    assert records.confirmed == {LEVER: Confirmed(decided_s=1.0, at_s=1.5)}
    records.took(LEVER, _applied(None), decided_s=2.0, now_s=2.5)
    assert records.held == {LEVER: None}


def test_an_unproven_write_is_applied_and_not_held_and_older_proof_stays() -> None:
    """A device that reads back something else may still move; since when it obeyed is told as it was."""
    records = LeverRecords()
    records.took(LEVER, _applied(2_000), decided_s=1.0, now_s=1.5)
    records.took(LEVER, _applied(500, ok=False), decided_s=2.0, now_s=2.5)
    assert records.held == {} and records.applied[LEVER].value_w == 500
    assert records.confirmed[LEVER].decided_s == 1.0


def test_a_refusal_stands_until_a_write_is_taken() -> None:
    """A device that falls silent in between has not taken its no back."""
    records = LeverRecords()
    records.took(LEVER, _applied(2_000), decided_s=1.0, now_s=1.5)
    assert records.failed(LEVER, refused="remote control is off")
    assert records.applied == {} and records.refused == {LEVER: "remote control is off"}
    assert not records.failed(LEVER, refused=None), "said once"
    assert records.refused == {LEVER: "remote control is off"}
    records.took(LEVER, _applied(500), decided_s=2.0, now_s=2.5)
    assert records.refused == {} and records.failed(LEVER, refused=None)
