"""A report of the cloud reads as sentences, and says what is broken."""

from sitewatt.cloud_text import report_lines

TOLD = {
    "intervals": [
        {"zone": "east", "start": "2026-06-01T12:00:00+00:00", "state": "settled", "price": 12_345, "volume_wh": 2500,
         "trades": 3}
    ],
    "ledger": {"sum": 7, "energy_sum": 0, "lines": 4},
    "orders": {"sent": 5, "accepted": 4, "rejected": 1, "traded": 3},
    "channels": {"meter": {"published": 2, "stored": 2, "lost": 0, "duplicated": 0}},
    "dr_events": [
        {"event_id": "e-1", "detected_at": "2026-06-01T12:00:00+00:00", "limit_w": 100_000, "commands": 2,
         "effective": 2, "delivered_wh": 1200}
    ],
    "dr_claims": [
        {"site": "home-1", "event": "e-1", "taken": True, "paid_uct": -20_000_000, "flags": ["capped"]},
        {"site": "home-2", "event": "e-1", "taken": True, "paid_uct": None, "flags": []},
        {"site": "home-3", "event": "e-1", "taken": False, "paid_uct": 0, "flags": []},
    ],
    "refused": 0,
    "streams": {"set_aside": 1, "waiting": 0},
}  # fmt: skip


def test_every_part_is_a_sentence_and_a_ledger_that_does_not_sum_is_said() -> None:
    """Whoever reads it need not know what a field is called."""
    lines = list(report_lines(TOLD))
    assert lines[0] == "east  2026-06-01T12:00:00+00:00  settled    12.345 ct/kWh  2.500 kWh in 3 trades"
    assert "ledger: 4 lines, BROKEN: 7 millionths of a cent and 0 Wh are left over" in lines
    assert "meter: 2 of 2 stored, none lost" in lines
    assert "claim of home-1 for e-1: home-1 receives 0.20 EUR (capped)" in lines
    assert "claim of home-2 for e-1: not settled yet" in lines
    assert "claim of home-3 for e-1: refused" in lines
    assert "streams: 0 waiting, 1 record set aside; sitewatt cloud set-aside list shows them" in lines
