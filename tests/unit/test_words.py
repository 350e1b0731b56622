"""One word per thing: words that were retired do not come back into code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Retired word as an identifier, and the word that took its place.
RETIRED = {
    "CommandDesk": "Executor",
    "Desks": "Ports",
    "House": "Services",
    "Holdback": "ClockSyncBuffer",
    "Freezer": "SnapshotBuilder",
    "Buses": "BusPool",
    "Overdue": "LateReplies",
    "Forgetful": "VolatileStateStore",
    "Weakness": "FailsafeFinding",
    "fleet_hands": "fleet_session",
    "mischief": "fault_injection",
    "market_shell": "shell.market",
}
SOURCES = sorted(
    path
    for package in ("contracts", "domain", "edge", "cloud", "sitewatt", "firmware_sim", "benchmarks")
    for path in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize(("word", "instead"), RETIRED.items())
def test_a_retired_word_is_not_used(word: str, instead: str) -> None:
    """Two words for one thing cost every reader the question whether they differ."""
    pattern = re.compile(rf"\b{word}\b")
    found = [str(path.relative_to(ROOT)) for path in SOURCES if pattern.search(path.read_text(encoding="utf-8"))]
    assert not found, f"{word} is now {instead}; still in {', '.join(found)}"


def test_the_gateway_has_an_outbox_and_the_market_a_journal() -> None:
    """The word journal is the market's event log; in the gateway it is only the name of a file and a mode of SQLite."""
    for path in (ROOT / "edge").rglob("*.py"):
        assert not re.search(r"\bJournal\w*|\bjournalled\b", path.read_text(encoding="utf-8")), path
