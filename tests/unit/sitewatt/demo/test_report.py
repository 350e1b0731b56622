"""The report says passed only when everything that must hold held."""

from typing import Any

import pytest

from sitewatt.demo.report import Report

_GOOD: dict[str, Any] = {
    "sites": [],
    "intervals": [{"settled": True}],
    "ledger": {"sum": 0, "energy_sum": 0, "lines": 4},
    "energy": {"max_balance_error_w": 1.0, "feeder_peak_w": 100.0},
    "telemetry": {"published": 1, "stored": 1, "lost": 0, "duplicated": 0},
    "channels": {"telemetry": {"published": 1, "stored": 1, "lost": 0, "duplicated": 0}},
    "orders": {},
    "dr_events": [{"effective": 2}],
    "latency_ms": {},
    "processes": {},
}


def test_a_run_in_which_everything_held_has_passed() -> None:
    """The plain case that each of the others departs from."""
    assert Report(**_GOOD).passed


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"intervals": [{"settled": False}]}, "an interval settled"),
        ({"intervals": []}, "an interval settled"),
        ({"ledger": {"sum": 1, "energy_sum": 0, "lines": 4}}, "the ledger sums to zero"),
        ({"ledger": {"sum": 0, "energy_sum": -1, "lines": 4}}, "the ledger sums to zero"),
        ({"channels": {"acks": {"published": 2, "stored": 1, "lost": 1, "duplicated": 0}}}, "nothing was lost"),
        ({"dr_events": []}, "the event became effective"),
        ({"dr_events": [{"effective": 0}]}, "the event became effective"),
    ],
)
def test_a_run_in_which_something_did_not_hold_has_failed_and_says_what(changed: dict[str, Any], check: str) -> None:
    """An exit code of 0 is a promise."""
    report = Report(**{**_GOOD, **changed})
    assert not report.passed
    assert [name for name, held in report.checks.items() if not held] == [check]
