"""``python -m tests.swarm.figures REPORT...``: writes what runs of the swarm covered into docs/reliability.md.

A report is what ``sitewatt sim swarm --report FILE`` writes; the figures of all of them are added up.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
_BEGIN, _END = "<!-- swarm figures: begin -->", "<!-- swarm figures: end -->"
_SUMS = ("site_days", "restarts", "messages", "thrown", "orders", "orders_held", "readings", "trades")


def table(reports: Sequence[dict[str, Any]]) -> str:
    """Return the figures of all reports together as a table of two columns."""
    sums = {name: sum(report.get(name, 0) for report in reports) for name in _SUMS}
    faults: Counter[str] = Counter()
    for report in reports:
        faults.update(report["faults"])
    seeds = [seed for report in reports for seed in report["seeds"]]
    rows = {
        "seeds": f"{len(seeds)} ({', '.join(map(str, sorted(seeds)))})",
        "failed": _named(reports, "failed"),
        "void, since the machine stood still": _named(reports, "void"),
        "gateway days on the scaled clock": f"{sums['site_days']:.2f}",
        "faults": ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())),
        "starts after an end": str(sums["restarts"]),
        "messages heard on the broker": f"{sums['messages']}, {sums['thrown']} of them repeated or never valid",
        "trades · meter readings": f"{sums['trades']} · {sums['readings']}",
        "limits in effect of those ordered": f"{sums['orders_held']} of {sums['orders']}",
    }
    return "\n".join(
        ["| what | how much |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())]
    )


def _named(reports: Sequence[dict[str, Any]], what: str) -> str:
    seeds = sorted(seed for report in reports for seed in report[what])
    return f"{len(seeds)} ({', '.join(map(str, seeds))})" if seeds else "0"


def main(paths: Sequence[str]) -> None:
    """Put the table in place of the one between the two marks of the page."""
    reports = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    text = PAGE.read_text(encoding="utf-8")
    found, count = re.subn(f"{_BEGIN}.*{_END}", lambda _: f"{_BEGIN}\n{table(reports)}\n{_END}", text, flags=re.DOTALL)
    assert count == 1, f"{PAGE} has no place for the figures between its two marks"
    PAGE.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
