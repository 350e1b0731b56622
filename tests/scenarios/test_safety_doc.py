"""The safety document says what the profiles and the matrix say."""

import re
from pathlib import Path

from edge.devices.catalogue import list_profiles, load_profile
from tests.support.rigs.fault_matrix import COLUMNS
from tests.support.rigs.fault_rows import FAILURES

_TEXT = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
_WORDS = {
    "export_limit": "export limit",
    "limit_generation": "generation limit",
    "limit_consumption": "consumption limit",
    "battery_power": "battery power",
    "grid_setpoint": "grid setpoint",
    "switch": "switch",
    "sg_ready": "SG Ready",
}


def _table(name: str) -> list[list[str]]:
    found = re.search(f"<!-- {name}: begin -->(.*)<!-- {name}: end -->", _TEXT, re.DOTALL)
    assert found is not None, f"the table {name!r} is missing"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.group(1).strip().splitlines()]


def test_every_device_without_a_timer_is_named() -> None:
    """Whoever chooses a device must read what it keeps when the gateway dies."""
    expected = {
        name: {
            _WORDS[lever.value]
            for lever, recipes in load_profile(name).capabilities.items()
            if any(not recipe.fallback.has_timer for recipe in recipes)
        }
        for name in list_profiles()
    }
    told = {name: set(kept.split(", ")) for name, kept in _table("without a timer")[2:]}
    assert told == {name: kept for name, kept in expected.items() if kept}


def test_the_table_has_every_failure_and_every_kind_of_order() -> None:
    """A cell that is missing is a promise that nobody tried."""
    head, _, *rows = _table("kill matrix")
    assert head[1:] == [column.name for column in COLUMNS]
    assert [row[0] for row in rows] == [failure.name for failure in FAILURES]
    for row, failure in zip(rows, FAILURES, strict=True):
        measured = [name for name, cell in zip(head[1:], row[1:], strict=True) if "**" in cell]
        assert measured == [column.name for column in failure.columns], failure.name
