"""Each row of the page about the first sketch names a test that is there, or says why there is none."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
(PAGE,) = (ROOT / "docs/decisions").glob("*-every-box-of-the-idea.md")
_ROW = re.compile(r"^\| (?P<box>[^|]+) \| (?P<stands>[^|]+) \| ?(?P<shown>[^|]*)\|$")


def test_every_box_is_shown_by_a_test_or_has_its_reason() -> None:
    """A row without either would be a claim that nobody checks."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")][2:]
    rows = [_ROW.match(line) for line in lines]
    assert len(rows) >= 40
    for line, row in zip(lines, rows, strict=True):
        assert row is not None, line
        shown = row["shown"].strip().strip("`")
        if not shown:
            assert re.match(r"open|not\b|the host's", row["stands"]), f"{row['box']}: neither a test nor a reason"
        else:
            assert (ROOT / shown).is_file(), f"{row['box']}: {shown} is not there"
