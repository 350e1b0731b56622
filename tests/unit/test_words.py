"""One word per thing: words that were retired do not come back into code, its names, the documents or the help."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Retired word as an identifier, and the word that took its place.
RETIRED = {
    "CommandDesk": "Executor",
    "command_desk": "executor",
    "Desks": "Ports",
    "House": "Services",
    "Holdback": "ClockSyncBuffer",
    "Freezer": "SnapshotBuilder",
    "Buses": "BusPool",
    "Overdue": "LateReplies",
    "Forgetful": "VolatileStateStore",
    "Weakness": "FailsafeFinding",
    "IssuerRole": "Role",
    "AgentKind": "Agent",
    "fleet_hands": "fleet_session",
    "mischief": "fault_injection",
    "market_shell": "shell.market",
    "OrderDesk": "OrderSender",
    "Ability": "Availability",
    "ability_of": "availability_of",
    "wanted_orders": "target_orders",
    "Observed": "Effect",
    "Siege": "FaultRig",
} | {
    f"{name}Desk": f"{name}Port"
    for name in (
        "Books", "Fleet", "Forecast", "Grid", "Join", "Market", "Outlook", "Plan", "Records", "Relief", "Rules",
        "SetAside", "Site",
    )
}  # fmt: skip
# Words that are at home in a sentence, and are no longer the name of a class, a function, an argument or a variable.
RETIRED_NAMES = {
    "desk": "port",
    "desks": "ports",
    "siege": "fault_rig",
    "overdue": "late_replies",
    "holdback": "clock_sync_buffer",
    "freezer": "snapshots",
    "Told": "predicted, published or commanded, whichever it is",
    "weakness_check": "failsafe_check",
}
# Of the market an order or a product is overdue, on the wire too.
NAMED_OTHERWISE = frozenset(
    ROOT / name
    for name in (
        "contracts/skills/market.py",
        "cloud/agents/market_supervisor.py",
        "cloud/shell/skill_ports.py",
        "cloud/shell/market/fold.py",
        "cloud/shell/market/sequencer.py",
    )
)
SOURCES = sorted(
    path
    for package in ("contracts", "domain", "edge", "cloud", "sitewatt", "firmware_sim", "benchmarks", "tests/support")
    for path in (ROOT / package).rglob("*.py")
)
# A decision says which word it retired; the change log is of its time.
PAGES = sorted(
    path
    for path in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    if path.name != "0018-rooms-and-words.md"
)


@pytest.mark.parametrize(("word", "instead"), RETIRED.items())
def test_a_retired_word_is_not_used(word: str, instead: str) -> None:
    """Two words for one thing cost every reader the question whether they differ."""
    pattern = re.compile(rf"\b{word}\b")
    found = [str(path.relative_to(ROOT)) for path in (*SOURCES, *PAGES) if pattern.search(_text(path))]
    assert not found, f"{word} is now {instead}; still in {', '.join(found)}"


@pytest.mark.parametrize(("word", "instead"), RETIRED_NAMES.items())
def test_a_retired_name_is_not_given(word: str, instead: str) -> None:
    """The sentence that uses the word stays; who looks for the thing finds it under one name."""
    pattern = re.compile(rf"_*{word}\b")
    hits = (path for path in SOURCES if path not in NAMED_OTHERWISE and pattern.search(_text(path)))
    found = [str(path.relative_to(ROOT)) for path in hits if word in _names(path)]
    assert not found, f"{word} is now {instead}; still a name in {', '.join(found)}"


def test_no_file_is_named_by_a_retired_word() -> None:
    """Who looks for a port in the tree finds it under that word."""
    assert not [path for path in SOURCES if re.search(r"desk|siege|mischief", path.stem)]


def test_the_gateway_has_an_outbox_and_the_market_a_journal() -> None:
    """The word journal is the market's event log; in the gateway it is only the name of a file and a mode of SQLite."""
    for path in (ROOT / "edge").rglob("*.py"):
        assert not re.search(r"\bJournal\w*|\bjournalled\b", _text(path)), path


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _names(path: Path) -> set[str]:
    """Return what a file names, without leading underscores: classes, functions, arguments, variables, attributes."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(_text(path))):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.arg(arg=name) | ast.Name(id=name) | ast.Attribute(attr=name):
                names.add(name)
            case _:
                pass
    return {name.lstrip("_") for name in names}
