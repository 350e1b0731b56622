"""The table of skills in ``docs/agents.md`` is made from the list; ``python -m`` this module writes it."""

from pathlib import Path

from cloud.agents.skills import SKILLS

DOC = Path(__file__).parents[4] / "docs" / "agents.md"
FIRST = "<!-- skills: made by tests/unit/cloud/agents/test_agents_doc.py -->\n"
LAST = "<!-- end of skills -->\n"


def table() -> str:
    """Return the table as the document has it."""
    rows = ["| agent | skill | effect | scope | what it does | roles |", "| --- | --- | --- | --- | --- | --- |"]
    for each in sorted(SKILLS, key=lambda skill: skill.agent):
        roles = ", ".join(sorted(each.roles))
        rows.append(f"| {each.agent} | `{each.name}` | {each.effect} | {each.scope} | {each.promise} | {roles} |")
    return "\n".join(rows) + "\n"


def written(text: str) -> str:
    """Return the document with its table replaced."""
    before, rest = text.split(FIRST)
    _, after = rest.split(LAST)
    return before + FIRST + table() + LAST + after


def test_the_document_has_the_skills_that_there_are() -> None:
    """A table that is written by hand is wrong after the next skill."""
    text = DOC.read_text()
    assert written(text) == text, "run python -m tests.unit.cloud.agents.test_agents_doc"


if __name__ == "__main__":
    DOC.write_text(written(DOC.read_text()))
