"""The report says passed only when everything that must hold held."""

from typing import Any

import pytest
from rich.console import Console

from sitewatt.demo.report import Report, render

_GOOD: dict[str, Any] = {
    "sites": [],
    "intervals": [{"settled": True}],
    "ledger": {"sum": 0, "energy_sum": 0, "lines": 4},
    "energy": {"max_balance_error_w": 1.0, "feeder_peak_w": 100.0},
    "telemetry": {"published": 1, "stored": 1, "waiting": 0, "lost": 0, "duplicated": 0},
    "channels": {"telemetry": {"published": 1, "stored": 1, "waiting": 0, "lost": 0, "duplicated": 0}},
    "orders": {},
    "dr_events": [{"effective": 2}],
    "dr_claims": [],
    "latency_ms": {},
    "processes": {},
    "earnings": [],
    "goals": [],
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
        (
            {"channels": {"acks": {"published": 2, "stored": 1, "waiting": 0, "lost": 1, "duplicated": 0}}},
            "nothing was lost",
        ),
        ({"dr_events": []}, "the event became effective"),
        ({"dr_events": [{"effective": 0}]}, "the event became effective"),
    ],
)
def test_a_run_in_which_something_did_not_hold_has_failed_and_says_what(changed: dict[str, Any], check: str) -> None:
    """An exit code of 0 is a promise."""
    report = Report(**{**_GOOD, **changed})
    assert not report.passed
    assert [name for name, held in report.checks.items() if not held] == [check]


def test_what_waits_in_the_streams_is_slow_and_not_lost() -> None:
    """A busy machine ends with messages that the next run of the cloud would store; a FAILED would be a lie."""
    counts = {"published": 5, "stored": 2, "waiting": 3, "lost": 0, "duplicated": 0}
    orders = {"sent": 0, "accepted": 0, "traded": 0}
    nothing: dict[str, Any] = {"intervals": [], "dr_events": [], "orders": orders}
    report = Report(**{**_GOOD, **nothing, "channels": {"acks": counts}, "telemetry": counts})
    assert report.checks["nothing was lost"]
    assert (report.kept_up, report.waiting) == (False, {"acks": 3})
    console = Console(width=200)
    with console.capture() as shown:
        console.print(render(report))
    assert "this machine did not keep up: 3 acks still waited, none lost by that" in shown.get()


def test_a_penalty_for_a_site_that_obeyed_is_explained() -> None:
    """Whoever sees relief delivered and money owed asks why."""
    event = {
        "event_id": "dr-1", "limit_w": 230_000, "commands": 3, "applied": 3, "effective": 3, "delivered_wh": 9_000,
        "story": [], "evidence": {"metered": 4},
    }  # fmt: skip
    claim = {"event": "dr-1", "taken": True, "flags": []}
    claims = [
        {**claim, "site": "factory", "paid_uct": 1_200_000, "flags": ["capped"]},
        {**claim, "site": "solar-farm", "paid_uct": -3_400_000},
        {**claim, "site": "home-1", "paid_uct": None},
        {**claim, "site": "home-2", "event": "dr-2", "paid_uct": -9_900_000},
    ]
    report = Report(**{**_GOOD, "intervals": [], "dr_events": [event], "dr_claims": claims,
                       "orders": {"sent": 0, "accepted": 0, "traded": 0}})  # fmt: skip
    console = Console(width=200)
    with console.capture() as shown:
        console.print(render(report))
    assert "settled: 3.40 ct for what was delivered, 1.20 ct owed for what was not" in shown.get()
    assert "a baseline follows the day by 20 % at most; factory used more" in shown.get()


def test_each_site_and_each_kind_of_agent_gets_a_row() -> None:
    """Foresight stands in the table beside what was settled, and what the event took is apart from the energy."""
    row = {
        "site": "home-1", "agent": "consumer", "paid_uct": -15_000_000, "event_uct": 4_000_000,
        "without_market_uct": -18_000_000, "without_plan_uct": None, "without_battery_uct": -17_000_000,
        "perfect_uct": -30_000_000, "intervals": 3,
    }  # fmt: skip
    counts = {"sent": 0, "accepted": 0, "traded": 0}
    report = Report(**{**_GOOD, "intervals": [], "dr_events": [], "orders": counts, "earnings": [row]})
    assert report.as_dict()["by_agent"][0]["perfect_uct"] == -30_000_000
    report.earnings.append({**row, "site": "home-2", "agent": "producer", "event_uct": 4_000, "paid_uct": 0})
    console = Console(width=80)
    with console.capture() as shown:
        console.print(render(report))
    lines = [line.replace("│", " ").split() for line in shown.get().splitlines()]
    sums = ["19.00", "-4.00", "18.00", "not", "known", "17.00", "30.00"]
    assert ["home-1", "consumer", *sums] in lines and ["all", "1", "consumer", *sums] in lines
    assert ["home-2", "producer", "0.00", "0.00", *sums[2:]] in lines, "nothing is no loss of nothing"
